"""Events of a supervisor and its processes, of the commands, and of the health port."""

import logging
from typing import TypedDict

from rota.events.event import Event


class FleetEvent(Event):
    """An event in a supervisor. The supervisor does not import the app, so no callback gets it."""

    logger = "rota.supervisor"


# The processes of a supervisor


class AboutProcess(TypedDict):
    """The fields of an event about one process of a supervisor."""

    kind: str
    pid: int


class ProcessEvent(FleetEvent):
    """An event about one process. `kind` is `worker`, or the name of another kind of processes."""

    kind: str
    pid: int

    def message(self) -> str:
        """Return the text of the log line, which begins with a capital letter also for a kind."""
        return _sentence(super().message())


class ChildProcessStarted(ProcessEvent):
    """The supervisor started a process."""

    level = logging.DEBUG
    text = "{kind} process {pid} starts."


class ChildProcessEnded(ProcessEvent):
    """A process has ended as it was asked to."""

    level = logging.INFO
    text = "{kind} process {pid} has ended."


class ChildProcessDied(ProcessEvent):
    """A process died by itself, and another one starts."""

    level = logging.ERROR
    text = "{kind} process {pid} {how}; a new one starts in {seconds:.1f} s."
    how: str
    seconds: float


class FleetOrderObeyed(ProcessEvent):
    """The supervisor obeys an order that an operator has given to one of its processes over Redis.

    `act` is `stop`, `quiet` or `wake` for all processes, or `end` for this one alone.
    """

    level = logging.INFO
    act: str

    def message(self) -> str:
        """Return the text of the log line."""
        texts = {
            "stop": "for all processes: stop",
            "quiet": "for all processes: take no more tasks",
            "wake": "for all processes: take tasks again",
            "end": "to stop; another process takes its place",
        }
        return _sentence(f"{self.kind} process {self.pid} passes on an order {texts.get(self.act, self.act)}.")


class ChildProcessHangs(ProcessEvent):
    """A process does not report, does not stop or does not start in time, so it is killed."""

    level = logging.ERROR
    why: str
    seconds: float
    owns_tasks: bool = True

    def message(self) -> str:
        """Return the text of the log line."""
        killed = "it is killed, and its tasks go back." if self.owns_tasks else "it is killed."
        texts = {
            "does not stop": f"does not stop: {killed}",
            "is silent": f"has not sent a report for {self.seconds:.0f} s: {killed}",
            "does not start": (
                f"has not loaded its app for {self.seconds:.0f} s (process_start_timeout): it is killed. The "
                "imports of its modules take too long, or never finish."
            ),
        }
        return _sentence(f"{self.kind} process {self.pid} {texts[self.why]}")


class ChildProcessLoads(ProcessEvent):
    """The first process takes long to load the app."""

    text = (
        "{kind} process {pid} has been loading {target} for {seconds:.0f} s and has not finished. If you do not "
        "expect that, check what its modules do at import: `py-spy dump --pid {pid}` shows the current line."
    )
    target: str
    seconds: float


class ChildProcessReplaced(ProcessEvent):
    """A process is replaced, because of its age, its memory or its number of tasks."""

    level = logging.INFO
    text = "{kind} process {pid} is replaced: {why}."
    why: str


class ChildProcessNotStarted(FleetEvent):
    """The operating system could not start a process."""

    level = logging.ERROR
    text = "No process can be started ({error}); trying again in {seconds:.1f} s."
    error: Exception
    seconds: float


class FleetGrows(FleetEvent):
    """The supervisor started one more process, because all slots are taken and tasks wait."""

    level = logging.INFO
    text = "All slots are taken and tasks wait: {processes} of {most} processes."
    processes: int
    most: int


class FleetShrinks(ProcessEvent):
    """The supervisor stops a process, because the others have enough free slots."""

    level = logging.INFO
    text = "The load is lower: {kind} process {pid} is stopped, and {processes} remain."
    processes: int


class ReportUnreadable(ProcessEvent):
    """A report of a process could not be read by the supervisor."""

    level = logging.DEBUG
    text = "A report of {kind} process {pid} cannot be read: {error!r}"
    error: Exception


