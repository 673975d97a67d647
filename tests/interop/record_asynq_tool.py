"""Writes `asynq_tool.json`: the commands and flags of Asynq's own tool, as its `--help` shows them.

`python -m tests.interop.record_asynq_tool PATH` runs the tool at PATH; `interop.asynq_tool.tool()` builds it. The tests
that need no Go compare our words with the file.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

FILE = Path(__file__).with_name("asynq_tool.json")
VERSION = "0.26.0"


def sections(tool: str, *words: str) -> dict[str, str]:
    """Return the parts of the help of a command by their headings."""
    text = subprocess.run([tool, *words, "--help"], capture_output=True, text=True, check=True).stdout
    parts = re.split(r"\n([A-Z ]+)\n", text)
    return dict(zip(parts[1::2], parts[2::2], strict=False))


def commands(help_text: dict[str, str]) -> list[str]:
    return re.findall(r"^  (\w+): ", help_text.get("COMMANDS", ""), re.MULTILINE)


def flags(help_text: dict[str, str]) -> list[str]:
    found = re.findall(r"^  (--\w+)", help_text.get("FLAGS", ""), re.MULTILINE)
    return sorted(set(found) - {"--help", "--version"})


def record(tool: str) -> dict[str, object]:
    """Ask the tool for all of its commands."""
    found: dict[str, list[str]] = {}
    root = sections(tool)
    for group in commands(root):
        help_text = sections(tool, group)
        if names := commands(help_text):
            found |= {f"{group} {name}": flags(sections(tool, group, name)) for name in names}
        else:
            found[group] = flags(help_text)
    return {"version": VERSION, "flags": flags(root), "commands": found}


if __name__ == "__main__":
    FILE.write_text(json.dumps(record(sys.argv[1]), indent=2) + "\n", encoding="utf-8")
