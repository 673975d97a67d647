"""Every setting of Rota, in groups by what it belongs to: `settings.broker.url`, `settings.worker.concurrency`.

A setting has one name, which no other group uses. It is a keyword of `Settings` and `app.worker`, a key of
`[tool.rota]`, and with `ROTA_` in front a variable of the environment; only the code that reads it names the group as
well. Durations are written as everywhere in Rota: `"30s"`, seconds, or a timedelta. The text below a setting is its
description in `rota config` and in the docs.
"""

from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    field_serializer,
    model_validator,
)

from rota.core.duration import Duration, display
from rota.errors import ConfigError
from rota.settings.origin import shown
from rota.settings.values import ProcessRange, check_processes, check_queues, check_zone, read_processes, read_queues
from rota.wire.script import MOST_DELETED, MOST_ENQUEUED, MOST_FETCHED, MOST_FORWARDED, MOST_RECORDED

MEBIBYTE = 1024 * 1024
DEFAULT_URL = "redis://localhost:6379/0"

WhenAway: TypeAlias = Literal["wait", "fail"]
WakeUp: TypeAlias = Literal["auto", "tracking", "poll"]
PositiveInt: TypeAlias = Annotated[int, Field(gt=0)]
LimitBytes: TypeAlias = Annotated[int, Field(gt=0, le=256 * MEBIBYTE)]
"""Redis accepts values of up to 512 MB, and a request holds a result together with other results."""
PositiveDuration: TypeAlias = Annotated[Duration, Field(gt=timedelta(0))]
Queues: TypeAlias = Annotated[dict[str, PositiveInt], AfterValidator(check_queues), BeforeValidator(read_queues)]
Processes: TypeAlias = Annotated[ProcessRange, AfterValidator(check_processes), BeforeValidator(read_processes)]


class SettingGroup(BaseModel):
    """Settings that belong together. They cannot be changed."""

    # Pydantic builds the validator of a group as a part of that of `Settings`. Without `defer_build`, it would build
    # another one for each group alone, which would cost a producer 4 ms at its start.
    model_config = ConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, validate_default=True, defer_build=True
    )


class CliSettings(SettingGroup):
    """The command line."""

    app: str | None = None
    """The app of the command line: `module:app`, then after commas further modules, or patterns as `shop.**.tasks`."""


class BrokerSettings(SettingGroup):
    """The server, and the connections to it."""

    url: str = DEFAULT_URL
    """Redis or Valkey: `redis://`, `rediss://`, `unix://`, `redis-sentinel://`, `redis+cluster://`."""
    key_prefix: Annotated[str, Field(min_length=1)] = "asynq"
    """The first word of every key. With another prefix than Asynq's, Go programs do not see the tasks."""
    username: str | None = None
    """The user name. Overrides the user name in the URL."""
    password: SecretStr | None = None
    """The password. Overrides the password in the URL."""
    sentinel_username: str | None = None
    """The user name for the sentinels, if it differs from the master's."""
    sentinel_password: SecretStr | None = None
    """The password for the sentinels, if it differs from the master's."""
    tls_ca: Path | None = None
    """A file of certificate authorities to trust instead of the system's."""
    tls_cert: Path | None = None
    """This client's certificate."""
    tls_key: Path | None = None
    """The key of this client's certificate."""
    tls_verify: bool = True
    """Whether the server's certificate is checked."""
    tls_server_name: Annotated[str, Field(min_length=1)] | None = None
    """The name that the server's certificate has to be for, instead of the host of the URL."""
    client_name: str = "rota"
    """The name of the connections in the server's `CLIENT LIST`."""
    connect_timeout: PositiveDuration = timedelta(seconds=5)
    """The time limit for opening a connection."""
    response_timeout: PositiveDuration = timedelta(seconds=10)
    """The time limit for one reply."""
    retry_for: Duration = timedelta(seconds=3)
    """How long a request is retried if it was not carried out, or if its answer was lost."""

    @field_serializer("url", when_used="json")
    def _mask_url(self, url: str) -> str:
        return shown("url", url)

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        for name, value in super().__repr_args__():
            yield name, shown("url", value) if name == "url" else value


