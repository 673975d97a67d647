"""The reference of methods, made from the source of the public classes: signatures as written, then the docstrings.

A method is public if its name has no leading underscore and `INTERNAL` does not name it. Signatures are read from the
source, because the annotations of a running program have lost their short names (`Unpack[OptionWords]`).
"""

import ast
import inspect
import textwrap
from collections.abc import Iterator

from rota.app import Rota
from rota.client import Client, SyncClient
from rota.client.connections import Connected
from rota.client.core import Core
from rota.client.operations import TaskOperations
from rota.inspect import Actions, Inspector, SyncActions, SyncInspector
from rota.inspect.inspector import AllReads
from rota.tasks.context import Context
from rota.tasks.groups import GroupedTask
from rota.tasks.job import AsyncFace, Job, Plan, Receipt, SyncJob
from rota.tasks.router import Tasks
from rota.tasks.task import Task
from rota.testing import Sandbox, SandboxClock
from rota.worker.worker import Worker

LINE_LENGTH = 100

READS = AllReads.__bases__
"""The classes that describe the reads of both inspectors."""

CLASSES: dict[str, tuple[type, ...]] = {
    "Rota": (Rota, Connected, Tasks),
    "Tasks": (Tasks,),
    "Task": (Task,),
    "Plan": (Plan,),
    "Job": (Job, Receipt),
    "SyncJob": (SyncJob, Receipt),
    "Context": (Context,),
    "GroupedTask": (GroupedTask,),
    "Worker": (Worker,),
    "Client": (Client, Core, TaskOperations),
    "SyncClient": (SyncClient, Core, TaskOperations),
    "Inspector": (Inspector, *READS),
    "SyncInspector": (SyncInspector, *READS),
    "Actions": (Actions, TaskOperations),
    "SyncActions": (SyncActions, TaskOperations),
    "Sandbox": (Sandbox,),
    "SandboxClock": (SandboxClock,),
}
"""Each heading, with the classes whose methods stand below it."""

CONSTRUCTED = frozenset({"Rota", "Tasks", "Inspector", "SyncInspector", "Sandbox"})
"""The classes that a program makes itself. It gets the others from a method."""

INTERNAL: dict[str, frozenset[str]] = {
    "Rota": frozenset(
        {"broker_options", "find_handler", "handle", "handle_sync", "keys", "middlewares", "modules", "warning"}
    ),
    "Tasks": frozenset({"middlewares", "warning"}),
    "Client": frozenset({"carry_out"}),
    "SyncClient": frozenset({"carry_out"}),
    **{face: frozenset({"carry_out", "batches"}) for face in ("Inspector", "SyncInspector", "Actions", "SyncActions")},
    "Context": frozenset({"begin", "cancel"}),
    "SandboxClock": frozenset({"queues", "next_due"}),
    "Worker": frozenset({"run", "queue_keys", "held", "describe", "cancel", "lose", "asked_to_stop"}),
}
"""Methods without an underscore that only Rota calls."""

TWO_FACED = frozenset({"_verb", "operation"})
"""Decorators of methods that are described once for asyncio and for blocking code."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


def method_reference() -> str:
    """Show every public class with its public methods."""
    return "\n\n".join(_class(title, kinds) for title, kinds in CLASSES.items())


def public_methods(title: str) -> dict[str, Function]:
    """Return the definitions of the public methods and properties below a heading, in the order of the source."""
    hidden = INTERNAL.get(title, frozenset())
    found: dict[str, Function] = {}
    for kind in CLASSES[title]:
        for node in _definitions(kind):
            if not node.name.startswith("_") and node.name not in hidden:
                found.setdefault(node.name, node)
    return found


def _class(title: str, kinds: tuple[type, ...]) -> str:
    parts = [f"## {title}", inspect.getdoc(kinds[0]) or ""]
    if title in CONSTRUCTED:
        [made] = [node for node in _definitions(kinds[0]) if node.name == "__init__"]
        parts += [_code(_call(title, made)), _doc(made)]
    for name, node in public_methods(title).items():
        on_loop = issubclass(kinds[0], AsyncFace)
        parts += [f"### {title}.{name}", _code(_signature(node, on_loop=on_loop)), _doc(node)]
    return "\n\n".join(part for part in parts if part)


def _definitions(kind: type) -> Iterator[Function]:
    [tree] = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    if isinstance(tree, ast.ClassDef):
        yield from (node for node in tree.body if isinstance(node, Function) and "overload" not in _decorators(node))


def _decorators(node: Function) -> set[str]:
    return {ast.unparse(decorator) for decorator in node.decorator_list}


def _signature(node: Function, *, on_loop: bool) -> str:
    """Write the signature. Methods that are described once for both faces are awaited if the class is `on_loop`."""
    decorators = _decorators(node)
    if "property" in decorators:
        return f"{node.name}: {_returned(node)}  # property"
    if "asynccontextmanager" in decorators or _returned(node).startswith("AbstractAsyncContextManager"):
        return _call(f"async with {node.name}", node)
    if "streamed" in decorators:
        return _call(f"{'async ' if on_loop else ''}for batch in {node.name}", node)
    awaited = isinstance(node, ast.AsyncFunctionDef) and not _returned(node).startswith("AsyncGenerator")
    awaited = awaited or (on_loop and not decorators.isdisjoint(TWO_FACED))
    return _call(f"{'async ' if awaited else ''}def {node.name}", node, returned=True)


def _call(start: str, node: Function, *, returned: bool = False) -> str:
    arguments = node.args
    arguments.args = [each for each in arguments.args if each.arg not in ("self", "cls")]
    end = f" -> {_returned(node)}" if returned else ""
    each = [_spaced(argument) for argument in _split(_plain(ast.unparse(arguments)))]
    line = f"{start}({', '.join(each)}){end}"
    if len(line) <= LINE_LENGTH:
        return line
    rows = "".join(f"    {argument},\n" for argument in each)
    return f"{start}(\n{rows}){end}"


def _spaced(argument: str) -> str:
    """Write the default of an annotated argument as formatters do, with spaces around the equals sign."""
    return argument.replace("=", " = ", 1) if ":" in argument else argument


def _split(arguments: str) -> Iterator[str]:
    """Split arguments at the commas that stand outside of brackets."""
    depth, start = 0, 0
    for index, char in enumerate(arguments):
        depth += (char in "([{") - (char in ")]}")
        if char == "," and depth == 0:
            yield arguments[start:index].strip()
            start = index + 1
    yield arguments[start:].strip()


def _returned(node: Function) -> str:
    returned = _plain(ast.unparse(node.returns)) if node.returns else "None"
    return returned.removeprefix("Act[").removesuffix("]") if returned.startswith("Act[") else returned


def _plain(annotation: str) -> str:
    """Take the quotes from the name of a class that is defined or imported later."""
    faces = ("'Inspector'", "'SyncInspector'", "'Actions'", "'SyncActions'")
    for quoted in ("'Broker'", "'SyncBroker'", "'Client'", "'SyncClient'", "'Worker'", "'Plan[R_co]'", *faces):
        annotation = annotation.replace(quoted, quoted.strip("'"))
    return annotation.replace("'", '"')


def _doc(node: Function) -> str:
    return ast.get_docstring(node) or ""


def _code(text: str) -> str:
    return f"```python\n{text}\n```"
