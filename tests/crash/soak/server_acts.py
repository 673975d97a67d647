"""What happens to the server of a soak, and to the wire on the way to it."""

import random
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from functools import partial

from tests.crash import outages
from tests.crash.outages import Outage
from tests.crash.proxy import Proxy
from tests.crash.soak.choices import Act
from tests.crash.soak.spell import Spell
from tests.servers.process import Server

SECONDS = (0.5, 4.0)
"""Shorter than a lease, so that a worker that lives keeps its tasks."""


def server_acts(of: Iterable[Outage], draw: Callable[[random.Random], Server | None], spell: Spell) -> dict[str, Act]:
    """Each of these outages, of the server that is drawn."""

    def suffer(outage: Outage, chance: random.Random) -> bool:
        seconds, server = chance.uniform(*SECONDS), draw(chance)
        if spell.lasts or server is None:
            return False
        return spell.begin(partial(outage, server), 0 if outage in outages.AT_ONCE else seconds)

    return {outages.name(outage): Act(2, partial(suffer, outage)) for outage in of}


def wire_acts(proxy: Proxy, spell: Spell) -> dict[str, Act]:
    """What only those notice who go through the proxy."""

    def suffer(outage: Callable[[], AbstractContextManager[None]], chance: random.Random) -> bool:
        return spell.begin(outage, chance.uniform(*SECONDS))

    def cut(_: random.Random) -> bool:
        proxy.cut()
        return True

    answers = {f"answered {error.split()[0]}": partial(proxy.answering, error) for error in outages.ANSWERS}
    return {
        **{name: Act(1, partial(suffer, answering)) for name, answering in answers.items()},
        "half-open connections": Act(2, partial(suffer, proxy.swallowing)),
        "slow wire": Act(1, partial(suffer, partial(proxy.delaying, 0.05))),
        "connections cut on the way": Act(2, cut),
    }
