"""The frame of the command line: its groups and the order of its commands."""

import typer
from typer.testing import CliRunner

from rota.cli.program import PANELS, program

NAMES = [name for names in PANELS.values() for name in names]


def test_each_command_has_its_place_in_the_help() -> None:
    group = typer.main.get_group(program)
    assert [name for name, command in group.commands.items() if name not in NAMES and not command.hidden] == []


def test_help_shows_the_commands_in_the_order_that_teaches() -> None:
    text = CliRunner().invoke(program, ["--help"]).stdout
    shown = [text.index(f" {title} ─") for title in PANELS if f" {title} ─" in text]
    assert len(shown) >= 4
    assert shown == sorted(shown)
    assert text.index("│ dev ") < text.index("│ worker ") < text.index("│ schedule ") < text.index("│ version ")
