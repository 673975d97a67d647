"""How a worker gets tasks: which queues it asks, when it asks, and what it does with a reply that was lost."""
