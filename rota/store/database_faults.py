"""Turns errors of the database drivers into errors that say what to do.

SQLite tells a fault by the name of its code, PostgreSQL by SQLSTATE, MariaDB and MySQL by number. A driver that cannot
connect often gives a text only, so the text of the server is looked at as well. No text here has a password in it.
"""

import re
import sqlite3
from collections.abc import Mapping
from typing import Any

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from rota.core.text import unstopped
from rota.errors import StoreError, StoreRefused, StoreUnavailable
from rota.store.address import StoreAddress

_FULL = "has no room left. Make room on its disk; nothing of this change was written."
_READ_ONLY = "is read-only. Name a database that can be written to in ROTA_STORE, or grant the right to write."
_LOGIN = "refuses the login. Correct the user name and the password in ROTA_STORE."
_RIGHTS = "refuses a permission. Grant the user of ROTA_STORE all rights on this database; the server says: {text}."
_ABSENT = "does not exist. Create it (CREATE DATABASE), or correct ROTA_STORE."
_AWAY = "cannot be reached ({text}). Check that the server runs and that ROTA_STORE names it, then try again."
_BUSY = "is locked by another process for too long. Try again; look for a program that keeps a transaction open."
_SLOW = "does not answer in time. Check that the server runs and that no transaction stays open, then try again."
_NO_CONNECTION = "is used by too many calls of this process at once. Try again."
_CROWDED = "accepts no more connections. Raise its limit, or stop programs that keep connections open."
_DAMAGED = "is damaged or is not an SQLite file. Restore a backup (`rota store load`), or correct ROTA_STORE."
_DISK = "cannot be read or written, because its disk or file system reports an error. Check the disk, then try again."
_PLACE = "cannot be opened. Check the folder and its permissions."
_FORGOTTEN = "lacks a table or a column of Rota. Run `rota store upgrade`; if that is done, restore a backup."

_REFUSED = {_READ_ONLY, _LOGIN, _RIGHTS, _ABSENT, _DAMAGED, _PLACE, _FORGOTTEN}

_SQLITE = {
    "SQLITE_BUSY": _BUSY,
    "SQLITE_LOCKED": _BUSY,
    "SQLITE_FULL": _FULL,
    "SQLITE_READONLY": _READ_ONLY,
    "SQLITE_CANTOPEN": _PLACE,
    "SQLITE_PERM": _PLACE,
    "SQLITE_AUTH": _PLACE,
    "SQLITE_IOERR": _DISK,
    "SQLITE_CORRUPT": _DAMAGED,
    "SQLITE_NOTADB": _DAMAGED,
}
_SQLSTATES = {
    "40001": _BUSY,
    "40P01": _BUSY,
    "28P01": _LOGIN,
    "28000": _LOGIN,
    "3D000": _ABSENT,
    "42501": _RIGHTS,
    "25006": _READ_ONLY,
    "53100": _FULL,
    "53200": _FULL,
    "53300": _CROWDED,
    "55P03": _BUSY,
    "42P01": _FORGOTTEN,
    "42703": _FORGOTTEN,
}
_NUMBERS = {
    1045: _LOGIN,
    1698: _LOGIN,
    1049: _ABSENT,
    1044: _RIGHTS,
    1142: _RIGHTS,
    1227: _RIGHTS,
    1290: _READ_ONLY,
    1792: _READ_ONLY,
    1836: _READ_ONLY,
    1021: _FULL,
    1030: _FULL,
    1114: _FULL,
    1040: _CROWDED,
    1203: _CROWDED,
    1205: _BUSY,
    1213: _BUSY,
    1146: _FORGOTTEN,
    1054: _FORGOTTEN,
}
_MEANINGS: Mapping[Any, str] = {**_SQLITE, **_SQLSTATES, **_NUMBERS}
_TEXTS: Mapping[str, str] = {
    r"password|authentication|no pg_hba\.conf entry": _LOGIN,
    r'database ".*" does not exist': _ABSENT,
    r"too many clients|remaining connection slots": _CROWDED,
    r"no such (table|column)": _FORGOTTEN,
}
_AWAY_STATES = ("08", "53", "57", "58")
"""Classes of SQLSTATE: connection lost, no resources, ended by the operator, fault of the system."""
_AWAY_NUMBERS = {1053, 1077, 1078, 1079, 1152, 1153, 1158, 1159, 1160, 1161, 1927, *range(2000, 2100)}
"""Shutdown, broken connections, and the errors of the client."""
_CONFLICTS = {"40001", "40P01", 1213}
"""Two transactions were in conflict, and the database rolled one of them back. It can be repeated."""


def is_conflict(error: BaseException) -> bool:
    """Whether the database gave up this transaction in favour of another, so that it can be repeated."""
    return isinstance(error, DBAPIError) and bool(_codes(error.orig) & _CONFLICTS)


def explained(error: BaseException, address: StoreAddress, *, maybe_applied: bool = False) -> StoreError:
    """Return the error to raise instead of one of a driver."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    name = f"The store {address}"
    meaning = _meaning(cause)
    if isinstance(error, PoolTimeout):
        meaning = _NO_CONNECTION
    elif isinstance(error, TimeoutError):
        meaning = _SLOW
    if meaning is None and _is_away(error, cause):
        meaning = _AWAY
    if meaning is None:
        return StoreError(f"{name} refused a statement: {unstopped(_text(cause))}. This is a fault of Rota: report it.")
    text = f"{name} {meaning.format(text=unstopped(_text(cause)))}"
    if meaning in _REFUSED:
        return StoreRefused(text)
    if maybe_applied:
        text += " The connection was lost while the change was being committed, so it may have been made."
    return StoreUnavailable(text, maybe_applied=maybe_applied)


def _meaning(cause: BaseException | None) -> str | None:
    for code in _codes(cause) & _MEANINGS.keys():
        return _MEANINGS[code]
    text = _text(cause)
    return next((meaning for pattern, meaning in _TEXTS.items() if re.search(pattern, text, re.IGNORECASE)), None)


def _codes(cause: BaseException | None) -> set[Any]:
    """Return the codes of an error of any driver: SQLite's name and its family, SQLSTATE, number."""
    cause = getattr(cause, "__cause__", None) if type(cause).__module__.startswith("sqlalchemy") else cause
    name = getattr(cause, "sqlite_errorname", None) or ""
    family = "_".join(name.split("_")[:2])
    return {name, family, getattr(cause, "sqlstate", None), _number(cause)} - {None, ""}


def _number(cause: BaseException | None) -> int | None:
    """Return the number that MariaDB and MySQL give an error."""
    first = cause.args[0] if cause is not None and cause.args else None
    return first if isinstance(first, int) else None


def _text(cause: BaseException | None) -> str:
    if cause is None:
        return ""
    parts = [str(each) for each in cause.args if each] or [type(cause).__name__]
    return " ".join(parts[-1].split())


def _is_away(error: BaseException, cause: BaseException | None) -> bool:
    if isinstance(error, OSError | TimeoutError | EOFError):
        return True
    state, number = getattr(cause, "sqlstate", None), _number(cause)
    if state:
        return str(state).startswith(_AWAY_STATES)
    if number:
        return number in _AWAY_NUMBERS
    lost = isinstance(error, DBAPIError) and error.connection_invalidated
    return lost or (isinstance(error, OperationalError | InterfaceError) and not isinstance(cause, sqlite3.Error))
