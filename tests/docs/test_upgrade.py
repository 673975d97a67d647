"""The page on upgrading names what there is, and nothing that is gone as if it were there."""

import re

import pytest

import rota
from rota import ConfigError, Settings
from rota.settings.settings import RENAMED
from scripts.tree import ROOT

ROWS = re.findall(r"^\| (.+?) \| (.+?) \|$", (ROOT / "docs" / "upgrade.md").read_text(encoding="utf-8"), re.MULTILINE)


def words(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_renamed_public_names_are_gone_and_the_new_ones_are_there() -> None:
    [(old, new)] = [(old, new) for old, new in ROWS if "`Enqueued`" in old]

    assert [name for name in words(old) if hasattr(rota, name)] == []
    assert set(words(new)) <= set(rota.__all__)
    assert not hasattr(rota, "BufferFull")


def test_each_renamed_setting_is_on_the_page() -> None:
    for old, new in RENAMED.items():
        assert (f"`{old}`, `ROTA_{old.upper()}`", f"`{new}`, `ROTA_{new.upper()}`") in ROWS


@pytest.mark.parametrize(
    "said",
    [
        {"buffer_max": 1},
        {"flush_timeout": "1s"},
        {"reconcile_interval": "1m"},
        {"when_away": "buffer"},
        {"wake_up": "blmove"},
    ],
)
def test_removed_settings_and_values_are_refused(said: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        Settings(**said)


@pytest.mark.parametrize("row", [row for row in ROWS if row[0].startswith("`app.settings.")])
def test_each_moved_setting_is_where_the_page_says(row: tuple[str, str]) -> None:
    [old], [new] = (words(cell) for cell in row)
    settings, group, name = Settings(), *new.removeprefix("app.settings.").split(".")

    assert getattr(getattr(settings, group), name) is not None
    with pytest.raises(AttributeError, match=new.removeprefix("app.")):
        getattr(settings, old.removeprefix("app.settings."))
