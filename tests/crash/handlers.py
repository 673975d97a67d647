"""Handlers that do what their payload says, and write down the start and the end of every run."""

import asyncio
import contextlib
import ctypes
import functools
import itertools
import json
import os
import signal
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rota.app import Rota
from rota.tasks.context import Context
from rota.tasks.groups import GroupedTask
from rota.tasks.job import Plan
from rota.tasks.policy import Retry, Unique
from tests.crash.ledger import POLICY_RETRIES, RETRY_SECONDS, Writer

_runs = itertools.count()
AGAIN_SOON = Retry(max=POLICY_RETRIES, delay=RETRY_SECONDS)
ONE_QUEUED = Unique(scope="queued", key="again", on_conflict="raise")

TIME_IS_OVER = "context deadline exceeded"


def register(app: Rota, note: Writer, which: str = "") -> None:
    """Give an app all of them, or only the `old` ones."""

    @app.on_exhausted
    def tell(ctx: Context, error: BaseException) -> None:
        note("exhausted", task=ctx.id)

    _register_kinds(app, note)
    if which == "old":
        return
    _register_processes(app, note)
    _register_troublemakers(app, note)
    _register_groups(app, note)
    _register_again(app, note)


def _register_kinds(app: Rota, note: Writer) -> None:
    @app.handler("crash:loop", retry=AGAIN_SOON)
    async def loop(ctx: Context, payload: bytes) -> None:
        with noted(note, ctx):
            order = json.loads(payload)
            await last(order)
            obey(note, order, ctx.retried)

    @app.handler("crash:thread", retry=AGAIN_SOON)
    def thread(ctx: Context, payload: bytes) -> None:
        with noted(note, ctx):
            order = json.loads(payload)
            until = time.monotonic() + order.get("seconds", 0)
            while time.monotonic() < until:
                time.sleep(0.01)
            obey(note, order, ctx.retried)

    @app.handler("crash:result", retry=AGAIN_SOON)
    async def result(ctx: Context, payload: bytes) -> bytes:
        with noted(note, ctx):
            await last(json.loads(payload))
            return b"a result"


def _register_processes(app: Rota, note: Writer) -> None:
    app.handler("crash:process", run="process", retry=AGAIN_SOON)(process)

    @app.middleware
    async def note_processes(ctx: Context) -> AsyncGenerator[None]:
        """Write down here what runs there: a child that is killed with its task can't."""
        with noted(note, ctx) if ctx.type == "crash:process" else contextlib.nullcontext():
            yield


def process(ctx: Context, payload: bytes) -> None:
    """Run in a process of its own."""
    order = json.loads(payload)
    time.sleep(order.get("seconds", 0))
    hold_interpreter(order.get("hold", 0))
    fail(order, ctx.retried)


def _register_troublemakers(app: Rota, note: Writer) -> None:
    @app.handler("crash:spin", retry=AGAIN_SOON)
    def spin(ctx: Context, payload: bytes) -> None:
        """Compute in pure Python."""
        with noted(note, ctx):
            until = time.monotonic() + json.loads(payload)["seconds"]
            while time.monotonic() < until:
                pass

    @app.handler("crash:block", retry=AGAIN_SOON)
    async def block(ctx: Context, payload: bytes) -> None:
        """Block the event loop."""
        with noted(note, ctx):
            time.sleep(json.loads(payload)["seconds"])

    @app.handler("crash:gil", retry=AGAIN_SOON)
    def gil(ctx: Context, payload: bytes) -> None:
        """Call C code that never lets the interpreter go."""
        with noted(note, ctx):
            hold_interpreter(json.loads(payload)["seconds"])

    @app.handler("crash:stubborn", retry=AGAIN_SOON)
    async def stubborn(ctx: Context, payload: bytes) -> None:
        """Ignore the time limit once."""
        with noted(note, ctx):
            if ctx.retried == 0:
                until = time.monotonic() + json.loads(payload)["seconds"]
                while (left := until - time.monotonic()) > 0:
                    with contextlib.suppress(asyncio.CancelledError):
                        await asyncio.sleep(left)
                raise TimeoutError("at last")


def _register_groups(app: Rota, note: Writer) -> None:
    @app.handler("crash:digest", retry=AGAIN_SOON)
    async def digest(ctx: Context, payload: bytes) -> None:
        """Count as a run of each of its members."""
        with contextlib.ExitStack() as stack:
            members = json.loads(payload)["members"]
            note("joined", task=ctx.id, members=members)
            for member in members:
                stack.enter_context(noted(note, ctx, member))

    @app.aggregator("crash:member")
    async def join(group: str, tasks: list[GroupedTask]) -> Plan[Any]:
        order = json.loads(tasks[0].payload)
        note("joining", group=group)
        await last(order)
        if "fail_once" in order and _first(order["fail_once"]):
            raise ValueError("the aggregation fails, as ordered")
        return app.plan("crash:digest", {"members": [task.id for task in tasks]})


def _first(mark: str) -> bool:
    with contextlib.suppress(FileExistsError):
        Path(mark).touch(exist_ok=False)
        return True
    return False


def _register_again(app: Rota, note: Writer) -> None:
    @app.handler("crash:again", retry=AGAIN_SOON)
    async def again(ctx: Context, payload: bytes) -> None:
        """Enqueue itself, so many times, under one key."""
        with noted(note, ctx):
            left, following = json.loads(payload)["left"], {f"{ctx.id}+": ctx.queue}
            if left:
                note.accepted(following, "unsure")
                await app.enqueue(ctx.type, {"left": left - 1}, task_id=f"{ctx.id}+", unique=ONE_QUEUED)
                note.accepted(following)


async def last(order: dict[str, Any]) -> None:
    """Take as long as ordered; where a gate is named, from when it is open."""
    if "gate" in order:
        await asyncio.shield(_open(order["gate"]))
    await asyncio.sleep(order.get("seconds", 0))


@functools.cache
def _open(gate: str) -> asyncio.Task[None]:
    """Look for a gate once for all who wait at it: they may be thousands."""

    async def look() -> None:
        while not Path(gate).exists():
            await asyncio.sleep(0.02)

    return asyncio.create_task(look())


def hold_interpreter(seconds: float) -> None:
    """Call C code that lets no other thread of this process run."""
    ctypes.PyDLL(None).usleep(int(seconds * 1e6))


@contextmanager
def noted(note: Writer, ctx: Context, member: str = "") -> Iterator[None]:
    """Write the start and the end of a run down: of the task, or of a member of the group that it was made of."""
    pid, task = os.getpid(), member or ctx.id
    run = f"{pid}-{next(_runs)}"
    note("start", task=task, run=run, pid=pid, retried=ctx.retried, type=ctx.type)
    how = "fail"
    try:
        yield
        how = "ok"
    except asyncio.CancelledError:
        how = "timeout" if ctx.cancel_reason.startswith(TIME_IS_OVER) else "cancelled"
        raise
    finally:
        note("end", task=task, run=run, pid=pid, how=how)


def obey(note: Writer, order: dict[str, Any], retried: int) -> None:
    """Fail or die as ordered."""
    if order.get("die"):
        note("death", pid=os.getpid())
        os.kill(os.getpid(), getattr(signal, order["die"]))
        time.sleep(10)
    fail(order, retried)


def fail(order: dict[str, Any], retried: int) -> None:
    """Fail as often as ordered."""
    if retried < order.get("fail", 0):
        raise ValueError(f"fails in run {retried + 1}, as ordered")
