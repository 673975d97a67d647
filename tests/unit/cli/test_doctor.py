"""What the doctor says, on a narrow screen and in a pipe."""

from io import StringIO

from rich.console import Console

from rota.cli.doctor import _show
from rota.inspect.doctor import Examination
from rota.inspect.doctor.finding import error

FINDING = error("eviction", "The server [evicts] keys.", "It looks like a cache. " * 6, "CONFIG SET …")


def shown(*, terminal: bool) -> list[str]:
    out = StringIO()
    examination = Examination(findings=[FINDING], queues=2, servers=0)
    _show(examination, Console(file=out, width=60, force_terminal=terminal, color_system=None, highlight=False))
    return out.getvalue().splitlines()


def test_on_a_terminal_a_long_text_goes_on_under_its_beginning() -> None:
    lines = shown(terminal=True)
    assert lines[0].rstrip() == "error   The server [evicts] keys."
    assert lines[1].startswith("  why   It looks like a cache. It")
    assert lines[2].startswith("        ")
    assert max(map(len, lines)) <= 60


def test_in_a_pipe_a_text_is_one_line_however_long() -> None:
    lines = shown(terminal=False)
    assert lines[:2] == ["error The server [evicts] keys.", f"  why {FINDING.cause}"]
    assert lines[-1] == "1 fault: 2 queues and 0 servers looked at."
