"""A page of a search, how far the search has come, and its cursor, which says so as text together with the query."""

import json
import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import asdict, dataclass, field
from typing import Any, cast

from rota.errors import OptionError
from rota.inspect.candidate import Hit
from rota.inspect.query import Query, render
from rota.inspect.query_parser import parse
from rota.inspect.search_scope import PLACES


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchPage:
    """The hits among some further tasks.

    `scanned` of about `total` tasks have been looked at since the start. `cursor` goes on behind this page. `unread`
    names the lists and sets that could not be read, because another program has made them of another Redis type, or
    because they changed so fast that some tasks may have been missed. `is_last` says that nothing is left to read.
    """

    hits: tuple[Hit, ...]
    scanned: int
    total: int
    cursor: str
    unread: tuple[str, ...] = ()
    is_last: bool = False


@dataclass(slots=True)
class Position:
    """How far a search has come. All of it is in the cursor.

    `queue` is the queue that is read, and `place` the number of its place; -1 before the first one. `names` are the
    groups or aggregations that are left of a page, and `more` is the cursor of the next page of them. `read` is how
    many tasks of a list have been read, and `longest` its greatest length meanwhile.
    """

    started: float = 0.0
    scanned: int = 0
    total: int = 0
    queue: str = ""
    place: int = -1
    score: str = ""
    id: str = ""
    index: int = 0
    anchors: list[str] = field(default_factory=list[str])
    read: int = 0
    longest: int = 0
    names: list[str] = field(default_factory=list[str])
    more: int = 0
    is_listed: bool = False
    unread: list[str] = field(default_factory=list[str])

    def enter(self, place: int) -> None:
        """Go to the beginning of a place of the queue."""
        self.place, self.score, self.id = place, "", ""
        self.index, self.read, self.longest = 0, 0, 0
        self.anchors, self.names, self.more, self.is_listed = [], [], 0, False

    def cursor(self, query: Query) -> str:
        """Write the cursor of a search for this query."""
        data = json.dumps({"query": render(query), **asdict(self)}, ensure_ascii=True)
        return urlsafe_b64encode(zlib.compress(data.encode(), 1)).decode().rstrip("=")


MOST_CURSOR_CHARACTERS = 100_000
_MOST_CURSOR_BYTES = 1_000_000


def _unpacked(cursor: str) -> dict[str, Any]:
    try:
        data = urlsafe_b64decode(cursor[:MOST_CURSOR_CHARACTERS] + "=" * (-len(cursor) % 4))
        found: Any = json.loads(zlib.decompressobj().decompress(data, _MOST_CURSOR_BYTES))
    except (ValueError, zlib.error, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise OptionError("This is not the cursor of a search: copy it as a page of the search shows it, as a whole.")
    return cast("dict[str, Any]", found)


def read_query(cursor: str) -> Query:
    """Read the query that a cursor belongs to. Raises OptionError if the text is not a cursor."""
    return parse(str(_unpacked(cursor).get("query", "")))


def read_position(cursor: str, query: Query) -> Position:
    """Read how far a search has come. Raises OptionError if the cursor is damaged or belongs to another query."""
    values = _unpacked(cursor)
    if values.pop("query", None) != render(query):
        raise OptionError("The cursor belongs to another query: give the query with which the search began, or none.")
    blank = asdict(Position())
    is_whole = values.keys() == blank.keys() and all(
        type(values[name]) is type(kind) or (type(kind) is float and type(values[name]) is int)
        for name, kind in blank.items()
    )
    lists: list[list[object]] = [values[name] for name in ("anchors", "names", "unread")] if is_whole else []
    if (
        not is_whole
        or not all(isinstance(each, str) for texts in lists for each in texts)
        or not -1 <= values["place"] <= len(PLACES)
    ):
        raise OptionError("The cursor of the search is damaged, or of another version of Rota: begin the search again.")
    return Position(**values)
