"""The base of all events. The classes of events are the catalogue of what can happen in Rota.

They are the only place that words log lines. `dispatch` says how an event gets to the log and to subscribers.
"""

import logging
from collections.abc import Mapping
from typing import Any, ClassVar, TypedDict, dataclass_transform

from rota.core.text import plain


@dataclass_transform(kw_only_default=True, frozen_default=True)
class Event:
    """Something that happened. Its annotations are its fields, which are given by keyword and cannot be changed.

    This is a small class of our own and not a dataclass, because creating 80 dataclasses would double the time of an
    `import` in a program that only enqueues.
    """

    fields: ClassVar[Mapping[str, Any]] = {}
    """The names of the fields, with their types."""
    logger: ClassVar[str] = "rota.worker"
    level: ClassVar[int] = logging.WARNING
    text: ClassVar[str] = ""
    """The log line, as a format of the fields."""
    shows_traceback: ClassVar[bool] = False
    """Whether the log line is followed by the traceback of the field `error`."""
    counted: ClassVar[bool] = True
    """Whether the metric `rota_events` counts it. False if it happens for each task, which other metrics count."""
    observed: ClassVar[bool] = False
    """Whether a callback is subscribed to this class, to a base of it, or to a class below it."""

    def __init_subclass__(cls) -> None:
        cls.fields = {**cls.fields, **cls.__annotations__}

    def __init__(self, **values: Any) -> None:
        kind = type(self)
        if unknown := values.keys() - kind.fields.keys():
            raise TypeError(f"{kind.__name__} has no field {', '.join(sorted(unknown))}.")
        for name in kind.fields:
            if name not in values and not hasattr(kind, name):
                raise TypeError(f"{kind.__name__} needs its field {name}.")
            vars(self)[name] = values[name] if name in values else getattr(kind, name)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"An event cannot be changed ({type(self).__name__}.{name}).")

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and vars(other) == vars(self)

    def __hash__(self) -> int:
        return id(type(self))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in vars(self).items())})"

    def __copy__(self) -> "Event":
        return self

    def __deepcopy__(self, memo: object) -> "Event":
        return self

    def __reduce__(self) -> tuple[type[dict[str, object]], tuple[dict[str, object]]]:
        # Handlers such as SocketHandler pickle a record with its event. The error may not be picklable, and the program
        # that receives the record may not have Rota. So an event becomes a dict of plain values.
        return dict, ({"event": type(self).__name__, **{name: plain(value) for name, value in vars(self).items()}},)

    def severity(self) -> int:
        """Return the level of the log line."""
        return self.level

    def message(self) -> str:
        """Return the text of the log line."""
        return self.text.format_map(vars(self))

    def cause(self) -> tuple[BaseException | None, str]:
        """Return the error whose traceback follows the log line, and its text if that is already formatted."""
        return (vars(self).get("error") if self.shows_traceback else None), ""

    def stack(self) -> str | None:
        """Return the stack that follows the log line."""
        return None


class AboutTask(TypedDict):
    """The fields of an event about one attempt at a task."""

    task_id: str
    task_type: str
    queue: str
    attempt: int


def about_task(task_id: str, task_type: str, queue: str, retried: int) -> AboutTask:
    """Return the fields of an event about a task; `retried` is its number of retries so far."""
    return {"task_id": task_id, "task_type": task_type, "queue": queue, "attempt": retried + 1}


class TaskEvent(Event):
    """An event about one attempt at a task. `attempt` is 1 in the first run, and one more after each retry."""

    task_id: str
    task_type: str
    queue: str
    attempt: int
