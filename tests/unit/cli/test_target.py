"""`module:app`: what is found, and what is said where it is not."""

import importlib
import sys
from pathlib import Path

import pytest

from rota.cli.target import ImportFailed, chosen, load_app, target_of
from rota.errors import ConfigError, RotaError
from tests.modules import own_modules


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of our own, from which modules are imported and then forgotten."""
    monkeypatch.chdir(tmp_path)
    with own_modules(tmp_path):
        yield tmp_path


def test_an_app_is_found_by_module_and_name(folder: Path) -> None:
    (folder / "shelf_a.py").write_text("from rota import Rota\nmine = Rota()\n")

    assert load_app("shelf_a:mine").registry is not None


def test_the_name_app_may_be_left_out(folder: Path) -> None:
    (folder / "shelf_b.py").write_text("from rota import Rota\napp = Rota()\n")

    assert load_app("shelf_b") is load_app("shelf_b:app")


def test_a_missing_module_is_named_with_the_folder_that_was_searched(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"no module 'shelf_gone'.*" + folder.name):
        load_app("shelf_gone:app")


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import shelf_missing_part", ["ModuleNotFoundError: No module named 'shelf_missing_part'", "shelf_c.py:1:"]),
        ("x = 1\ny = z", ["cannot be imported: NameError: name 'z' is not defined", "shelf_c.py:2: y = z"]),
        ("def f(:\n    pass", ["SyntaxError", "shelf_c.py:1: def f(:"]),
        ("import sys\nsys.exit(3)", ["ended the program while it was imported: sys.exit(3)", "shelf_c.py:2:"]),
        ("class E(Exception):\n    def __str__(self): raise OSError\nraise E", ["E: its text cannot be read"]),
        ("import json\njson.loads('{')", ["JSONDecodeError", "shelf_c.py:2: json.loads('{')", "json/decoder.py"]),
        (
            "from rota import Rota\napp = Rota()\n@app.task('', retri=1)\ndef f(): ...",
            ["no option 'retri'", "shelf_c.py:"],
        ),
        (
            "from rota import Rota\napp = Rota()\n@app.task('a:b', max_retry=1)\ndef f(): ...",
            ["cannot have max_retry=", "shelf_c.py:3: @app.task"],
        ),
        ("def f(n):\n    f(n - 1) if n else 1 / 0\nf(50)", ["ZeroDivisionError"]),
    ],
)
def test_an_error_inside_a_module_is_told_with_the_lines_of_the_users_code(
    folder: Path, code: str, said: list[str]
) -> None:
    (folder / "shelf_c.py").write_text(code)

    with pytest.raises(RotaError) as caught:
        load_app("shelf_c:app")

    text = str(caught.value)
    assert [part for part in said if part not in text] == []
    assert "importlib" not in text
    assert "rota/" not in text
    assert "contextlib" not in text
    assert len(text.splitlines()) <= 8
    sys.modules.pop("shelf_c", None)


def test_a_file_that_is_not_text_is_told(folder: Path) -> None:
    (folder / "shelf_binary.py").write_bytes(b"\xff\xfe\x00")

    with pytest.raises(ImportFailed, match="shelf_binary cannot be imported: SyntaxError"):
        load_app("shelf_binary")


@pytest.mark.parametrize("target", [":app", "..b:app", "a b", "a..b:app", ",", "shelf_x-y:app"])
def test_what_does_not_name_a_module_is_refused_with_an_example(target: str) -> None:
    with pytest.raises(ConfigError, match=r"does not name a module. Write module:app"):
        load_app(target)


def test_further_modules_register_their_tasks_with_the_app(folder: Path) -> None:
    (folder / "shelf_f.py").write_text("from rota import Rota\napp = Rota()\n")
    for name in ("shelf_g", "shelf_h"):
        (folder / f"{name}.py").write_text(
            f"from shelf_f import app\n@app.task('{name}:run')\ndef run() -> None: ...\n"
        )

    app = load_app("shelf_f:app, shelf_g,shelf_h")

    assert sorted(handler.type for handler in app.registry) == ["shelf_g:run", "shelf_h:run"]


def test_a_further_module_that_is_missing_is_named(folder: Path) -> None:
    (folder / "shelf_i.py").write_text("from rota import Rota\napp = Rota()\n")

    with pytest.raises(ConfigError, match="no module 'shelf_gone'"):
        load_app("shelf_i,shelf_gone")


def package(folder: Path, *names: str) -> None:
    """Make modules of `shelf_pack`; each registers a task named after itself, and notes its import."""
    (folder / "shelf_main.py").write_text("from rota import Rota\napp = Rota()\nimported = []\n")
    for name in names:
        path = folder / "shelf_pack" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            "from shelf_main import app, imported\n"
            f"imported.append(__name__)\n@app.task('{path.parent.name}:{path.stem}', lint=False)\n"
            "def run() -> None: ...\n"
        )


def imported() -> list[str]:
    found: list[str] = sys.modules["shelf_main"].imported
    return found


def test_pattern_stands_for_the_modules_of_this_name_at_any_depth(folder: Path) -> None:
    package(folder, "tasks", "emails/tasks", "orders/deep/tasks/__init__", "orders/tasks_of_mine", "orders/jobs")
    (folder / "shelf_pack" / "node-modules").mkdir()
    (folder / "shelf_pack" / "node-modules" / "tasks.py").write_text("1 / 0")

    load_app("shelf_main:app, shelf_pack.**.tasks")
    assert imported() == ["shelf_pack.emails.tasks", "shelf_pack.orders.deep.tasks", "shelf_pack.tasks"]

    load_app("shelf_main:app, shelf_pack.orders.**.jobs")
    assert imported()[3:] == ["shelf_pack.orders.jobs"]


def test_module_added_since_is_found_at_the_next_load(folder: Path) -> None:
    package(folder, "tasks")
    load_app("shelf_main,shelf_pack.**.tasks")
    package(folder, "new/tasks")
    importlib.invalidate_caches()

    load_app("shelf_main,shelf_pack.**.tasks")

    assert imported() == ["shelf_pack.tasks", "shelf_pack.new.tasks"]


def test_failure_of_a_discovered_module_names_the_module_and_its_line(folder: Path) -> None:
    package(folder, "tasks")
    (folder / "shelf_pack" / "broken").mkdir()
    (folder / "shelf_pack" / "broken" / "tasks.py").write_text("x = 1\ny = z\n")

    with pytest.raises(ImportFailed, match=r"module shelf_pack.broken.tasks cannot be imported: NameError") as caught:
        load_app("shelf_main,shelf_pack.**.tasks")

    assert "shelf_pack/broken/tasks.py:2: y = z" in str(caught.value)


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ("shelf_pack.**.jobs", "no module named 'jobs' in the package shelf_pack .*shelf_pack"),
        ("shelf_gone.**.tasks", "no module 'shelf_gone'"),
        ("shelf_main.**.tasks", "shelf_main is a module and not a package"),
        ("shelf_pack.*", r"not a pattern of modules. Write shop.\*\*.tasks"),
        ("**.tasks", "not a pattern of modules"),
        ("shelf_pack.**.a.b", "not a pattern of modules"),
        ("shelf_pack/tasks.py", r"is a path. Name the module instead: shelf_pack\.tasks$"),
        ("two words", r"does not name a module. Write module, as in shop\.tasks\.$"),
        ("elsewhere", r"no module 'elsewhere' in .*\. Run this where the module is\.$"),
        ("shelf_pack.tasks:app", "runs one app, here shelf_main:app. .*without a colon: shelf_pack.tasks"),
    ],
)
def test_wrong_further_part_is_refused(folder: Path, part: str, said: str) -> None:
    package(folder, "tasks")

    with pytest.raises(ConfigError, match=said):
        load_app(f"shelf_main:app,{part}")


def test_discovered_packages_are_added_to_the_target(monkeypatch: pytest.MonkeyPatch) -> None:
    assert chosen("worker", "a:app", ["b"], ["shop", "blog.posts"]) == "a:app,b,shop.**.tasks,blog.posts.**.tasks"
    assert target_of(None) is None
    with pytest.raises(ConfigError, match="Name the app too"):
        target_of(None, None, ["shop"])
    monkeypatch.setenv("ROTA_APP", "shop:app")
    assert target_of(None, None, ["shop"]) == "shop:app,shop.**.tasks"


@pytest.mark.parametrize(
    ("package", "advice"),
    [
        ("./shop/", "Did you mean shop?"),
        ("shop/emails", "Did you mean shop.emails?"),
        ("shop:app", "Did you mean shop?"),
        ("shop,blog", "once for each package"),
        ("", "once for each package"),
    ],
)
def test_discovering_something_that_is_no_package_is_refused(package: str, advice: str) -> None:
    with pytest.raises(ConfigError, match=r"does not name a package") as caught:
        chosen("worker", "a:app", None, [package])

    assert advice in str(caught.value)


def test_router_named_as_the_app_is_told_from_an_app(folder: Path) -> None:
    (folder / "shelf_router.py").write_text("from rota import Tasks\ntasks = Tasks()\n")

    with pytest.raises(ConfigError, match=r"shelf_router:tasks is a router. Name the app that includes it"):
        load_app("shelf_router:tasks")


def test_the_target_is_what_was_given_with_its_modules_or_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    assert chosen("worker", "a:app", ["b", "c"]) == "a:app,b,c"
    with pytest.raises(ConfigError, match="Which application"):
        chosen("worker", None)
    monkeypatch.setenv("ROTA_APP", "shop:app,shop.emails")
    assert chosen("worker", None) == "shop:app,shop.emails"


def test_a_wrong_attribute_names_the_nearest_app(folder: Path) -> None:
    (folder / "shelf_d.py").write_text("from rota import Rota\napplication = Rota()\n")

    with pytest.raises(ConfigError, match="Did you mean 'application'"):
        load_app("shelf_d:aplication")


def test_something_that_is_no_app_is_refused(folder: Path) -> None:
    (folder / "shelf_e.py").write_text("app = 7\n")

    with pytest.raises(ConfigError, match="is of the type int, not a Rota application"):
        load_app("shelf_e:app")


def test_a_path_is_answered_with_the_module_name() -> None:
    with pytest.raises(ConfigError, match=r"Name the module instead: shelf\.tasks:app"):
        load_app("./shelf/tasks.py")


def test_a_module_without_any_app_is_told_how_to_make_one(folder: Path) -> None:
    (folder / "shelf_j.py").write_text("x = 1\n")

    with pytest.raises(ConfigError, match=r"has no 'app'. It makes no application: app = Rota\(\)"):
        load_app("shelf_j")


def test_a_dot_for_the_colon_is_recognized(folder: Path) -> None:
    (folder / "shelf_k.py").write_text("from rota import Rota\napp = Rota()\n")

    with pytest.raises(ConfigError, match=r"no module 'shelf_k.app' in .*\. Did you mean shelf_k:app\?"):
        load_app("shelf_k.app")


def test_a_misspelt_module_names_the_nearest_one(folder: Path) -> None:
    (folder / "shelf_lamps.py").touch()
    (folder / "shelf_rooms").mkdir()
    (folder / "shelf_rooms" / "__init__.py").touch()
    (folder / "shelf_rooms" / "kitchen.py").touch()

    for wrong, right in (
        ("shelf_lamp:app", "shelf_lamps"),
        ("shelf_room", "shelf_rooms"),
        ("shelf_rooms.kitchn", "shelf_rooms.kitchen"),
    ):
        with pytest.raises(ConfigError, match=rf"Did you mean {right}\?"):
            load_app(wrong)
