"""Passes an error from a pool process to its worker, so that the verdict can depend on the class of the error.

`pack` describes an error in the process that caught it; `unpack` rebuilds it in the other process. `unpack` uses the
first of these ways that works:

1. Unpickle the error, if pickle restores it with the same class and the same text.
2. Create an instance of its class with its arguments and attributes, without calling the constructor. Values that
   cannot be pickled are left out. The members of an exception group are rebuilt one by one.
3. If the class cannot be imported, do the same with a new class of that name, derived from the same base classes.

The sizes of texts, arguments and attributes are limited, because an error text of 100 MB would block the worker's event
loop.
"""

import pickle
import sys
import traceback
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import import_module
from io import BytesIO
from types import MemberDescriptorType
from typing import Any, cast

from rota.core import tracebacks
from rota.errors import leaves

UNREADABLE_TEXT = "its text cannot be read"
_MOST_TEXT = 64 * 1024
_MOST_BYTES = 1024 * 1024
_MOST_DEPTH = 20  # of exception groups in groups; deeper groups are replaced by the errors in them
_HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE: a class that is not built in


@dataclass(frozen=True, slots=True)
class ClassPath:
    """Where a class can be imported from, and the same for its base classes in case the class cannot be imported."""

    module: str
    name: str
    bases: "tuple[ClassPath, ...]" = ()


@dataclass(frozen=True, slots=True)
class PackedError:
    """An error as it is sent: plain values, and pickles that are loaded one by one."""

    kind: ClassPath
    text: str
    trace: str
    whole: bytes = b""
    arguments: list[bytes] = field(default_factory=list[bytes])
    attributes: dict[str, bytes] = field(default_factory=dict[str, bytes])
    members: "list[PackedError]" = field(default_factory=list["PackedError"])
    message: str = ""


def pack(error: BaseException, depth: int = 0) -> PackedError:
    """Describe an error so that `unpack` can rebuild it. Never raises, even if the code of the error's class raises."""
    kind, text, trace = _path(type(error)), text_of(error), _trace(error)
    if whole := _whole(error, text):
        return PackedError(kind, text, trace, whole)
    try:
        return _in_parts(error, kind, text, trace, depth)
    except Exception:  # an attribute that raises
        return PackedError(kind, text, trace)


def unpack(packed: PackedError) -> BaseException:
    """Rebuild the error, or the most similar error that this process can create."""
    if packed.whole:
        with suppress(Exception):  # classes that only the other process can import
            error = loads(packed.whole)
            if isinstance(error, BaseException) and text_of(error) == packed.text:  # it may differ in this process
                return error
    kind = _find(packed.kind)
    if kind is None or not issubclass(kind, BaseException):
        return RuntimeError(packed.text)
    try:
        error = _make(kind, packed)
        if text_of(error) == packed.text:
            return error
        return _make(_with_text(kind, packed.text), packed)
    except Exception:
        return RuntimeError(f"{packed.kind.name}: {packed.text}")


def text_of(error: BaseException) -> str:
    """Return `str(error)`, limited in size; a replacement if the error's own `__str__` raises."""
    try:
        return _cut(str.__str__(str(error)))  # not a subclass of str
    except BaseException:
        return UNREADABLE_TEXT


def loads(data: bytes) -> Any:
    """Load a pickle from a pool process, in which the main module of the worker is called `__mp_main__`."""
    return _Unpickler(BytesIO(data)).load()


class _Unpickler(pickle.Unpickler):
    def find_class(self, module_name: str, global_name: str, /) -> Any:
        return super().find_class(_main(module_name), global_name)


def _main(module_name: str) -> str:
    return "__main__" if module_name == "__mp_main__" and module_name not in sys.modules else module_name


def _cut(text: str) -> str:
    return text if len(text) <= _MOST_TEXT else f"{text[:_MOST_TEXT]}..."


def _path(kind: type) -> ClassPath:
    bases = tuple(_path(base) for base in kind.__bases__ if base is not object)
    return ClassPath(kind.__module__, kind.__qualname__, bases)


