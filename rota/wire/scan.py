"""The calls by which a search reads all tasks of lists and sorted sets in pages. No script here writes.

A page is limited by the number of its tasks and by the bytes of their fields, so that no call holds the server for more
than some milliseconds. Each call names the position behind which it reads on, and finds it again although tasks
came and left in between:

- in a sorted set by the score and the ID of the last task (`SetPosition`). A task that stays in the set is read once.
- in a list by the last IDs (`ListPosition`). If all of them have left the list, or have moved too far, the page is
  `LOST`; `find_position` then looks for them in longer pages of IDs alone.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from rota.wire.keys import QueueKeys
from rota.wire.names import raw
from rota.wire.script import Argument, Call, load

MOST_TASKS = 500
MOST_BYTES = 512 * 1024
MOST_SETS = 100
ANCHORS = 16
MARGIN = 250
"""How many positions tasks may have moved in a list between two pages, in both directions, without being lost."""
MOST_LOOKED_AT = 5000
"""IDs that `find_position` looks at in one call."""
LOST = -1


class SetPosition(NamedTuple):
    """A position in a sorted set: behind the task with this score and ID. The score is as Redis wrote it."""

    score: str = ""
    id: str = ""


class ListPosition(NamedTuple):
    """A position in a list: `at` is the index of the next task, `anchors` are the IDs of the last tasks before it."""

    at: int = 0
    anchors: tuple[str, ...] = ()

    def after(self, at: int, ids: Sequence[str]) -> "ListPosition":
        """Return the position behind some further tasks."""
        return ListPosition(at, (*self.anchors, *ids)[-ANCHORS:])


class Bounds(NamedTuple):
    """The scores between which tasks are read, as `ZCOUNT` reads them."""

    lowest: str = "-inf"
    highest: str = "+inf"


class Rows(NamedTuple):
    """Some tasks as they were read, by columns: most of them are looked at once, and an object for each costs too much.

    `columns` are the values of the wanted fields, of which the first is the message. `sets` are the numbers of their
    sets from 0, and `scores` their scores; both are empty for a list.
    """

    ids: Sequence[bytes]
    columns: Sequence[Sequence[bytes | None]]
    sets: Sequence[int] = ()
    scores: Sequence[bytes] = ()

    def score(self, number: int) -> float | None:
        """Return the score of a task; None in a list."""
        return float(self.scores[number]) if self.scores else None

    def fields(self, number: int) -> list[bytes | None]:
        """Return the wanted fields of a task."""
        return [column[number] for column in self.columns]


class ListRows(NamedTuple):
    """A page of a list, which has `length` tasks now. `next_index` is `LOST` if no anchor was found."""

    now: float
    next_index: int
    more: bool
    length: int
    rows: Rows


class SetRows(NamedTuple):
    """A page of sorted sets, of which the first `ended` were read to their end."""

    now: float
    ended: int
    rows: Rows


def list_page(
    keys: QueueKeys, key: str, position: ListPosition, fields: Sequence[str], most: int = MOST_TASKS
) -> Call[ListRows]:
    """Read tasks of a list behind a position."""
    start = max(0, position.at - MARGIN) if position.anchors else position.at
    return _list(keys, key, position, fields, start, position.at - start + most + MARGIN, most)


def find_position(keys: QueueKeys, key: str, position: ListPosition, start: int) -> Call[ListRows]:
    """Look for the anchors of a lost position among some IDs from an index on. Pages have to overlap by `MARGIN`."""
    return _list(keys, key, position, ("state",), start, MOST_LOOKED_AT, 0)


def _list(
    keys: QueueKeys, key: str, position: ListPosition, fields: Sequence[str], start: int, length: int, most: int
) -> Call[ListRows]:
    anchors = list(map(raw, position.anchors))
    args: list[Argument] = [keys.task_prefix, most, MOST_BYTES, start, length, len(anchors), *anchors, *fields]
    return Call(load("look_scan_list"), (key,), args, lambda reply: _list_rows(reply, len(fields)))


def set_page(
    keys: QueueKeys,
    sets: Sequence[str],
    position: SetPosition,
    fields: Sequence[str],
    *,
    up: bool = True,
    bounds: Bounds = Bounds(),  # noqa: B008 - a value
    most: int = MOST_TASKS,
) -> Call[SetRows]:
    """Read tasks of at most `MOST_SETS` sorted sets, of the first one behind a position."""
    args: list[Argument] = [
        keys.task_prefix,
        most,
        MOST_BYTES,
        "up" if up else "down",
        *bounds,
        position.score,
        raw(position.id),
        *fields,
    ]
    return Call(load("look_scan_sets"), tuple(sets), args, lambda reply: _set_rows(reply, len(fields)))


class Sizes(NamedTuple):
    """The server's time, and the number of tasks in some lists and sets; -1 for a key of another type."""

    now: float
    numbers: Sequence[int]


def sizes(places: Sequence[tuple[str, Bounds]]) -> Call[Sizes]:
    """Count the tasks in some lists and sets of one queue, in a set only those with scores within its bounds."""
    args = [bound for _, bounds in places for bound in bounds]
    keys = tuple(key for key, _ in places)
    return Call(load("look_scan_sizes"), keys, args, lambda reply: Sizes(float(reply[0]), reply[1:]))


def _list_rows(reply: Any, width: int) -> ListRows:
    now, next_index, more, length = reply[:4]
    step = width + 1
    columns = [reply[first::step] for first in range(5, 5 + width)]
    return ListRows(float(now), next_index, bool(more), length, Rows(reply[4::step], columns))


def _set_rows(reply: Any, width: int) -> SetRows:
    step = width + 3
    columns = [reply[first::step] for first in range(5, 5 + width)]
    sets = [number - 1 for number in reply[2::step]]
    return SetRows(float(reply[0]), reply[1], Rows(reply[4::step], columns, sets, reply[3::step]))
