"""Runs the enqueue middleware of an app around the fires of a batch, as around the plans of `enqueue_many`.

So a task that fires has the headers that the middleware adds, such as those of a trace. The middleware runs in a
scheduler with an app, before the runs are claimed: a leader that finishes the claims of another one sends what that one
has made. A run whose middleware fails is refused, and recorded as such.
"""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any

from rota.client.hooks import enter_each
from rota.errors import EnqueueError, RotaError
from rota.scheduler.deciding import DueVerdict, refuse
from rota.scheduler.run_batch import PlannedRun
from rota.scheduler.run_plans import RunPlans
from rota.tasks.job import Plan

LONGEST_SECONDS = 5.0
"""How long the middleware of one batch may take, because nothing else fires meanwhile."""


class FireHooks:
    """The enqueue middleware of one app."""

    def __init__(self, plans: RunPlans) -> None:
        self._plans = plans

    async def enter(self, around: AsyncExitStack, verdicts: Sequence[DueVerdict]) -> None:
        """Replace the runs of the verdicts by what the middleware makes of them. It continues when `around` closes."""
        if not self._plans.middlewares:
            return
        deadline = asyncio.get_running_loop().time() + LONGEST_SECONDS
        for verdict in verdicts:
            runs, verdict.runs = verdict.runs, []
            for run in runs:
                try:
                    async with asyncio.timeout_at(deadline):
                        changed = await self._entered(around, run)
                except TimeoutError:
                    _refuse(verdict, run, EnqueueError(f"The enqueue middleware took longer than {LONGEST_SECONDS} s."))
                except RotaError as error:
                    _refuse(verdict, run, error)
                else:
                    verdict.runs.append(changed)
                    verdict.memory.moved_to(changed.record.id, changed.tasks[0].queue)

    async def _entered(self, around: AsyncExitStack, run: PlannedRun) -> PlannedRun:
        made: list[Plan[Any]] = []
        for plan in await enter_each(around, self._plans.middlewares, run.plans):
            if isinstance(plan, RotaError):
                raise plan
            made.append(plan)
        return self._plans.packed(run.record, made)


def _refuse(verdict: DueVerdict, run: PlannedRun, error: RotaError) -> None:
    verdict.memory.open = [each for each in verdict.memory.open if each.id != run.record.id]
    refuse(verdict, run.record, error)
