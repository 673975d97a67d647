"""No setting is only stored: somewhere in the code each is read."""

import ast

from rota.settings.settings import GROUP_OF, GROUPS
from scripts.tree import ROOT, project_files


def settings_read() -> set[str]:
    """Return what is read of a group: `settings.broker.url`, `self._settings.url`, `Settings().cli.app`."""
    found: set[str] = set()
    for path in project_files(".py"):
        if path.is_relative_to(ROOT / "rota"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Attribute) and _is_group(node.value):
                    found.add(node.attr)
    return found


def _is_group(node: ast.expr) -> bool:
    name = ast.unparse(node).rpartition(".")[2].lstrip("_")
    return name in GROUPS or name == "settings"


def test_every_setting_is_read_by_the_code() -> None:
    assert sorted(GROUP_OF.keys() - settings_read()) == []
