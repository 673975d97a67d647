"""The turn: of the workers that serve the same queues by the same rules, one sweeps them.

It is a key with an owner and an expiry, `rota:sweep:<digest>`. Who asks gets it if it is free or theirs already. It is
never waited for and never blocks anybody for longer than it lives: a worker that dies leaves it to expire, and one that
starts again is another owner. Two that sweep at once, as when one was frozen, do double work and no harm.
"""

import asyncio
import hashlib
from collections.abc import Coroutine, Iterable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Any

from rota.broker import Broker
from rota.errors import BrokerError
from rota.wire.sweep import Wish, give_up_turn, take_turn

LIVES = 1.25
"""So many intervals: who has it asks again after 1.1 at most."""
RENEWALS = 10
LAST_WORD_SECONDS = 1.0


class Election:
    """The turns of one worker. `rules` is whatever must be the same for those who take turns."""

    def __init__(self, broker: Broker, owner: str, every: timedelta, rules: object = "") -> None:
        self._broker = broker
        self._owner = owner
        self._life = every * LIVES
        self._rules = repr(rules)
        self._last: Wish | None = None

    def wish(self, queues: Iterable[str]) -> Wish:
        """The turn to sweep these queues. Other queues, or other rules, are another turn."""
        said = "\n".join([*sorted(queues), self._rules])
        digest = hashlib.sha256(said.encode()).hexdigest()[:16]
        self._last = Wish(self._broker.keys.own(f"sweep:{digest}"), self._owner, self._life)
        return self._last

    def kept(self, wish: Wish) -> AbstractAsyncContextManager[None]:
        """Keep the turn for as long as a sweep takes."""
        return _Kept(self._keep(wish))

    async def give_up(self) -> None:
        """Leave the turn to the next, if it is ours and the broker answers soon; else it expires."""
        if self._last is None:
            return
        try:
            async with asyncio.timeout(LAST_WORD_SECONDS):
                await self._broker.run(give_up_turn(self._last))
        except (BrokerError, TimeoutError):
            return

    async def _keep(self, wish: Wish) -> None:
        while True:
            await asyncio.sleep(wish.life.total_seconds() / RENEWALS)
            try:
                await self._broker.run(take_turn(wish))
            except BrokerError:
                return  # the sweep will hear of it too


class _Kept(AbstractAsyncContextManager[None]):
    def __init__(self, keep: Coroutine[Any, Any, None]) -> None:
        self._keep = keep
        self._keeping: asyncio.Task[None]

    async def __aenter__(self) -> None:
        self._keeping = asyncio.create_task(self._keep)

    async def __aexit__(self, *error: object) -> None:
        self._keeping.cancel()
        await asyncio.wait([self._keeping])
