"""The messages between a supervisor and its processes, one JSON object a line.

They go over a socket pair; the end of the process is its standard input. The supervisor first sends the setup, and
later commands. The process sends one introduction and then reports. The connection also shows whether the other side
lives: when it closes, the other side has ended.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from rota.health.process_status import ProcessStatus, read_status
from rota.settings.origin import CommandLine
from rota.settings.settings import Settings
from rota.settings.values import ProcessRange
from rota.tasks.logs import LogLevel


@dataclass(frozen=True, slots=True)
class ProcessSetup:
    """The orders for a process. `said` are the settings given on the command line.

    With `burst` it stops by itself, with exit code 0, when its queues are empty.

    `first` marks the first process of a command. It logs the messages that should appear only once, and exits if the
    server refuses it.
    """

    id: str
    target: str
    said: CommandLine = field(default_factory=CommandLine, repr=False)
    log_level: LogLevel | None = None
    first: bool = False
    show_banner: bool = False
    burst: bool = False


@dataclass(frozen=True, slots=True)
class Introduction:
    """Sent by a process once it has loaded the app: its settings, and a worker's identity as a server in Redis."""

    settings: dict[str, Any] = field(repr=False)
    host: str
    pid: int
    server_id: str = ""
    schedules: bool = False
    """Whether the app declares schedules, so that the supervisor starts a scheduler beside the workers."""


@dataclass(frozen=True, slots=True)
class ProcessReport:
    """The state of a process. A process that is not a worker sends only what applies to it.

    `quiet` says that it takes no more tasks, `stopping` that it is shutting down, for whatever reason. `held` is the
    number of tasks whose outcome is not recorded yet, `ended` of those recorded since the start. `beat_at` is when its
    heartbeat last reached the broker, on the machine's monotonic clock, which all processes share; 0 before the first.
    `types` is the digest of the task types that it has published. `orders` are the last orders that an operator has
    given it for the supervisor (`rota.worker.worker_orders`), each as its ID and its act.
    """

    ready: bool = False
    quiet: bool = False
    stopping: bool = False
    used: int = 0
    capacity: int = 0
    held: int = 0
    ended: int = 0
    beat_at: float = 0.0
    queues: list[str] = field(default_factory=list[str])
    types: str = ""
    orders: list[str] = field(default_factory=list[str])
    status: ProcessStatus | None = None


Message = ProcessSetup | Introduction | ProcessReport
_KINDS: Mapping[str, type[Message]] = {"setup": ProcessSetup, "introduction": Introduction, "report": ProcessReport}
QUIET = b'{"command": "quiet"}\n'
WAKE = b'{"command": "wake"}\n'


def encode(message: Message) -> bytes:
    """Return a message as a line."""
    kind = next(kind for kind, of in _KINDS.items() if isinstance(message, of))
    return json.dumps({kind: asdict(message)}).encode() + b"\n"


def decode(line: bytes) -> Message:
    """Parse a line. Raises ValueError if it is not valid JSON."""
    [(kind, fields)] = json.loads(line).items()
    if fields.get("status") is not None:
        fields["status"] = read_status(fields["status"])
    if kind == "setup":
        fields["said"] = CommandLine(**fields["said"])
    return _KINDS[kind](**fields)


def plain_settings(settings: Settings) -> dict[str, Any]:
    """Return the settings as JSON values. Secrets are included: no other process can read the socket pair."""
    return {name: _plain(value) for name, value in settings.values().items()}


def _plain(value: Any) -> Any:
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, Path | ProcessRange):
        return str(value)
    return value
