"""What the demo runs on schedules: three of the ready-made jobs, in a worker of their own.

The demo knows when each run is planned, and looks at each of them: every planned time has to be there once, and to end
well. The export fails at first now and again, and its retry is seen; the site is found down, and well again.
"""

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from examples.shop import backup, paths
from examples.shop.display import Display
from examples.shop.site import EXPORT, HEALTH, ShopSite
from rota import Rota, TaskInfo, TaskNotFound
from rota.schedule.definition import ScheduleDefinition, named_schedule_id
from rota.schedule.run import run_id
from rota.scheduler.scheduler import Scheduler

QUEUE = "jobs"
LOOK_EVERY_SECONDS = 0.2
FIRES_WITHIN = timedelta(seconds=30)
"""On a busy machine a run may be late, but a run that has not been enqueued by then is missing."""


@dataclass(slots=True)
class Timetable:
    """The schedules of one run of the demo, and what became of their runs."""

    site: ShopSite
    display: Display
    faults: list[str] = field(default_factory=list)
    _waiting: dict[str, tuple[str, datetime]] = field(default_factory=dict)
    """The planned times that have not ended, by the ID of the run."""
    _fired: set[str] = field(default_factory=set)
    _done: dict[str, int] = field(default_factory=dict)
    _failed: set[str] = field(default_factory=set)
    _recovered: int = 0

    @property
    def environment(self) -> dict[str, str]:
        """The settings of the worker that runs the jobs."""
        return {
            "JOBS_FOLDERS": json.dumps({"backups": str(paths.RESULTS / "backups")}),
            "JOBS_DATABASES": json.dumps({"shop": f"sqlite:///{paths.DATABASE}"}),
            "JOBS_STATE": f"sqlite:///{paths.HOME / 'jobs.sqlite3'}",
            "JOBS_HTTP_HOSTS": json.dumps([self.site.host]),
            "JOBS_HTTP_NETWORKS": json.dumps(["127.0.0.1/32"]),
            "JOBS_MAIL_FROM": "The shop <shop@example.org>",
        }

    @property
    def schedules(self) -> list[ScheduleDefinition]:
        """Each planned time has a run, also if an earlier run has not ended or the demo was held up."""
        check = {"url": self.site.url + HEALTH, "name": "shop site", "failures": 2, "alert": ["owner@example.org"]}
        export = {"url": self.site.url + EXPORT, "method": "PUT", "body": {"planned": "{{planned_at}}"}}
        copy = {"database": "shop", "folder": "backups", "keep": 3}
        return [
            _schedule("site", "*/2 * * * * *", "heartbeat:check", check),
            _schedule("export", "*/3 * * * * *", "http:call", export),
            _schedule("backup", "*/10 * * * * *", "backup:database", copy),
        ]

    async def follow(self, app: Rota, stopping: asyncio.Event) -> None:
        """Fire the schedules until `stopping`, and wait for the end of the runs."""
        async with app.scheduler(schedules=self.schedules) as scheduler:
            # The times of a new schedule count from when the leader has it, and that may be a moment after the start.
            while not self._leads(scheduler):
                if stopping.is_set():
                    return
                await _wait(stopping, LOOK_EVERY_SECONDS)
            started = datetime.now(UTC)
            self.display.say("a scheduler leads: " + ", ".join(f"{s.name} {s.specs[0]}" for s in self.schedules))
            times = {s.name: _times(s, started) for s in self.schedules}
            ahead = {name: next(each) for name, each in times.items()}
            while not stopping.is_set():
                for name, each in times.items():
                    while ahead[name] <= datetime.now(UTC):
                        self._waiting[run_id(named_schedule_id(name), ahead[name])] = (name, ahead[name])
                        ahead[name] = next(each)
                await self._look(app)
                await _wait(stopping, LOOK_EVERY_SECONDS)
            while self._waiting.keys() - self._fired:  # the scheduler leaves no planned time behind
                await self._look(app)
                await asyncio.sleep(LOOK_EVERY_SECONDS)

    def _leads(self, scheduler: Scheduler) -> bool:
        """Whether the scheduler leads and has all schedules."""
        status = scheduler.status()
        return status.leading and status.schedules == len(self.schedules)

    async def settle(self, app: Rota, until: asyncio.Event, seconds: float) -> None:
        """Wait for the runs that have not ended."""
        deadline = datetime.now(UTC) + timedelta(seconds=seconds)
        while self._waiting and not until.is_set() and datetime.now(UTC) < deadline:
            await self._look(app)
            await asyncio.sleep(LOOK_EVERY_SECONDS)
        if not until.is_set():
            self.faults += [f"{name} of {planned:%H:%M:%S} did not end" for name, planned in self._waiting.values()]

    def conclude(self) -> str:
        """Return one line on all of it."""
        runs = ", ".join(f"{count} x {name}" for name, count in sorted(self._done.items()))
        return f"schedules fired {runs}; each planned time once, {self._recovered} failed at first and recovered"

    async def _look(self, app: Rota) -> None:
        for id, (name, planned) in list(self._waiting.items()):
            try:
                found = await app.job(id, queue=QUEUE).info()
            except TaskNotFound:
                if datetime.now(UTC) - planned > FIRES_WITHIN:
                    self._waiting.pop(id)
                    self._fault(f"{name} of {planned:%H:%M:%S} was not fired")
                continue
            self._fired.add(id)
            self._show(id, name, planned, found)

    def _show(self, id: str, name: str, planned: datetime, found: TaskInfo) -> None:
        if found.state == "retry" and id not in self._failed:
            self._failed.add(id)
            self.display.run_failed(name, planned, found.last_error)
        if found.state == "archived":
            self._waiting.pop(id)
            self._fault(f"{name} of {planned:%H:%M:%S} failed: {found.last_error}")
        if found.state == "completed":
            self._waiting.pop(id)
            self._done[name] = self._done.get(name, 0) + 1
            self._recovered += found.retried > 0
            try:
                made = _PROOFS[name](self, id, json.loads(found.result))
            except (OSError, ValueError, LookupError, backup.BadCopy) as error:
                self._fault(f"{name} of {planned:%H:%M:%S}: {error}")
            else:
                self.display.run_done(name, planned, made, recovered=found.retried > 0)

    def _fault(self, text: str) -> None:
        self.faults.append(text)
        self.display.fault(text)

    def _prove_check(self, id: str, finding: dict[str, str]) -> str:
        alert = f", mailed {finding['alert']!r}" if finding["alert"] else ""
        return ("found the site down" if finding["fault"] else "the site is well") + alert

    def _prove_export(self, id: str, answer: dict[str, int]) -> str:
        if self.site.exported.count(id) != 1:
            raise ValueError(f"the site was asked {self.site.exported.count(id)} times")
        return f"the site answered {answer['status']}"

    def _prove_backup(self, id: str, name: str) -> str:
        copy: Path = paths.RESULTS / "backups" / name
        backup.verify(copy, paths.DATABASE)
        return f"{name}, copy verified"


_PROOFS: dict[str, Callable[[Timetable, str, Any], str]] = {
    "site": Timetable._prove_check,
    "export": Timetable._prove_export,
    "backup": Timetable._prove_backup,
}


def _schedule(name: str, spec: str, task_type: str, payload: Mapping[str, object]) -> ScheduleDefinition:
    return ScheduleDefinition(
        name=name, task_type=task_type, payload=dict(payload), specs=(spec,), queue=QUEUE, overlap="allow", missed="all"
    )


def _times(schedule: ScheduleDefinition, after: datetime) -> Iterator[datetime]:
    trigger = schedule.read_spec(schedule.specs[0])
    while (found := trigger.next(after)) is not None:
        yield found
        after = found


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return
