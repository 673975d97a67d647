"""The reference of `--json` knows each command that has it."""

import typer

from rota.cli.frame import tree
from rota.cli.program import program
from scripts.json_reference import SHAPES, json_tables


def test_each_command_with_json_is_in_the_reference() -> None:
    commands = {
        " ".join(path)
        for path, command in tree(typer.main.get_group(program))
        if any("--json" in each.opts for each in command.params)
    }
    unknown = sorted(commands ^ set(SHAPES))
    assert not unknown, f"Describe the output of these commands in SHAPES of scripts/json_reference.py: {unknown}"


def test_objects_inside_of_others_have_their_tables() -> None:
    text = json_tables()
    assert "### TaskSnapshot" in text
    assert "### TaskAttempt" in text
    assert "| `payload` | text, or `base64` |" in text