def _trace(error: BaseException) -> str:
    try:
        text = tracebacks.text_of(error) or "".join(traceback.format_exception_only(error))
    except BaseException:
        return UNREADABLE_TEXT
    return text if len(text) <= _MOST_TEXT else f"...{text[-_MOST_TEXT:]}"


def _whole(error: BaseException, text: str) -> bytes:
    try:
        data = pickle.dumps(error)
        if len(data) > _MOST_BYTES:
            return b""
        again = pickle.loads(data)
        same = type(again) is type(error) and text_of(again) == text and _fields(again) == _fields(error)
    except BaseException:
        return b""
    return data if same else b""


def _in_parts(error: BaseException, kind: ClassPath, text: str, trace: str, depth: int) -> PackedError:
    values = _fields(error) | error.__dict__
    attributes = {name: data for name, value in values.items() if (data := _pickled(value))}
    if isinstance(error, BaseExceptionGroup):
        group = cast(BaseExceptionGroup[BaseException], error)
        inside = group.exceptions if depth < _MOST_DEPTH else list(leaves(group))
        members = [pack(member, depth + 1) for member in inside]
        return PackedError(kind, text, trace, b"", [], attributes, members, _cut(group.message))
    arguments = [_pickled(value) or pickle.dumps(_shown(value)) for value in error.args]
    return PackedError(kind, text, trace, b"", arguments, attributes)


def _fields(error: BaseException) -> dict[str, Any]:
    """Return the fields of built-in errors and of `__slots__`. Pickle does not store them."""
    found: dict[str, Any] = {}
    for kind in type(error).__mro__:
        for name, member in vars(kind).items():
            if isinstance(member, MemberDescriptorType) and not name.startswith("__"):
                with suppress(AttributeError):
                    found[name] = getattr(error, name)
    return found


def _pickled(value: Any) -> bytes:
    try:
        data = pickle.dumps(value)
        pickle.loads(data)
    except BaseException:
        return b""
    return data if len(data) <= _MOST_BYTES else b""


def _shown(value: Any) -> str:
    try:
        return _cut(value if isinstance(value, str) else repr(value))
    except BaseException:
        return f"<{type(value).__name__}>"


def _find(path: ClassPath) -> type | None:
    with suppress(Exception):
        found: Any = import_module(_main(path.module))
        for part in path.name.split("."):
            found = getattr(found, part)
        if isinstance(found, type):
            return found
    bases = [base for part in path.bases if (base := _find(part)) is not None]
    try:
        return type(path.name.rpartition(".")[2], tuple(bases), {"__module__": path.module}) if bases else None
    except TypeError:  # a base class whose `__init_subclass__` or metaclass needs arguments
        return bases[0]


def _with_text(kind: type[BaseException], text: str) -> type[BaseException]:
    def __str__(_: object) -> str:  # noqa: N807
        return text

    return type(kind.__name__, (kind,), {"__str__": __str__, "__module__": kind.__module__})


def _make(kind: type[BaseException], packed: PackedError) -> BaseException:
    # Call `__new__` of the built-in base class, because `__new__` and `__init__` of user code may need any arguments.
    built_in: Any = next(base for base in kind.__mro__ if not base.__flags__ & _HEAP_TYPE)
    if packed.members:
        error = built_in.__new__(kind, packed.message, [unpack(member) for member in packed.members])
    else:
        arguments = [value for data in packed.arguments for value in _values(data)]
        error = built_in.__new__(kind, *arguments)
        error.args = tuple(arguments)
    for name, data in packed.attributes.items():
        for value in _values(data):
            with suppress(Exception):
                object.__setattr__(error, name, value)  # not that of the class: a frozen dataclass refuses
    return cast(BaseException, error)


def _values(data: bytes) -> list[Any]:
    """Return a list with the unpickled value; an empty list if this process cannot load it."""
    try:
        return [loads(data)]
    except Exception:
        return []
