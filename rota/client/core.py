"""What both faces of the client share: everything but asking the server."""

from collections.abc import Sequence

from rota.client.packing import Packer
from rota.client.published import Published
from rota.enqueued import Receipt
from rota.errors import BrokerError, RotaError
from rota.middleware import EnqueueMiddleware
from rota.wire.keys import Keys

# How often a request is sent again after its reply was lost. Each is safe to repeat.
RESENDS = 2


class Core:
    """The keys, the packer, and what was published."""

    def __init__(self, keys: Keys, middlewares: Sequence[EnqueueMiddleware]) -> None:
        self._keys = keys
        self._middlewares = middlewares
        self._packer = Packer(keys)
        self._published = Published()


def raise_failure(results: Sequence[Receipt | RotaError]) -> None:
    """Raise the first fault of the broker among the results of many enqueues, if there is one."""
    for result in results:
        if isinstance(result, BrokerError):
            done = sum(isinstance(each, Receipt) for each in results)
            result.add_note(f"{done} of {len(results)} tasks were enqueued.")
            raise result
