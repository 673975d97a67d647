"""No setting is only stored: somewhere in the code each is read."""

import ast

from rota import Settings
from scripts.tree import ROOT, project_files


def settings_read() -> set[str]:
    """Return what is read of anything called settings: `settings.url`, `self._settings.url`, `Settings().url`."""
    found: set[str] = set()
    for path in project_files(".py"):
        if path.is_relative_to(ROOT / "rota"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Attribute) and _is_settings(node.value):
                    found.add(node.attr)
    return found


def _is_settings(node: ast.expr) -> bool:
    name = ast.unparse(node).removesuffix("()").rpartition(".")[2]
    return name.lstrip("_").lower() == "settings"


def test_every_setting_is_read_by_the_code() -> None:
    assert sorted(set(Settings.model_fields) - settings_read()) == []
