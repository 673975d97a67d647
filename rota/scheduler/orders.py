"""Orders about single schedules: run now, skip the next times, pause and resume. The leader carries them out.

An order is put into an inbox in Redis, which the leader reads twice a second. So it works for schedules of any source,
also those that are declared in code and cannot be edited. The change that an order makes is kept in Redis with the
schedule. An order waits if no scheduler leads, up to `LIFE`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, TypeAlias

from pydantic import TypeAdapter, ValidationError

from rota.broker.broker import Broker
from rota.core.uuids import uuid7
from rota.errors import BrokerRefused, OptionError
from rota.schedule.definition import Overlap
from rota.wire.scheduler_steps import SchedulerKeys, send_order

OrderKind: TypeAlias = Literal["run", "skip", "pause", "resume"]
LIFE = timedelta(minutes=10)
"""An order that is older is not carried out, because its sender does not expect it any more."""
MOST_SKIPS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleOrder:
    """One order. `schedule` is the ID or the name of a schedule."""

    id: str
    kind: OrderKind
    schedule: str
    at: datetime
    by: str = ""
    payload: dict[str, Any] | None = None
    overlap: Overlap | None = None
    cause: Literal["manual", "then"] = "manual"
    count: int = 1
    until: datetime | None = None
    note: str = ""

    def to_json(self) -> bytes:
        """Write the order."""
        return _ORDERS.dump_json(self, exclude_defaults=True)

    @classmethod
    def from_json(cls, data: bytes) -> "ScheduleOrder":
        """Read what `to_json` wrote. Raises ValueError."""
        try:
            return _ORDERS.validate_json(data)
        except ValidationError as error:
            raise ValueError(str(error)) from error


_ORDERS = TypeAdapter(ScheduleOrder)


class ScheduleOrders:
    """Sends orders: `ScheduleOrders(app.connect())`. Each method returns whether a scheduler leads now.

    If none leads, the order waits for ten minutes. A schedule that does not exist is reported by the leader.
    """

    def __init__(self, broker: Broker, *, by: str = "") -> None:
        self._broker = broker
        self._keys = SchedulerKeys(broker.keys)
        self._by = by

    async def run_now(
        self, schedule: str, *, payload: Mapping[str, Any] | None = None, overlap: Overlap | None = None
    ) -> bool:
        """Run a schedule once, now, with another payload if wished. `overlap` overrides its rule for this run."""
        return await self._send("run", schedule, payload=None if payload is None else dict(payload), overlap=overlap)

    async def skip_next(self, schedule: str, count: int = 1) -> bool:
        """Skip the next planned times of a schedule."""
        if not 1 <= count <= MOST_SKIPS:
            raise OptionError(f"count is {count}, but 1 to {MOST_SKIPS} planned times can be skipped.")
        return await self._send("skip", schedule, count=count)

    async def pause(self, schedule: str, *, until: datetime | None = None, note: str = "") -> bool:
        """Pause a schedule until a moment, or until it is resumed."""
        if until is not None and until.tzinfo is None:
            raise OptionError(f"until is {until}, which has no time zone: add one, as in datetime.now(UTC).")
        return await self._send("pause", schedule, until=until, note=note)

    async def resume(self, schedule: str) -> bool:
        """End a pause that was ordered."""
        return await self._send("resume", schedule)

    async def _send(self, kind: OrderKind, schedule: str, **words: Any) -> bool:
        order = ScheduleOrder(id=uuid7().hex, kind=kind, schedule=schedule, at=datetime.now(UTC), by=self._by, **words)
        leads = await self._broker.run(send_order(self._keys, order.to_json()))
        if leads is None:
            raise BrokerRefused("Too many orders wait for a scheduler, so this one was not sent: start a scheduler.")
        return leads