class EnqueueSettings(SettingGroup):
    """Enqueueing: size limits, batches, and when to wait for the server and its replicas."""

    when_away: WhenAway = "wait"
    """Whether an enqueue waits for `retry_for` while the server is away (`wait`), or fails at once (`fail`)."""
    payload_limit_bytes: LimitBytes = 4 * MEBIBYTE
    """The largest size of a payload, and of all headers together. Enqueueing a larger one is refused."""
    wait_replicas: Annotated[int, Field(ge=0)] = 0
    """How many replicas must have a task before its enqueue returns."""
    wait_replicas_timeout: PositiveDuration = timedelta(seconds=1)
    """How long an enqueue waits for the replicas."""
    replicas_missing: Literal["raise", "warn"] = "raise"
    """With too few replicas after that time, an enqueue raises NotReplicated (`raise`) or logs a warning (`warn`)."""
    enqueue_batch: Annotated[int, Field(gt=0, le=MOST_ENQUEUED)] = 500
    """Tasks sent by one request of `enqueue_many`, at most; up to 1000."""


class WorkerSettings(SettingGroup):
    """Fetching and running tasks in one worker process."""

    queues: Queues = Field(default_factory=lambda: {"default": 1})
    """Queues with their weights, as `critical=6,default=3` or as JSON; names may be patterns like `mail:*`."""
    strict_priority: bool = False
    """Whether tasks of a queue are fetched only while all queues with a greater weight are empty."""
    queue_refresh: PositiveDuration = timedelta(seconds=1)
    """How often patterns are matched against new queues. The server notifies only idle workers of new queues."""
    concurrency: PositiveInt = 50
    """Tasks that run at once in one worker process."""
    fetch_batch: Annotated[int, Field(gt=0, le=MOST_FETCHED)] = 100
    """Tasks fetched by one request, at most; up to 500."""
    record_batch: Annotated[int, Field(gt=0, le=MOST_RECORDED)] = 500
    """Outcomes recorded by one request, at most; up to 500."""
    wake_up: WakeUp = "auto"
    """How an idle worker learns of new tasks: `tracking`, `poll`, or `auto`: tracking where the server allows it."""
    slow_poll: PositiveDuration = timedelta(minutes=2)
    """How often an idle worker polls although the server has not notified it of any tasks."""
    unknown_task_delay: PositiveDuration = timedelta(seconds=30)
    """How long a task is delayed if no worker here has a handler for its type."""
    lease: Annotated[Duration, Field(ge=timedelta(seconds=5))] = timedelta(seconds=30)
    """How long a worker holds a task without extending its lease."""
    heartbeat: PositiveDuration = timedelta(seconds=5)
    """How often leases are extended and the worker's record in Redis is written."""
    max_crashes: PositiveInt = 3
    """Quarantine a task after this many workers died while holding it, whether they had started it or not."""
    hook_timeout: PositiveDuration = timedelta(seconds=30)
    """The time limit for all hooks of one run together. Then they are cancelled; the outcome of the task stays."""
    shutdown_timeout: Duration = timedelta(seconds=8)
    """How long running tasks may continue after a stop, before they are handed back."""
    restart_after_fault: bool = False
    """Whether `app.worker()` starts again after an internal fault of the worker, instead of raising it in its block."""

    @model_validator(mode="after")
    def _check_lease(self) -> "WorkerSettings":
        if self.heartbeat * 2 > self.lease:
            raise ConfigError(
                f"heartbeat ({display(self.heartbeat)}) must be at most half of lease ({display(self.lease)}): "
                "one late beat would lose every task."
            )
        if self.lease % timedelta(seconds=1):
            raise ConfigError(f"lease is {display(self.lease)}, but Redis counts it in whole seconds: round it up.")
        return self


