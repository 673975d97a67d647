"""A handle to one schedule, by its name: `await app.schedule_handle("backup").run()`. The leader does what it says.

Each method sends an order to the scheduler that leads, and returns when it is carried out, usually within a second
(`rota.scheduler.orders`). It works for schedules of every source, without a store.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rota.errors import OptionError
from rota.schedule.definition import Overlap
from rota.schedule.run import ScheduleRun
from rota.scheduler.orders import MOST_SKIPS, OrderAnswer, OrderKind, ScheduleOrder, carry_out, manual_order_id

if TYPE_CHECKING:
    from rota.app import Rota


@dataclass(frozen=True, slots=True)
class ScheduleHandle:
    """Orders about one schedule, each for asyncio and, with `_sync`, for blocking code.

    All of them raise SchedulerAway if no scheduler leads, OrderRefused if the order cannot be carried out, also because
    there is no such schedule, and OrderTimeout if no answer comes within ten seconds. `by` is shown in the history.
    """

    app: "Rota"
    name: str
    by: str = ""

    async def run(
        self,
        *,
        payload: Mapping[str, Any] | None = None,
        overlap: Overlap | None = None,
    ) -> ScheduleRun:
        """Run the schedule once, now, also if it is paused. `payload` replaces its payload, `overlap` its rule.

        The run is enqueued when this returns. It is skipped (`outcome`) if the rule says so; it does not wait for its
        turn. Its tasks are `run.task_ids` in `run.queue`.
        """
        return _run_of(await self._carry_out(self._run_order(payload, overlap)))

    def run_sync(self, *, payload: Mapping[str, Any] | None = None, overlap: Overlap | None = None) -> ScheduleRun:
        """Run the schedule once, as `run` does."""
        return _run_of(self._carry_out_sync(self._run_order(payload, overlap)))

    async def skip_next(self, count: int = 1) -> tuple[datetime, ...]:
        """Skip the next planned times, and return them."""
        return (await self._carry_out(self._skip_order(count))).times

    def skip_next_sync(self, count: int = 1) -> tuple[datetime, ...]:
        """Skip the next planned times, and return them."""
        return self._carry_out_sync(self._skip_order(count)).times

    async def pause(self, until: datetime | None = None, *, note: str = "") -> None:
        """Pause a schedule of the code or a provider until a moment, or until `resume`. The pause holds over restarts.

        A schedule of the store is paused by an edit of its `enabled` or `pause_until`.
        """
        await self._carry_out(self._pause_order(until, note))

    def pause_sync(self, until: datetime | None = None, *, note: str = "") -> None:
        """Pause a schedule of the code or a provider, as `pause` does."""
        self._carry_out_sync(self._pause_order(until, note))

    async def resume(self) -> None:
        """End a pause that was ordered."""
        await self._carry_out(self._order("resume"))

    def resume_sync(self) -> None:
        """End a pause that was ordered."""
        self._carry_out_sync(self._order("resume"))

    async def _carry_out(self, order: ScheduleOrder) -> OrderAnswer:
        return await self.app.client.carry_out(carry_out(self.app.keys, order))

    def _carry_out_sync(self, order: ScheduleOrder) -> OrderAnswer:
        return self.app.sync_client.carry_out(carry_out(self.app.keys, order))

    def _order(self, kind: OrderKind, **words: Any) -> ScheduleOrder:
        return ScheduleOrder(id=manual_order_id(), kind=kind, schedule=self.name, by=self.by, **words)

    def _run_order(self, payload: Mapping[str, Any] | None, overlap: Overlap | None) -> ScheduleOrder:
        definition = None if payload is None else {"payload": dict(payload)}
        return self._order("run", definition=definition, overlap=overlap)

    def _skip_order(self, count: int) -> ScheduleOrder:
        if not 1 <= count <= MOST_SKIPS:
            raise OptionError(f"count is {count}, but 1 to {MOST_SKIPS} planned times can be skipped.")
        return self._order("skip", count=count)

    def _pause_order(self, until: datetime | None, note: str) -> ScheduleOrder:
        if until is not None and until.tzinfo is None:
            raise OptionError(f"until is {until}, which has no time zone: add one, as in datetime.now(UTC).")
        return self._order("pause", until=until, note=note)


def _run_of(answer: OrderAnswer) -> ScheduleRun:
    if answer.run is None:
        raise AssertionError("an order to run is answered with its run")
    return answer.run
