"""`module:app`: what is found, and what is said where it is not."""

import sys
from pathlib import Path

import pytest

from rota.cli.target import load_app
from rota.errors import ConfigError


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of our own, from which modules are imported and then forgotten."""
    known = set(sys.modules)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    for name in set(sys.modules) - known:
        if name.startswith("shelf_"):
            del sys.modules[name]


def test_an_app_is_found_by_module_and_name(folder: Path) -> None:
    (folder / "shelf_a.py").write_text("from rota import Rota\nmine = Rota()\n")

    assert load_app("shelf_a:mine").registry is not None


def test_the_name_app_may_be_left_out(folder: Path) -> None:
    (folder / "shelf_b.py").write_text("from rota import Rota\napp = Rota()\n")

    assert load_app("shelf_b") is load_app("shelf_b:app")


def test_a_missing_module_is_named_with_the_folder_that_was_searched(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"no module 'shelf_gone'.*" + folder.name):
        load_app("shelf_gone:app")


def test_an_error_inside_the_module_comes_through_as_it_is(folder: Path) -> None:
    (folder / "shelf_c.py").write_text("import shelf_missing_part\n")

    with pytest.raises(ModuleNotFoundError, match="shelf_missing_part"):
        load_app("shelf_c:app")


def test_a_wrong_attribute_names_the_nearest_app(folder: Path) -> None:
    (folder / "shelf_d.py").write_text("from rota import Rota\napplication = Rota()\n")

    with pytest.raises(ConfigError, match="Did you mean 'application'"):
        load_app("shelf_d:aplication")


def test_something_that_is_no_app_is_refused(folder: Path) -> None:
    (folder / "shelf_e.py").write_text("app = 7\n")

    with pytest.raises(ConfigError, match="is a int, not a Rota application"):
        load_app("shelf_e:app")


def test_a_path_is_answered_with_the_module_name() -> None:
    with pytest.raises(ConfigError, match=r"Name the module instead: shelf\.tasks:app"):
        load_app("./shelf/tasks.py")
