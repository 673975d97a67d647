"""What the doctor says, on a narrow screen and in a pipe."""

from io import StringIO

import pytest
from rich.console import Console

from rota.cli.doctor import _show
from rota.inspect.doctor import Examination
from rota.inspect.doctor.finding import error

FINDING = error("eviction", "The server [evicts] keys.", "It looks like a cache. " * 6, "CONFIG SET …")


class Screen(StringIO):
    def isatty(self) -> bool:
        return True


def shown(*, terminal: bool, width: int = 60, force: bool | None = None) -> list[str]:
    out = Screen() if terminal else StringIO()
    examination = Examination(findings=[FINDING], queues=2, servers=0)
    _show(examination, Console(file=out, width=width, force_terminal=force, color_system=None, highlight=False))
    return out.getvalue().splitlines()


def test_on_a_terminal_a_long_text_goes_on_under_its_beginning() -> None:
    lines = shown(terminal=True)
    assert lines[0].rstrip() == "error    The server [evicts] keys."
    assert lines[1].startswith("  why    It looks like a cache. It")
    assert lines[2].startswith("         ")
    assert max(map(len, lines)) <= 60


def test_a_narrow_terminal_cuts_nothing() -> None:
    lines = shown(terminal=True, width=30)
    assert max(map(len, lines)) <= 30
    assert "".join(line[9:].strip() for line in lines).count(FINDING.link) == 1


@pytest.mark.parametrize("force", [None, True], ids=["plain", "FORCE_COLOR"])
def test_in_a_pipe_a_text_is_one_line_however_long(force: bool | None) -> None:
    lines = shown(terminal=False, force=force)
    assert lines[:2] == ["error The server [evicts] keys.", f"  why {FINDING.cause}"]
    assert lines[-1] == "1 fault: 2 queues and 0 servers looked at."