class ReportNotMade(Event):
    """A process could not make its report for the supervisor."""

    level = logging.ERROR
    text = "This worker process could not make its report for the supervisor; it continues."
    shows_traceback = True
    error: Exception


class LeasesKept(ProcessEvent):
    """The supervisor extends the leases of a process whose heartbeat is late."""

    text = (
        "The last heartbeat of {kind} process {pid} was {seconds:.1f} s ago: {reason}. The process lives, so the "
        "supervisor extends its leases."
    )
    seconds: float
    reason: str
    is_ready: bool

    def severity(self) -> int:
        """Return DEBUG for a process that may still be starting, as long as the app's lifespan takes."""
        return logging.WARNING if self.is_ready else logging.DEBUG


class LeasesNotKept(FleetEvent):
    """The supervisor could not extend the leases of a process whose heartbeat is late."""

    text = "The supervisor does not reach the broker, trying again: {error}"
    error: Exception


class LeaseKeeperFailed(FleetEvent):
    """The supervisor met an internal fault while it extended leases."""

    level = logging.ERROR
    text = "The supervisor could not keep the leases of a late process, trying again."
    shows_traceback = True
    error: Exception


class TasksReturned(ProcessEvent):
    """The supervisor returned the tasks of a process that ended."""

    pending: int
    quarantined: int
    cancelled: int

    def message(self) -> str:
        """Return the text of the log line."""
        parts = (
            (self.pending, "at the front of the queue again"),
            (self.quarantined, "in quarantine"),
            (self.cancelled, "cancelled, as was asked"),
        )
        words = [f"{number} {'is' if number == 1 else 'are'} {where}" for number, where in parts if number]
        return f"Of the tasks that {self.kind} process {self.pid} held, {', '.join(words)}."


class TasksNotReturned(FleetEvent):
    """The supervisor ends, and could not return the tasks of its last processes."""

    level = logging.ERROR
    text = "The broker does not answer: the tasks of the last processes run again when their leases have expired."


# Commands


class StopAsked(Event):
    """A signal asked a worker to stop gently."""

    level = logging.INFO
    text = "Stopping: the worker takes no more tasks, and waits for those that run. Press Ctrl-C again to stop at once."


class StopAtOnceAsked(Event):
    """A second signal asked a worker to stop at once."""

    text = "Stopping at once: running tasks are cancelled and go back to the front of their queues."


class ServerAwaited(Event):
    """The server does not answer at the start of a command, which waits for it. Logged once a minute."""

    text = "The server does not answer yet, so the worker waits for it. {error}"
    error: Exception


class ServerAnswers(Event):
    """The server that a command waited for answers."""

    level = logging.INFO
    text = "The server answers."


class DevServerUsed(Event):
    """A program uses the server of `rota dev` in its folder. Once for each server."""

    logger = "rota"
    text = "Using the server of `rota dev` in this folder. Set ROTA_URL to use another one."
    url: str


class ExitForced(Event):
    """The process ends although something in it still runs."""

    text = (
        "The process ends without waiting any longer: {seconds:.0f} s after its worker it was still running. {running}"
    )
    shows_traceback = True
    seconds: float
    running: str
    error: BaseException | None


# Health


class HealthPortOpened(Event):
    """The health port answers."""

    level = logging.INFO
    logger = "rota.health"
    text = "The health port answers at http://{host}:{port}/live, /ready and /metrics."
    host: str
    port: int


class HealthSocketRefused(Event):
    """The socket for `rota health` could not be made."""

    logger = "rota.health"
    text = "`rota health` will not find this worker: the socket {path} cannot be made ({error})."
    path: object
    error: Exception


class HealthRequestLate(Event):
    """A connection to the health port sent no request in time."""

    level = logging.DEBUG
    logger = "rota.health"
    text = "A connection to the health port sent no request in time."


class HealthAnswerFailed(Event):
    """The health port could not answer a request."""

    level = logging.ERROR
    logger = "rota.health"
    text = "The health port could not answer {path}."
    shows_traceback = True
    path: str
    error: Exception


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
