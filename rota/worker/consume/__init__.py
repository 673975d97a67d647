"""How a worker gets tasks: from which queues it fetches, when it fetches, and how it handles a lost reply."""
