"""The candidacy of one scheduler: a lease on the server decides which of them leads. Each answer brings the time.

A scheduler that does not lead asks twice a second, and the leader renews its lease of 4 s each second. So another one
leads at most 5 s after the leader has died. The lease only decides which scheduler tries. The epochs in
`rota.wire.scheduler_steps` ensure that two leaders never fire the same planned time.
"""

import time
from datetime import timedelta

from rota.broker.broker import Broker
from rota.errors import BrokerError
from rota.scheduler.server_time import ServerTime
from rota.wire.scheduler_steps import Elected, SchedulerKeys, elect, resign

LEASE = timedelta(seconds=4)
RENEW_SECONDS = 1.0
STAND_SECONDS = 0.5


class Lead:
    """The lease of one scheduler."""

    def __init__(self, broker: Broker, owner: str, clock: ServerTime) -> None:
        self._broker = broker
        self._keys = SchedulerKeys(broker.keys)
        self._owner = owner
        self._clock = clock
        self.leader = ""
        """The ID of the scheduler that led when this one last asked."""
        self.epoch = 0
        self.asked_at = 0.0
        """When the server last answered, on the monotonic clock."""

    async def stand(self, *, above: int = 0) -> int:
        """Ask to lead. Returns the epoch, or 0 if another scheduler leads."""
        sent_at = time.monotonic()
        elected: Elected = await self._broker.run(elect(self._keys, self._owner, LEASE, above=above))
        self.asked_at = time.monotonic()
        self._clock.set(elected.now, sent_at, self.asked_at)
        self.leader, self.epoch = elected.leader, elected.epoch
        return self.epoch

    async def resign(self) -> None:
        """Let another scheduler lead at once. If the server does not answer, the lease expires by itself."""
        self.epoch = 0
        try:
            await self._broker.run(resign(self._keys, self._owner))
        except BrokerError:
            return
