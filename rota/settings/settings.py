"""Every setting of Rota, in one class.

The command line wins over the code, the code over `ROTA_...` in the environment, that over `[tool.rota]` in
`pyproject.toml`, that over the defaults. An empty variable counts as not set. Without any `url` the server of a
`rota dev` that runs in the current folder is used. Durations are written as everywhere: `"30s"`, seconds, or a
timedelta.
"""

import os
from collections.abc import Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationError,
    field_serializer,
    model_validator,
)

from rota.core.duration import Duration, display
from rota.core.text import did_you_mean, nearest
from rota.errors import ConfigError
from rota.settings.origin import (
    CODE,
    ENVIRONMENT_PREFIX,
    LOOKED_UP,
    ORIGINS,
    CommandLine,
    Origin,
    abouts,
    collect,
    shown,
)
from rota.settings.values import ProcessRange, check_processes, check_queues, read_processes, read_queues
from rota.wire import limits

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

__all__ = ["DEFAULT_URL", "ENVIRONMENT_PREFIX", "Origin", "Settings"]

MEBIBYTE = 1024 * 1024
DEFAULT_URL = "redis://localhost:6379/0"

WhenAway: TypeAlias = Literal["wait", "fail"]
WakeUp: TypeAlias = Literal["auto", "tracking", "poll"]
PositiveInt: TypeAlias = Annotated[int, Field(gt=0)]
LimitBytes: TypeAlias = Annotated[int, Field(gt=0, le=256 * MEBIBYTE)]
"""Redis takes values of up to 512 MB, and a result is in its request together with others."""
PositiveDuration: TypeAlias = Annotated[Duration, Field(gt=timedelta(0))]


Queues: TypeAlias = Annotated[dict[str, PositiveInt], AfterValidator(check_queues), BeforeValidator(read_queues)]
Processes: TypeAlias = Annotated[ProcessRange, AfterValidator(check_processes), BeforeValidator(read_processes)]


