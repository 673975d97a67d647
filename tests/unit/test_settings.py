"""Every setting, and where it comes from."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from rota import ConfigError, Settings


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def project(folder: Path, text: str) -> None:
    (folder / "pyproject.toml").write_text(f"[tool.rota]\n{text}\n")


def test_the_code_wins_over_the_environment_over_the_project_over_the_defaults(
    empty_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project(empty_folder, 'concurrency = 1\nlease = "1m"\nslow_poll = "2s"')
    monkeypatch.setenv("ROTA_CONCURRENCY", "2")
    monkeypatch.setenv("ROTA_LEASE", "40s")

    settings = Settings(concurrency=3)

    assert settings.concurrency == 3
    assert settings.lease == timedelta(seconds=40)
    assert settings.slow_poll == timedelta(seconds=2)
    assert settings.heartbeat == timedelta(seconds=5)
    assert [settings.source_of(name) for name in ("concurrency", "lease", "slow_poll", "heartbeat")] == [
        "code",
        "environment",
        "pyproject.toml",
        "default",
    ]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("critical=6,default=3,low", {"critical": 6, "default": 3, "low": 1}),
        (["a", "b=2"], {"a": 1, "b": 2}),
        ({"a": 5}, {"a": 5}),
        ("mail:*", {"mail:*": 1}),
    ],
)
def test_queues_are_a_mapping_a_list_or_text(written: Any, read: dict[str, int]) -> None:
    assert Settings(queues=written).queues == read


def test_queues_are_read_from_the_environment_and_the_project(
    empty_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project(empty_folder, "[tool.rota.queues]\ncritical = 6")
    assert Settings().queues == {"critical": 6}
    monkeypatch.setenv("ROTA_QUEUES", "a=2,b")
    assert Settings().queues == {"a": 2, "b": 1}


def test_an_unknown_setting_is_refused_with_its_place_and_a_suggestion(empty_folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"no setting 'concurency' \(from code\). Did you mean 'concurrency'"):
        Settings(concurency=1)  # type: ignore[call-arg]
    project(empty_folder, 'laese = "30s"')
    with pytest.raises(ConfigError, match=r"no setting 'laese' \(from pyproject.toml\). Did you mean 'lease'"):
        Settings()


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ({"lease": "30"}, "setting lease .from code. is wrong: .*needs a unit"),
        ({"lease": "1s"}, "setting lease"),
        ({"concurrency": 0}, "setting concurrency .* greater than 0"),
        ({"queues": {}}, "name at least one queue"),
        ({"queues": {" ": 1}}, "cannot be blank"),
        ({"queues": "a=x"}, "setting queues"),
        ({"heartbeat": "20s"}, "at most half of lease"),
        ({"when_away": "buffer", "wait_replicas": 1}, "give one of them"),
        ({"lease": "20s500ms"}, "in whole seconds"),
        ({"group_max_delay": "1s"}, "shorter than group_grace"),
        ({"wake_up": "poll!"}, "setting wake_up"),
        ({"fetch_batch": 501}, "setting fetch_batch .* less than or equal to 500"),
        ({"enqueue_batch": 1001}, "setting enqueue_batch .* less than or equal to 1000"),
    ],
)
def test_a_wrong_value_says_what_and_why(words: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        Settings(**words)


def test_the_table_lists_every_setting_with_its_source_and_hides_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROTA_URL", "redis://me:p@ss/w@host:6379/1")

    rows = {row.name: row for row in Settings(password="hidden", queues="a=2,b").table()}  # type: ignore[arg-type]

    assert rows.keys() == Settings.model_fields.keys()
    assert rows["url"][1:3] == ("redis://***@host:6379/1", "environment")
    assert "hidden" not in str(rows["password"])
    assert rows["queues"].value == "a=2,b=1"
    assert rows["lease"].value == "30s"
    assert rows["app"].value == ""
    assert all(row.about for row in rows.values())


def test_a_url_without_login_is_shown_as_it_is() -> None:
    assert {row.name: row.value for row in Settings(url="redis://h/1").table()}["url"] == "redis://h/1"


def test_names_in_the_environment_that_are_no_settings_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROTA_CONCURENCY", "3")
    monkeypatch.setenv("ROTA_CONCURRENCY", "3")

    assert Settings().unknown_environment() == ["ROTA_CONCURENCY"]


def test_updated_settings_keep_what_the_code_said_and_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(concurrency=3).updated(queues="a")

    assert (settings.concurrency, settings.queues) == (3, {"a": 1})
    assert settings.source_of("queues") == "code"
    with pytest.raises(ConfigError, match="Did you mean 'processes'"):
        settings.updated(proceses=2)


def test_settings_cannot_be_changed() -> None:
    with pytest.raises((ConfigError, ValueError, AttributeError)):
        Settings().concurrency = 5
