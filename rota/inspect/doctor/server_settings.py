"""Checks the server: eviction, persistence, and its clock."""

import time
from collections.abc import Iterator

from rota.broker import Broker
from rota.broker.server_info import NO_INFO, ServerInfo
from rota.inspect.doctor.finding import Finding, error, note, warning

MOST_SKEW_SECONDS = 1.0
HARMFUL_SKEW_SECONDS = 30.0


async def server(broker: Broker) -> list[Finding]:
    """Check the settings of the server. Raises `BrokerRefused` with the reason if it cannot be used."""
    facts = await broker.check()
    return [*_memory(facts), *_persistence(facts), *_silence(facts)]


async def clock(broker: Broker, go_servers: int) -> list[Finding]:
    """Compare the clock of each master with the clock of this machine."""
    before = time.time()
    times = await broker.execute_everywhere("TIME")
    after = time.time()
    skews = {server: _skew(before, reply, after) for server, reply in times.items()}
    wrong = {server: skew for server, skew in skews.items() if skew > MOST_SKEW_SECONDS}
    if not wrong:
        return []
    harmful = max(wrong.values()) > HARMFUL_SKEW_SECONDS or go_servers > 0
    make = warning if harmful else note
    named = ", ".join(f"{skew:.1f} s from {server}" for server, skew in wrong.items())
    return [
        make(
            "clock-skew",
            f"The clock of this machine differs by {named}.",
            "Rota goes by the server's clock alone. Go's clients and servers go by their own: delays, leases and "
            "deadlines of theirs are wrong by so much.",
            "Let all machines keep time by NTP (chrony, systemd-timesyncd).",
        )
    ]


def _skew(before: float, reply: list[bytes], after: float) -> float:
    theirs = int(reply[0]) + int(reply[1]) / 1e6
    return max(before - theirs, theirs - after, 0.0)


def _memory(facts: ServerInfo) -> Iterator[Finding]:
    if facts.eviction_policy not in (None, "noeviction"):
        yield error(
            "eviction",
            f"The server evicts keys when its memory is full (maxmemory-policy {facts.eviction_policy}).",
            "A queue looks to it like a cache: tasks, locks and leases can vanish without a trace.",
            "CONFIG SET maxmemory-policy noeviction, and the same in its configuration.",
        )


def _persistence(facts: ServerInfo) -> Iterator[Finding]:
    if facts.append_only is not False:
        return
    if any("on disk" in text for text in facts.warnings):
        yield error(
            "persistence",
            "The server keeps nothing on disk: no append-only file, and no snapshot so far.",
            "Its restart loses every task.",
            "CONFIG SET appendonly yes, and the same in its configuration.",
        )
    else:
        yield warning(
            "persistence",
            "The server writes snapshots, and no append-only file.",
            "A crash loses every task since the last snapshot, and runs those again that have ended since.",
            "CONFIG SET appendonly yes, and the same in its configuration.",
        )


def _silence(facts: ServerInfo) -> Iterator[Finding]:
    if NO_INFO in facts.warnings:
        yield note(
            "unknown-server",
            "Version, eviction and persistence of the server are not known.",
            "The user of the broker URL may not run INFO.",
            "ACL SETUSER <user> +info, or run the doctor as another user.",
        )
