"""What both faces of the client share: everything but asking the server."""

from collections.abc import Sequence
from datetime import timedelta

from rota.client.packing import Packer
from rota.client.published import Published
from rota.enqueued import Receipt
from rota.errors import BrokerError, RotaError
from rota.middleware import EnqueueMiddleware
from rota.wire.enqueue import MAX_TASKS
from rota.wire.keys import Keys

# How often a request is sent again after its reply was lost. Each is safe to repeat.
RESENDS = 2

RESULT_POLL = timedelta(seconds=1)
ENQUEUE_BATCH = 500


class Core:
    """The keys, the packer, what was published, and the settings `result_poll` and `enqueue_batch`."""

    def __init__(
        self, keys: Keys, middlewares: Sequence[EnqueueMiddleware], result_poll: timedelta, enqueue_batch: int
    ) -> None:
        self._keys = keys
        self._middlewares = middlewares
        self._packer = Packer(keys)
        self._published = Published()
        self._poll_seconds = result_poll.total_seconds()
        self._enqueue_batch = enqueue_batch

    def _chunk(self, asked: int | None) -> int:
        # More in one call than the script can hold would break it half way.
        return min(asked or self._enqueue_batch, MAX_TASKS)


def raise_failure(results: Sequence[Receipt | RotaError]) -> None:
    """Raise the first fault of the broker among the results of many enqueues, if there is one."""
    for result in results:
        if isinstance(result, BrokerError):
            done = sum(isinstance(each, Receipt) for each in results)
            result.add_note(f"{done} of {len(results)} tasks were enqueued.")
            raise result
