"""A queue in plain Python: what the scripts are supposed to do, without any of their means."""

from tests.model.queue.attempts import Attempts
from tests.model.queue.changes import Changes
from tests.model.queue.go import GoMoves
from tests.model.queue.groups import Groups
from tests.model.queue.pauses import Pauses


class Queue(Attempts, Changes, Groups, GoMoves, Pauses):
    """One queue and all that can be done to it."""
