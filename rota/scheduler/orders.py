"""Orders about single schedules: run one now, skip its next time, pause and resume it. The leader carries them out.

The way of an order:

1. The sender gives it an ID and adds it to the inbox, a list in Redis. If no scheduler leads, it is refused at once.
2. The leader reads the inbox twice a second, and carries out each order in its round. The change is kept in Redis
   with the state of the schedule, together with the ID of the order.
3. The leader answers, and only then removes the order. A leader that dies in between leaves the order to the next one,
   which finds its ID in the state, and answers without a second effect.

So orders work without a store, and for schedules of any source. The run of an order has an ID that is made of the IDs
of the schedule and the order, so an order that is sent twice is one run.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias

from pydantic import TypeAdapter

from rota import events
from rota.client.steps import Act, Command, Pause
from rota.core.randomness import uuid7
from rota.errors import BrokerRefused, OrderRefused, OrderTimeout, SchedulerAway
from rota.schedule.definition import Overlap
from rota.schedule.run import Cause, ScheduleRun
from rota.wire.keys import Keys
from rota.wire.scheduler_steps import ORDERED, QUEUE_FULL, SchedulerKeys, send_order

OrderKind: TypeAlias = Literal["run", "skip", "pause", "resume"]
MOST_SKIPS = 100
ANSWER_SECONDS = 10.0
"""How long a sender waits for the answer. Another scheduler takes over within five seconds."""
_LOOK_SECONDS = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleOrder:
    """One order. `schedule` is the ID or the name of a schedule.

    For a run, `definition` has the fields that replace those of the schedule, and `planned_at` the time that the run
    stands for: by default the present.
    """

    id: str
    kind: OrderKind
    schedule: str
    by: str = ""
    definition: Mapping[str, Any] | None = None
    overlap: Overlap | None = None
    planned_at: datetime | None = None
    cause: Cause = "manual"
    count: int = 1
    until: datetime | None = None
    note: str = ""

    def to_json(self) -> bytes:
        """Write the order."""
        return _ORDERS.dump_json(self, exclude_defaults=True)

    @classmethod
    def from_json(cls, data: bytes) -> "ScheduleOrder":
        """Read what `to_json` wrote. Raises ValueError."""
        return _ORDERS.validate_json(data)

    def run_id(self, schedule_id: str) -> str:
        """Return the ID of the run that this order starts."""
        return f"{schedule_id}-{self.id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderAnswer:
    """The act of the leader: the run that it started or skipped, or the times that will be skipped.

    `refused` says why it did nothing.
    """

    run: ScheduleRun | None = None
    times: tuple[datetime, ...] = ()
    refused: str = ""

    def to_json(self) -> bytes:
        """Write the answer."""
        return _ANSWERS.dump_json(self, exclude_defaults=True)

    @classmethod
    def from_json(cls, data: bytes) -> "OrderAnswer":
        """Read what `to_json` wrote. Raises ValueError."""
        return _ANSWERS.validate_json(data)


_ORDERS = TypeAdapter(ScheduleOrder)
_ANSWERS = TypeAdapter(OrderAnswer)


def refused(order: str, reason: str) -> OrderAnswer:
    """Report that an order is not carried out, and return the answer that says so."""
    events.emit(events.ScheduleOrderRefused(order=order, reason=reason))
    return OrderAnswer(refused=reason)


def manual_order_id() -> str:
    """Return a new ID for an order of a user. The ID of its run is that of `manual_run_id`."""
    return f"m{uuid7().hex}"


def carry_out(keys: Keys, order: ScheduleOrder, *, wait_seconds: float = ANSWER_SECONDS) -> Act[OrderAnswer]:
    """Send an order, and wait for its answer. A client for asyncio or for blocking code carries out these steps.

    Raises SchedulerAway if no scheduler leads, OrderRefused, or OrderTimeout.
    """
    scheduler_keys = SchedulerKeys(keys)
    sent: int = yield send_order(scheduler_keys, order.to_json())
    if sent == QUEUE_FULL:
        raise BrokerRefused("Too many orders wait for the scheduler, so this one was not sent. Send it again later.")
    if sent != ORDERED:
        raise SchedulerAway(
            f"No scheduler leads, so nothing was done about the schedule {order.schedule!r}. Start one: `rota "
            "scheduler`, or `rota worker` with schedules or a store."
        )
    key, deadline = scheduler_keys.answer(order.id), time.monotonic() + wait_seconds
    while time.monotonic() < deadline:
        yield Pause(_LOOK_SECONDS)
        found: bytes | None = yield Command(("GET", key), key=key)
        if found is not None:
            return _accepted(order, OrderAnswer.from_json(found))
    raise OrderTimeout(
        f"The scheduler has not answered within {wait_seconds:g} s. The order about the schedule {order.schedule!r} "
        "may still be carried out."
    )


def _accepted(order: ScheduleOrder, answer: OrderAnswer) -> OrderAnswer:
    if answer.refused:
        raise OrderRefused(f"The schedule {order.schedule!r}: {answer.refused}")
    return replace(answer, times=tuple(each.astimezone(UTC) for each in answer.times))