class PoolSettings(SettingGroup):
    """The pool processes, which run the tasks with `run="process"`. Each worker process has its own pool of them."""

    pool_size: Annotated[int, Field(ge=0)] = 0
    """Pool processes for `run="process"` in one worker process; 0 means one for each core."""
    pool_max_tasks: Annotated[int, Field(ge=0)] = 0
    """Tasks after which a pool process is replaced; 0 means never."""


class SupervisorSettings(SettingGroup):
    """The worker processes of `rota worker`, which a supervisor starts, replaces and scales."""

    processes: Processes = ProcessRange(1, 1)
    """Worker processes of `rota worker`: a number, or a range like `1..8` in which it follows the load."""
    scheduler: bool = True
    """Whether `rota worker` runs a scheduler beside the workers, if the app declares schedules or a store is set."""
    process_max_tasks: Annotated[int, Field(ge=0)] = 0
    """Tasks after which a worker process is replaced; 0 means never."""
    process_max_age: PositiveDuration | None = None
    """The age at which a worker process is replaced."""
    process_max_rss_mb: Annotated[int, Field(ge=0)] = 0
    """The resident memory in MiB at which a worker process is replaced; 0 means never."""
    process_start_timeout: PositiveDuration = timedelta(minutes=5)
    """Kill and replace a process that has not loaded the app within this time, except the first one of a fleet."""
    process_hang_after: PositiveDuration | None = None
    """Kill a process that has not reported for this time, and return its tasks to their queues. Off by default."""
    process_drain: PositiveDuration = timedelta(minutes=10)
    """How long a worker process that is being replaced may finish its running tasks, before it is stopped."""
    scale_up_after: PositiveDuration = timedelta(seconds=5)
    """Start one more process when all processes have been full for this time while tasks waited."""
    scale_down_after: PositiveDuration = timedelta(minutes=1)
    """Stop one process when the remaining ones would have been at most half full for this time."""


class SweepSettings(SettingGroup):
    """The sweeps, by which a worker moves due tasks, recovers lost tasks and deletes old tasks."""

    sweep_interval: PositiveDuration = timedelta(seconds=5)
    """How often one of the workers of the same queues sweeps them; a sixth as often if all queues are empty."""
    lease_slack: Duration = timedelta(seconds=5)
    """How long after the end of its lease a task of a lost worker is returned to its queue."""
    go_lease_slack: Duration = timedelta(seconds=30)
    """The same for a task of a Go server. It is longer because that lease follows the clock of the server's machine."""
    forward_batch: Annotated[int, Field(gt=0, le=MOST_FORWARDED)] = 1000
    """Due tasks moved by one request, at most; up to 1000."""
    janitor_batch: Annotated[int, Field(gt=0, le=MOST_DELETED)] = 100
    """Tasks deleted by one request, at most; up to 1000."""
    archive_max: PositiveInt = 10_000
    """Archived tasks kept per queue."""
    archive_age: PositiveDuration = timedelta(days=90)
    """How long archived tasks are kept."""


class AggregationSettings(SettingGroup):
    """Groups of tasks that an aggregator joins into one task."""

    group_grace: Annotated[Duration, Field(ge=timedelta(seconds=1))] = timedelta(minutes=1)
    """How long a group waits for another task before it is aggregated."""
    group_max_delay: PositiveDuration | None = None
    """How long a group waits at most while further tasks keep arriving."""
    group_max_size: PositiveInt | None = None
    """The size at which a group is aggregated at once."""
    group_concurrency: PositiveInt = 10
    """How many groups each aggregator joins at once in a worker process, which holds their tasks in memory."""
    group_interval: PositiveDuration = timedelta(seconds=1)
    """How often groups are polled where the server does not notify of changed keys (as with `wake_up="poll"`)."""

    @model_validator(mode="after")
    def _check_delay(self) -> "AggregationSettings":
        if self.group_max_delay is not None and self.group_max_delay < self.group_grace:
            raise ConfigError("group_max_delay is shorter than group_grace: no group could wait as long as it should.")
        return self


