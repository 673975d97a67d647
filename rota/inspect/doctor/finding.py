"""One thing that was found."""

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "note"]
PAGE = "docs/operations/doctor.md"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What is so, why that matters, and what to do. A note is no fault.

    `code` is also the heading on the page of the doctor.
    """

    code: str
    severity: Severity
    what: str
    cause: str
    fix: str

    @property
    def link(self) -> str:
        """Where there is more about it, in the source of Rota."""
        return f"{PAGE}#{self.code}"


def error(code: str, what: str, cause: str, fix: str) -> Finding:
    """Something that loses tasks, or keeps them from running."""
    return Finding(code=code, severity="error", what=what, cause=cause, fix=fix)


def warning(code: str, what: str, cause: str, fix: str) -> Finding:
    """Something that will do harm, or may already."""
    return Finding(code=code, severity="warning", what=what, cause=cause, fix=fix)


def note(code: str, what: str, cause: str, fix: str) -> Finding:
    """Something to know."""
    return Finding(code=code, severity="note", what=what, cause=cause, fix=fix)
