"""Checks the permissions of the user of the broker URL by trying commands that change nothing.

Most commands are tried inside the script `try_rights`, which cannot write. The other ones are tried directly, in a form
without effect (`_TRIALS`).
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from typing import Any

from rota.broker import Broker
from rota.errors import BrokerRefused
from rota.inspect.doctor.finding import Finding, error, note
from rota.wire import rights
from rota.wire.rights import OPTIONAL, Role
from rota.wire.script import Call, load

_QUEUE = "rota-doctor"
_OUTSIDE_OF_SCRIPTS = {
    "CLIENT|TRACKING",
    "CLIENT|TRACKINGINFO",
    "SUBSCRIBE",
    "UNSUBSCRIBE",
    "WAIT",
    "ROLE",
    "SELECT",
    "EVAL",
    "EVALSHA",
}
_NOT_TRIED = {"CLUSTER|SLOTS", "ASKING"}
_NOTHING = "0" * 40


async def user_rights(broker: Broker, role: Role) -> list[Finding]:
    """Try the commands, keys and channels that a role needs."""
    try:
        missing = [name async for name in _missing(broker, role)]
    except BrokerRefused as refusal:
        return [_untried(refusal)]
    optional = OPTIONAL.keys() - ({"SCAN"} if role in ("repairer", "operator") else set())
    needed, useful = [m for m in missing if m not in optional], [m for m in missing if m in optional]
    found: list[Finding] = []
    if needed:
        found.append(
            error(
                "rights",
                f"The user of the broker URL lacks rights that a {role} needs: {', '.join(needed)}.",
                "An ACL of the server forbids them, or names other keys or channels than "
                f"{' and '.join(rights.keys(broker.keys.prefix))}.",
                f"ACL SETUSER <user> {_grants(needed)}; the page has the whole rule.",
            )
        )
    found += [
        note("rights", f"The user of the broker URL may not run {name}.", f"{OPTIONAL[name]}.", _grants([name]))
        for name in useful
    ]
    return found


def _untried(refusal: BrokerRefused) -> Finding:
    if "may not run EVAL" in str(refusal):
        return error("rights", "The user of the broker URL may not run scripts.", str(refusal), "+eval +evalsha")
    return note(
        "rights",
        "The rights of the user were not tried.",
        f"That needs scripts with flags, so Redis 7 or Valkey: {refusal}",
        "Compare the ACL with the rule on the page.",
    )


def _grants(names: Iterable[str]) -> str:
    return " ".join(f"'~{name[4:]}'" if name.startswith("key ") else f"+{name.lower()}" for name in names)


async def _missing(broker: Broker, role: Role) -> AsyncIterator[str]:
    names = [name for name in rights.commands(role) if name not in _OUTSIDE_OF_SCRIPTS | _NOT_TRIED]
    refused: set[str] | None = None
    for key, pattern in _probe_keys(broker).items():
        try:
            found = await broker.run(_try(key, names))
        except BrokerRefused as refusal:
            if " key" not in str(refusal):
                raise
            yield f"key {pattern}"
        else:
            refused = found if refused is None else refused & found
    for name in sorted(refused or ()):
        yield name
    for name in sorted(set(_TRIALS).intersection(rights.commands(role))):
        if not await _may(_TRIALS[name], broker):
            yield name


def _probe_keys(broker: Broker) -> dict[str, str]:
    """Return keys that do not exist, one for each key pattern."""
    keys = broker.keys
    queue = keys.queue(_QUEUE)
    patterns = rights.keys(keys.prefix)
    return {queue.base + "probe": patterns[0], queue.own("probe"): patterns[-1]}


def _try(key: str, names: Sequence[str]) -> Call[set[str]]:
    return Call(load("try_rights"), (key,), names, lambda reply: {name.decode() for name in reply})


async def _may(trial: Callable[[Broker], Awaitable[Any]], broker: Broker) -> bool:
    try:
        await trial(broker)
    except BrokerRefused as refusal:
        # A denied key, in place of the command, has been reported by `_missing` already.
        return "may not run" not in str(refusal) or " key" in str(refusal)
    return True


async def _listen(broker: Broker) -> None:
    async with broker.subscribe(broker.keys.cancel, broker.keys.queue(_QUEUE).ended("probe")):
        pass


_TRIALS: dict[str, Callable[[Broker], Awaitable[Any]]] = {
    "CLIENT|TRACKING": lambda broker: broker.execute("CLIENT", "TRACKING", "OFF"),
    "CLIENT|TRACKINGINFO": lambda broker: broker.execute("CLIENT", "TRACKINGINFO"),
    "WAIT": lambda broker: broker.execute("WAIT", 0, 1),
    "EVALSHA": lambda broker: broker.execute("EVALSHA", _NOTHING, 0),
    "SUBSCRIBE": _listen,
}
