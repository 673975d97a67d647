"""The whole examination: server, permissions, queues and all tasks, in this order, because each needs those before."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from rota.broker import Broker
from rota.core.text import counted
from rota.errors import BrokerError, BrokerRefused
from rota.inspect.doctor.discrepancies import compare, not_compared
from rota.inspect.doctor.finding import Finding, error, note, refused
from rota.inspect.doctor.queues import queues
from rota.inspect.doctor.sample import Sample, take
from rota.inspect.doctor.schedules import schedules
from rota.inspect.doctor.server_settings import clock, server
from rota.inspect.doctor.types import types
from rota.inspect.doctor.user_rights import user_rights
from rota.inspect.inspector import Inspector
from rota.wire.rights import Role

MOST_NAMED = 3


@dataclass(frozen=True, slots=True)
class Examination:
    """The findings. `queues`, `servers` and `tasks` are the numbers of queues, workers and tasks that were checked.

    `discrepancies` counts by queue and kind what a repair would look at.
    """

    findings: Sequence[Finding]
    queues: int = 0
    servers: int = 0
    tasks: int = 0
    discrepancies: Mapping[str, Mapping[str, int]] = field(default_factory=dict[str, Mapping[str, int]])

    @property
    def healthy(self) -> bool:
        """Whether there are only notes, but no errors and no warnings."""
        return all(finding.severity == "note" for finding in self.findings)


async def examine(
    broker: Broker,
    *,
    role: Role = "worker",
    archive_max: int = 10_000,
    handles: Callable[[str], bool] | None = None,
) -> Examination:
    """Check the broker, its contents, and the permissions that its user needs for `role`.

    `handles` returns whether the app has a handler for a task type.
    """
    try:
        found = [*await server(broker), *await user_rights(broker, role)]
    except BrokerRefused as refusal:
        return Examination([refused(refusal)])
    except BrokerError as failure:
        return Examination([_away(failure)])
    try:
        sample = await take(Inspector(broker))
    except BrokerError as failure:
        return Examination([*found, _unseen(failure, role)])
    found += await clock(broker, len(sample.go_servers))
    found += [*queues(sample, archive_max), *types(sample, handles), *_go(sample)]
    found += await schedules(broker)
    seen = Examination(found, len(sample.queues), len(sample.servers))
    try:
        discrepancies, tasks = await compare(broker)
    except BrokerError as failure:
        return replace(seen, findings=[*found, not_compared(failure, role)])
    return replace(
        seen, findings=[*found, *discrepancies.findings()], tasks=tasks, discrepancies=dict(discrepancies.counts)
    )


def _away(failure: BrokerError) -> Finding:
    return error("server", str(failure), "The server could not be reached.", "Start it, or correct the URL.")


def _unseen(failure: BrokerError, role: Role) -> Finding:
    # Inspecting needs permissions that a worker or a producer does not, so their absence is not an error there.
    make = note if isinstance(failure, BrokerRefused) and role != "inspector" else error
    return make(
        "not-looked-at",
        f"Queues and servers could not be looked at: {failure}",
        "The user of the broker URL lacks the rights of an inspector, or the server does not answer any more.",
        "Run the doctor as a user with the rights of an inspector.",
    )


def _go(sample: Sample) -> list[Finding]:
    servers = sample.go_servers
    if not servers:
        return []
    named = ", ".join(f"{server.host}:{server.pid}" for server in servers[:MOST_NAMED])
    more = f" and {len(servers) - MOST_NAMED} more" if len(servers) > MOST_NAMED else ""
    return [
        note(
            "go-servers",
            f"The queues are shared with {counted(len(servers), 'Go server')}: {named}{more}.",
            "They check no attempt tokens, and a crash there costs a retry. What they held comes back after 65 s "
            "instead of 45 s. A server does not tell its version.",
            "Run Asynq 0.24.1 or later there: Rota is tested against 0.26.0.",
        )
    ]
