"""The console of `rota shell`, in a loop of its own."""

import asyncio
from typing import Any

import pytest

from rota.cli.shell_command import Console


async def typed(*lines: str) -> dict[str, Any]:
    """Run lines in a console, as its thread does, and return its names."""
    names: dict[str, Any] = {"asyncio": asyncio}
    console = Console(names, asyncio.get_running_loop())
    for line in lines:
        await asyncio.to_thread(console.push, line)
    return names


async def test_line_can_await() -> None:
    names = await typed("import asyncio", "x = await asyncio.sleep(0, 'done')")
    assert names["x"] == "done"


async def test_value_of_a_line_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    await typed("await asyncio.sleep(0, 'done')", "1 + 1")
    assert capsys.readouterr().out == "'done'\n2\n"


async def test_error_shows_the_typed_line_alone_and_the_console_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    names = await typed("1 / 0", "async def fail():", "    raise ValueError('no')", "", "await fail()", "x = 1")
    error = capsys.readouterr().err
    assert "ZeroDivisionError" in error
    assert "ValueError: no" in error
    assert "shell_command" not in error
    assert names["x"] == 1


async def test_ctrl_c_ends_the_line_that_waits(capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {"asyncio": asyncio, "begun": asyncio.Event()}
    console = Console(names, asyncio.get_running_loop())
    line = asyncio.create_task(asyncio.to_thread(console.push, "begun.set() or await asyncio.Event().wait()"))
    await names["begun"].wait()
    console.interrupt(2, None)
    await line
    assert "KeyboardInterrupt" in capsys.readouterr().err


async def test_ctrl_c_at_the_prompt_drops_what_is_typed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    names: dict[str, Any] = {}
    console = Console(names, asyncio.get_running_loop())
    lines = iter(["x = [", "dropped", "y = 1"])

    def read(_prompt: str) -> str:
        line = next(lines, None)
        if line is None:
            raise EOFError
        if line == "dropped":
            console.interrupt(2, None)
        return line

    monkeypatch.setattr("builtins.input", read)
    await asyncio.to_thread(console.interact, banner="", exitmsg="")
    error = capsys.readouterr().err
    assert names["y"] == 1
    assert "KeyboardInterrupt" in error
    assert "SyntaxError" not in error


async def test_exit_ends_the_console() -> None:
    with pytest.raises(SystemExit):
        await typed("raise SystemExit")
