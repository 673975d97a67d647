"""The read of the broker itself: each server, its slow log, and the Cluster. A fact that is refused is not known."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from rota.client.operations import operation
from rota.client.steps import Act, Command, Everywhere
from rota.errors import BrokerRefused
from rota.inspect.broker_snapshot import BrokerSnapshot, NodeSnapshot, read_cluster, read_node
from rota.inspect.face import Reads
from rota.inspect.judgement import judge_node, judge_whole

SLOW_COMMANDS = 32


class BrokerReads(Reads):
    """Describes the read of the broker."""

    @operation
    def broker(self) -> Act[BrokerSnapshot]:
        """Return what each server says about itself, with a judgement in words.

        `INFO`, `SLOWLOG GET` and `CLUSTER INFO` may each be refused; then their facts are unknown.
        """
        infos: dict[str, bytes] = (yield from _permitted(Everywhere(("INFO",)))) or {}
        slow: dict[str, Any] = (yield from _permitted(Everywhere(("SLOWLOG", "GET", SLOW_COMMANDS)))) or {}
        names = list(infos) or list(slow) or list((yield Everywhere(("PING",))))
        now = datetime.now(UTC)
        nodes: list[NodeSnapshot] = []
        for name in names:
            node = read_node(name, infos.get(name), slow.get(name))
            nodes.append(replace(node, facts=judge_node(node, now)))
        cluster = None
        if self._mode == "cluster":
            told = yield from _permitted(Command(("CLUSTER", "INFO")))
            cluster = None if told is None else read_cluster(told)
        facts = judge_whole(self._mode, tuple(nodes), cluster)
        return BrokerSnapshot(mode=self._mode, nodes=tuple(nodes), cluster=cluster, facts=facts)


def _permitted(step: Command | Everywhere) -> Act[Any]:
    """Return the answer; None if the user may not run the command, or the server does not have it."""
    try:
        return (yield step)
    except BrokerRefused:
        return None