class Settings(BaseModel):
    """All settings. Each can be given by name here, as `ROTA_<NAME>`, or in `[tool.rota]`."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, validate_default=True)

    app: str | None = None
    """Where the command line finds the app, as `module:app`; further modules with its tasks follow after commas."""

    # The server
    url: str = DEFAULT_URL
    """Redis or Valkey: `redis://`, `rediss://`, `unix://`, `redis-sentinel://`, `redis+cluster://`."""
    key_prefix: Annotated[str, Field(min_length=1)] = "asynq"
    """The first word of every key. Another than Asynq's makes a world that Go programs do not see."""
    username: str | None = None
    """Wins over the URL's."""
    password: SecretStr | None = None
    """Wins over the URL's."""
    sentinel_username: str | None = None
    """For the sentinels, where it differs from the master's."""
    sentinel_password: SecretStr | None = None
    """For the sentinels, where it differs from the master's."""
    tls_ca: Path | None = None
    """A file of authorities to trust instead of the system's."""
    tls_cert: Path | None = None
    """This client's certificate."""
    tls_key: Path | None = None
    """The key of this client's certificate."""
    tls_verify: bool = True
    """Whether the server's certificate is checked."""
    client_name: str = "rota"
    """What the server's list of clients shows."""
    connect_timeout: PositiveDuration = timedelta(seconds=5)
    """How long one connection may take."""
    response_timeout: PositiveDuration = timedelta(seconds=10)
    """How long one reply may take."""
    retry_for: Duration = timedelta(seconds=3)
    """How long a request is tried again that was not carried out, or whose answer was lost."""

    # Enqueueing
    when_away: WhenAway = "wait"
    """What an enqueue does while the server is away: `wait` for `retry_for`, or `fail` at once."""
    payload_limit_bytes: LimitBytes = 4 * MEBIBYTE
    """The size of a payload, at most, and of all headers together; an enqueue of a larger one is refused."""
    wait_replicas: Annotated[int, Field(ge=0)] = 0
    """How many replicas must have a task before its enqueue returns."""
    wait_replicas_timeout: PositiveDuration = timedelta(seconds=1)
    """How long they may take."""
    replicas_missing: Literal["raise", "warn"] = "raise"
    """What an enqueue does when they took longer: `raise` NotReplicated, or `warn` in the log."""

    # What a worker takes
    queues: Queues = Field(default_factory=lambda: {"default": 1})
    """Queues with their weights, as `critical=6,default=3` or as JSON; names may be patterns like `mail:*`."""
    strict_priority: bool = False
    """Whether a queue is looked at only when all with a greater weight are empty."""
    queue_refresh: PositiveDuration = timedelta(seconds=1)
    """How often patterns look for new queues, besides being told of them: a busy worker is not told."""
    concurrency: PositiveInt = 50
    """Tasks that run at once in one worker process."""
    processes: Processes = ProcessRange(1, 1)
    """Worker processes of `rota worker`: a number, or a range like `1..8` in which it follows the load."""
    process_slots: Annotated[int, Field(ge=0)] = 0
    """Child processes for `run="process"`; 0 means one per core."""
    process_recycle: Annotated[int, Field(ge=0)] = 0
    """Tasks after which such a child is replaced; 0 means never."""
    fetch_batch: Annotated[int, Field(gt=0, le=limits.MOST_FETCHED)] = 100
    """Tasks taken by one request, at most; up to 500."""
    record_batch: Annotated[int, Field(gt=0, le=limits.MOST_RECORDED)] = 500
    """Outcomes recorded by one request, at most; up to 500."""
    wake_up: WakeUp = "auto"
    """How a waiting worker learns of tasks: `tracking`, `poll`, or by itself tracking where the server allows it."""
    slow_poll: PositiveDuration = timedelta(minutes=2)
    """How often a waiting worker looks for tasks although the server has not told of any."""
    unknown_task_delay: PositiveDuration = timedelta(seconds=30)
    """When a task of a type that nobody here runs is offered again."""
    shutdown_timeout: Duration = timedelta(seconds=8)
    """How long running tasks may go on after a stop, before they are handed back."""

    hook_timeout: PositiveDuration = timedelta(seconds=30)
    """How long the hooks of one run may take together; then they are cancelled. The outcome of the task stands."""

    # Staying alive
    lease: Annotated[Duration, Field(ge=timedelta(seconds=5))] = timedelta(seconds=30)
    """How long a task stays with a worker that is not heard of."""
    heartbeat: PositiveDuration = timedelta(seconds=5)
    """How often leases are extended and the worker shows itself."""
    ready_within: PositiveDuration = timedelta(seconds=12)
    """A worker is ready if it reached the broker and could take and record within this time; two beats at least."""
    live_within: PositiveDuration = timedelta(minutes=10)
    """A worker is live if its event loop was blocked for less than this."""
    blocked_after: PositiveDuration = timedelta(seconds=1)
    """A task that blocks the event loop for so long is named in the log."""
    health_port: Annotated[int, Field(ge=0, le=65535)] | None = None
    """The port of `/live`, `/ready` and `/metrics`; none without it, and with 0 any that is free."""
    health_host: str = "127.0.0.1"
    """The address to which that port is bound; `0.0.0.0` for probes from outside of the machine or container."""
    health_dir: Path | None = None
    """The folder in which `rota health` finds the workers of this machine; one in the temporary folder without it."""

    lease_slack: Duration = timedelta(seconds=5)
    """How long after the end of its lease a task of a lost worker is given back."""
    go_lease_slack: Duration = timedelta(seconds=30)
    """The same for a task that a Go server had: its lease follows the clock of that server's machine."""
    max_crashes: PositiveInt = 3
    """A task that so many workers held when they died, begun or just taken, is put into quarantine."""

    restart_after_fault: bool = False
    """Whether `app.worker()` starts again after an internal fault of the worker, instead of raising it in its block."""

    # Worker processes of `rota worker`
    process_max_tasks: Annotated[int, Field(ge=0)] = 0
    """Tasks after which a worker process is replaced; 0 means never."""
    process_max_age: PositiveDuration | None = None
    """The age at which a worker process is replaced."""
    process_max_rss_mb: Annotated[int, Field(ge=0)] = 0
    """The resident memory in MiB from which on a worker process is replaced; 0 means any."""
    process_start_timeout: PositiveDuration = timedelta(minutes=5)
    """A worker process that has not loaded the app by then is killed, and another one starts; not the very first."""
    process_hang_after: PositiveDuration | None = None
    """A worker process that was not heard of for so long is killed, and its tasks go back; by default none is."""
    process_drain: PositiveDuration = timedelta(minutes=10)
    """How long a worker process that is replaced may finish what it runs; then it is stopped."""
    scale_up_after: PositiveDuration = timedelta(seconds=5)
    """One process more when all have been full for so long while tasks waited."""
    scale_down_after: PositiveDuration = timedelta(minutes=1)
    """One process less when half of the slots of the others would have done for so long."""

    # Sweeps
    sweep_interval: PositiveDuration = timedelta(seconds=5)
    """How often one of the workers of the same queues looks what is to be done; a sixth as often if all are empty."""
    reconcile_interval: PositiveDuration = timedelta(minutes=1)
    """How often it compares all places where a task can be, a bounded part at a time."""
    forward_batch: Annotated[int, Field(gt=0, le=limits.MOST_FORWARDED)] = 1000
    """Due tasks moved by one request, at most; up to 1000."""
    janitor_batch: Annotated[int, Field(gt=0, le=limits.MOST_DELETED)] = 100
    """Tasks deleted by one request, at most; up to 1000."""
    archive_max: PositiveInt = 10_000
    """Archived tasks kept per queue."""
    archive_age: PositiveDuration = timedelta(days=90)
    """How long archived tasks are kept."""

    # Results and reports
    result_retention: Duration = timedelta(minutes=10)
    """How long a task whose function returns a value is kept, if it does not say so itself."""
    result_limit_bytes: LimitBytes = 4 * MEBIBYTE
    """The size of a result, at most; a larger one fails its task. The same as that of a payload."""
    result_poll: PositiveDuration = timedelta(seconds=1)
    """How often a waiting `result()` looks, besides listening: a Go worker announces nothing."""
    enqueue_batch: Annotated[int, Field(gt=0, le=limits.MOST_ENQUEUED)] = 500
    """Tasks sent by one request of `enqueue_many`, at most; up to 1000."""
    report_interval: PositiveDuration = timedelta(milliseconds=500)
    """How often progress and log lines of a running task are written, at most."""
    log_limit_bytes: PositiveInt = 64 * 1024
    """The log kept with one task; the oldest lines go."""
    log_line_limit_bytes: PositiveInt = 4096
    """One line of that log; what is longer is cut."""
    traceback_limit_bytes: Annotated[int, Field(ge=0)] = 8192
    """The traceback of its last error that is kept with a task, at most; 0 keeps none."""
    task_log_level: Literal["debug", "info"] = "debug"
    """The level at which the begin and end of each task are logged. `rota dev` takes `info`, so that they show."""

    # Groups
    group_grace: Annotated[Duration, Field(ge=timedelta(seconds=1))] = timedelta(minutes=1)
    """How long a group waits for another task before it is aggregated."""
    group_max_delay: PositiveDuration | None = None
    """How long a group waits at most, however many tasks keep coming."""
    group_max_size: PositiveInt | None = None
    """The size at which a group is aggregated at once."""
    group_concurrency: PositiveInt = 10
    """How many groups each aggregator joins at the same time in a worker process, which holds their tasks in memory."""
    group_interval: PositiveDuration = timedelta(seconds=1)
    """How often groups are looked at where the server does not tell of changed keys (`wake_up="poll"`, or no right)."""

    _origins: dict[str, str] = PrivateAttr(default_factory=dict[str, str])

    def __init__(self, **said: Any) -> None:
        """Collect the settings. Those that are said here win over all other sources."""
        known = type(self).model_fields
        values, origins = collect(said, known)
        try:
            super().__init__(**values)
        except ValidationError as error:
            sentences = [_sentence(item, known, origins) for item in error.errors(include_url=False)]
            # Not chained: the traceback of pydantic's error shows the values, and one may be a password.
            raise ConfigError(" ".join(sentences)) from None
        self._origins = origins

    @model_validator(mode="after")
    def _check_together(self) -> "Settings":
        if self.heartbeat * 2 > self.lease:
            raise ConfigError(
                f"heartbeat ({display(self.heartbeat)}) must be at most half of lease ({display(self.lease)}): "
                "one late beat would lose every task."
            )
        if self.lease % timedelta(seconds=1):
            raise ConfigError(f"lease is {display(self.lease)}, but Redis counts it in whole seconds: round it up.")
        if self.group_max_delay is not None and self.group_max_delay < self.group_grace:
            raise ConfigError("group_max_delay is shorter than group_grace: no group could wait as long as it should.")
        return self

    def updated(self, **words: Any) -> "Settings":
        """Return these settings with some replaced, checked again. The replaced ones count as said by the code."""
        return self._replaced(words, dict.fromkeys(words, CODE))

    def updated_by(self, line: CommandLine) -> "Settings":
        """Return these settings with those of a command line, checked again. An error names the option."""
        return self._replaced(line.values, line.options)

    def _replaced(self, words: Mapping[str, Any], sources: Mapping[str, str]) -> "Settings":
        kept = {name: source for name, source in self._origins.items() if source not in LOOKED_UP}
        said = {name: getattr(self, name) for name in kept}
        return Settings(**{**said, **words, ORIGINS: {**kept, **sources}})

    def source_of(self, name: str) -> str:
        """Where a setting comes from: `code`, `environment`, `pyproject.toml`, `default`, or an option like `--set`."""
        return self._origins.get(name, "default")

    def table(self) -> list[Origin]:
        """Every setting with its value, its source and what it is for. Secrets are masked."""
        about = abouts(type(self))
        return [
            Origin(name, shown(name, getattr(self, name)), self.source_of(name), about.get(name, ""))
            for name in type(self).model_fields
        ]

    def environment_warnings(self) -> list[str]:
        """Return one sentence for each variable that begins with `ROTA_` and is not a setting."""
        known = [f"{ENVIRONMENT_PREFIX}{name}".upper() for name in type(self).model_fields]
        return [
            f"{name} is set, but there is no such setting: it changes nothing. {_advice(name.upper(), known)}"
            for name in sorted(os.environ)
            if name.upper().startswith(ENVIRONMENT_PREFIX) and name.upper() not in known
        ]

    @field_serializer("url", when_used="json")
    def _mask_url(self, url: str) -> str:
        return shown("url", url)

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        for name, value in super().__repr_args__():
            yield name, shown("url", value) if name == "url" else value


def _advice(name: str, known: Iterable[str]) -> str:
    near = nearest(name, known)
    return f"Did you mean {near}?" if near else "`rota config` lists them."


def _sentence(item: "ErrorDetails", known: Iterable[str], origins: Mapping[str, str]) -> str:
    name = str(item["loc"][0]) if item["loc"] else "?"
    place = origins.get(name, "default")
    if item["type"] == "extra_forbidden":
        return f"There is no setting {name!r} (from {place}). {did_you_mean(name, known)}"
    said = item["msg"].removeprefix("Value error, ").rstrip(".")
    return f"The setting {name} (from {place}) is wrong: {said}."
