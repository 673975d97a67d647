"""One finding of the doctor."""

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "note"]
PAGE = "docs/operations/doctor.md"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A finding: the observation, its cause, and how to fix it. A note does not need a fix.

    `code` is also the heading that describes it in docs/operations/doctor.md.
    """

    code: str
    severity: Severity
    what: str
    cause: str
    fix: str

    @property
    def link(self) -> str:
        """Path and heading of the description, in the source of Rota."""
        return f"{PAGE}#{self.code}"


def error(code: str, what: str, cause: str, fix: str) -> Finding:
    """Make a finding of something that loses tasks or prevents them from running."""
    return Finding(code=code, severity="error", what=what, cause=cause, fix=fix)


def warning(code: str, what: str, cause: str, fix: str) -> Finding:
    """Make a finding of something that will do harm, or may do harm already."""
    return Finding(code=code, severity="warning", what=what, cause=cause, fix=fix)


def note(code: str, what: str, cause: str, fix: str) -> Finding:
    """Make a finding that is only informative."""
    return Finding(code=code, severity="note", what=what, cause=cause, fix=fix)
