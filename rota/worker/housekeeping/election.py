"""The election: decides which of the workers that serve the same queues by the same rules sweeps them.

The election is a key, `rota:sweep:<digest>`, which contains the ID of the elected worker and expires. A worker that
asks is elected if the key does not exist or contains its own ID. Nothing waits for the elected worker: if it dies, the
key expires; if it starts again, it has another ID. If two workers sweep at the same time, for example because one was
frozen, they only do the work twice.
"""

import asyncio
import hashlib
from collections.abc import Coroutine, Iterable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Any

from rota.broker import Broker
from rota.errors import BrokerError
from rota.wire.sweep import Candidacy, elect, resign

LIVES = 1.25
"""An election lasts for this many sweep intervals. The elected worker renews it after 1.1 intervals at most."""
RENEWALS = 10
"""A long sweep renews its election this many times in the life of the election, so that a renewal may come late."""
LAST_WORD_SECONDS = 1.0


class Election:
    """The candidacies of one worker. Workers with different `rules` take part in different elections."""

    def __init__(self, broker: Broker, owner: str, every: timedelta, rules: object = "") -> None:
        self._broker = broker
        self._owner = owner
        self._life = every * LIVES
        self._rules = repr(rules)
        self._last: Candidacy | None = None

    def candidacy(self, queues: Iterable[str]) -> Candidacy:
        """Return the candidacy for sweeping these queues. Each set of queues and rules has its own election."""
        said = "\n".join([*sorted(queues), self._rules])
        digest = hashlib.sha256(said.encode()).hexdigest()[:16]
        self._last = Candidacy(self._broker.keys.own(f"sweep:{digest}"), self._owner, self._life)
        return self._last

    def kept(self, candidacy: Candidacy) -> AbstractAsyncContextManager[None]:
        """Renew the election inside an `async with` block, so that it does not expire during a long sweep."""
        return _Kept(self._keep(candidacy))

    async def give_up(self) -> None:
        """Resign if this worker is elected. If the broker does not answer in time, the election expires by itself."""
        if self._last is None:
            return
        try:
            async with asyncio.timeout(LAST_WORD_SECONDS):
                await self._broker.run(resign(self._last))
        except (BrokerError, TimeoutError):
            return

    async def _keep(self, candidacy: Candidacy) -> None:
        while True:
            await asyncio.sleep(candidacy.life.total_seconds() / RENEWALS)
            try:
                await self._broker.run(elect(candidacy))
            except BrokerError:
                return  # the sweep itself fails with the same error


class _Kept(AbstractAsyncContextManager[None]):
    # Not an async generator, because a program that calls `loop.shutdown_asyncgens()` would end it without any error.

    def __init__(self, keep: Coroutine[Any, Any, None]) -> None:
        self._keep = keep
        self._keeping: asyncio.Task[None]

    async def __aenter__(self) -> None:
        self._keeping = asyncio.create_task(self._keep)

    async def __aexit__(self, *error: object) -> None:
        self._keeping.cancel()
        await asyncio.wait([self._keeping])  # not `await self._keeping`, which would raise the cancel here