class ResultSettings(SettingGroup):
    """Results of tasks."""

    result_limit_bytes: LimitBytes = 4 * MEBIBYTE
    """The largest size of a result. A larger one fails its task."""
    result_poll: PositiveDuration = timedelta(seconds=1)
    """How often a waiting `result()` polls besides its subscription, because Go servers do not announce results."""


class ScheduleSettings(SettingGroup):
    """Schedules."""

    timezone: Annotated[str, AfterValidator(check_zone)] = "UTC"
    """The time zone of a schedule that names none, such as `Europe/Berlin`."""


class LogSettings(SettingGroup):
    """Log lines, and the texts that are stored with a task about its run."""

    log: Literal["text", "json"] = "text"
    """How the commands write log lines: as text, or as one JSON object a line for a log collector."""
    task_log_level: Literal["debug", "info"] = "debug"
    """The level at which the start and end of each task are logged. `rota dev` uses `info`, so that they are shown."""
    report_interval: PositiveDuration = timedelta(milliseconds=500)
    """How often progress and log lines of a running task are written, at most."""
    log_limit_bytes: PositiveInt = 64 * 1024
    """The largest size of the log that is stored with a task. A full log drops its oldest lines."""
    log_line_limit_bytes: PositiveInt = 4096
    """The largest size of one line of that log. A longer line is cut."""
    traceback_limit_bytes: Annotated[int, Field(ge=0)] = 8192
    """The largest size of the traceback that is stored with a task for its last error; 0 stores none."""
    attempts_limit_bytes: Annotated[int, Field(ge=0)] = 16 * 1024
    """The largest size of the attempts that are stored with a task: the first, and the last ones that fit. 0: none."""


class HealthSettings(SettingGroup):
    """When a worker is live and ready, and where it answers health probes."""

    ready_within: PositiveDuration = timedelta(seconds=12)
    """A worker is ready if it could reach the broker, fetch and record within this time (at least two heartbeats)."""
    live_within: PositiveDuration = timedelta(minutes=10)
    """A worker is live if its event loop has been blocked for less than this time."""
    blocked_after: PositiveDuration = timedelta(seconds=1)
    """A task that blocks the event loop for longer than this is named in the log."""
    health_port: Annotated[int, Field(ge=0, le=65535)] | None = None
    """The port of `/live`, `/ready` and `/metrics`. Unset, no port is opened; with 0 the system chooses a free one."""
    health_host: str = "127.0.0.1"
    """The address to which that port is bound; `0.0.0.0` for probes from outside of the machine or container."""
    health_dir: Path | None = None
    """The folder in which `rota health` finds the workers of this machine. Unset, a folder in the temporary folder."""


class DatabaseSettings(SettingGroup):
    """The store, which is the database of schedules and their runs."""

    store: str | None = None
    """The database: `sqlite:///path`, `postgresql://` or `mysql://`. If unset, commands use `.rota/rota.db`."""
    run_age: PositiveDuration = timedelta(days=90)
    """How long the runs of schedules are kept."""
    run_max: PositiveInt = 1000
    """Runs kept of each schedule, at most."""
    deleted_age: PositiveDuration = timedelta(days=7)
    """How long deleted tasks are kept for undo."""
    deleted_max_bytes: PositiveInt = 256 * 1024 * 1024
    """Bytes kept of deleted tasks, at most; the oldest ones go first."""
    version_max: PositiveInt = 200
    """Versions kept of each schedule, at most. Those younger than `run_age` are kept in any case, for their runs."""
    audit_age: PositiveDuration = timedelta(days=730)
    """How long the rows of the audit are kept."""

    @field_serializer("store", when_used="json")
    def _mask_url(self, url: str | None) -> str | None:
        return None if url is None else shown("store", url)

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        for name, value in super().__repr_args__():
            yield name, shown("store", value) if name == "store" else value
