"""The tasks of a soak: of every kind, in several queues, quick and slow, failing, unique, in groups, cancelled."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from rota.app import Rota
from rota.tasks.job import Plan
from rota.tasks.policy import Unique

QUEUES = {"critical": 6, "default": 3, "low": 1, "groups": 2}
"""With their weights. Members of groups have one of their own."""
KINDS = {"crash:loop": 40, "crash:thread": 20, "crash:result": 20, "crash:process": 1, "crash:member": 15}
TROUBLES = {
    "": 800, "fails": 80, "fails for good": 5, "too slow": 10, "delayed": 80, "unique": 30, "kept": 40, "cancel": 10,
    "delete": 10, "deadly": 0.1, "blocks": 1, "holds": 1,
}  # fmt: skip
Whim = Literal["", "cancel", "delete"]


@dataclass(frozen=True, slots=True)
class Parcel:
    """A plan, what its producer does with it afterwards, and the lock that no other task may run under."""

    plan: Plan[Any]
    whim: Whim = ""
    lock: str = ""

    @property
    def id(self) -> str:
        return self.plan.options.task_id or ""

    @property
    def queue(self) -> str:
        return self.plan.options.queue or "default"


def cargo(app: Rota, name: str, chance: random.Random) -> Iterator[Parcel]:
    """Draw for ever."""
    number = 0
    while True:
        number += 1
        yield _parcel(app, f"{name}-{number}", chance)


def _parcel(app: Rota, task_id: str, chance: random.Random) -> Parcel:
    [kind] = chance.choices(list(KINDS), list(KINDS.values()))
    [trouble] = chance.choices(list(TROUBLES), list(TROUBLES.values()))
    order: dict[str, Any] = {"seconds": chance.choice((0, 0, 0.01, 0.05, 0.5))}
    words: dict[str, Any] = {"task_id": task_id, "queue": chance.choice([each for each in QUEUES if each != "groups"])}
    lock, whim = "", ""
    if kind == "crash:member":
        words |= {"queue": "groups", "group": f"g{chance.randrange(3)}"}
        return Parcel(app.plan(kind, order, **words))
    match trouble:
        case "fails":
            order["fail"] = chance.choice((1, 2))
        case "fails for good":
            order["fail"], words["max_retry"] = 99, chance.randrange(3)
        case "too slow":
            kind, order["seconds"] = "crash:loop", 9
            words |= {"timeout": "1s", "max_retry": chance.randrange(2)}
        case "delayed":
            words["delay"] = f"{chance.randrange(2000)}ms"
        case "unique":
            kind, order["seconds"] = "crash:loop", 0.5
            scope, key = chance.choice(("running", "queued", "ttl")), f"k{chance.randrange(3)}"
            words["unique"] = Unique("5s" if scope == "ttl" else None, scope=scope, key=key)
            lock = f"{words['queue']} {key}" if scope == "running" else ""
        case "kept":
            kind, words["retention"] = "crash:result", chance.choice(("2s", "2s", "2s", "2h"))
        case "cancel" | "delete":
            kind, order["seconds"] = "crash:loop", chance.choice((0, 0.5, 2))
            words["delay"] = f"{chance.choice((0, 0, 500))}ms"
            whim = trouble
        case "blocks" | "holds":  # the event loop, or the whole interpreter
            kind, order["seconds"] = f"crash:{'block' if trouble == 'blocks' else 'gil'}", chance.choice((0.3, 1, 3))
        case "deadly":
            kind, order["die"] = "crash:loop", "SIGKILL"
    return Parcel(app.plan(kind, order, **words), whim, lock)
