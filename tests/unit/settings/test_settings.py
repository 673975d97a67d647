"""Every setting, and where it comes from."""

import os
import traceback
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from rota import ConfigError, Settings
from rota.cli.option_types import settings_of
from rota.settings.setting_groups import DEFAULT_URL
from rota.settings.settings import GROUP_OF, GROUPS


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(autouse=True)
def in_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read `pyproject.toml`, as the commands do."""
    monkeypatch.setattr("rota.settings.origin._is_command", True)


def project(folder: Path, text: str) -> None:
    (folder / "pyproject.toml").write_text(f"[tool.rota]\n{text}\n")


def test_the_code_wins_over_the_environment_over_the_project_over_the_defaults(
    empty_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project(empty_folder, 'concurrency = 1\nlease = "1m"\nslow_poll = "2s"')
    monkeypatch.setenv("ROTA_CONCURRENCY", "2")
    monkeypatch.setenv("ROTA_LEASE", "40s")

    settings = Settings(concurrency=3)

    assert settings.worker.concurrency == 3
    assert settings.worker.lease == timedelta(seconds=40)
    assert settings.worker.slow_poll == timedelta(seconds=2)
    assert settings.worker.heartbeat == timedelta(seconds=5)
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
        ('{"a,b": 2, "c=d": 1, "{x}": 3}', {"a,b": 2, "c=d": 1, "{x}": 3}),
        ('["a", "b=2"]', {"a": 1, "b": 2}),
        ("{eu}jobs=3,[eu]=1", {"{eu}jobs": 3, "[eu]": 1}),
        (os.fsdecode("grün=2".encode()), {"grün": 2}),
    ],
)
def test_queues_are_a_mapping_a_list_or_text(written: Any, read: dict[str, int]) -> None:
    assert Settings(queues=written).worker.queues == read


def test_queues_are_read_from_the_environment_and_the_project(
    empty_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project(empty_folder, "[tool.rota.queues]\ncritical = 6")
    assert Settings().worker.queues == {"critical": 6}
    monkeypatch.setenv("ROTA_QUEUES", "a=2,b")
    assert Settings().worker.queues == {"a": 2, "b": 1}


def test_queues_in_the_code_replace_those_of_the_project(empty_folder: Path) -> None:
    project(empty_folder, "[tool.rota.queues]\ncritical = 6")
    assert Settings(queues={"default": 1}).worker.queues == {"default": 1}


def test_queues_are_written_so_that_they_are_read_back() -> None:
    for queues in ({"a": 2, "b": 1}, {"a,b": 2, "c=d": 1}, {' a"': 1}, {"[": 1}, {'["': 1}):
        rows = {row.name: row.value for row in Settings(queues=queues).table()}
        assert Settings(queues=rows["queues"]).worker.queues == queues  # type: ignore[arg-type]


def test_names_of_queues_with_commas_are_given_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROTA_QUEUES", '{"jobs,eu": 2, "a=b": 1, "jobs[eu]": 3}')
    assert Settings().worker.queues == {"jobs,eu": 2, "a=b": 1, "jobs[eu]": 3}
    assert settings_of([], queues='{"x,y": 5}').values["queues"] == '{"x,y": 5}'
    assert Settings().updated_by(settings_of([], queues='{"x,y": 5}')).worker.queues == {"x,y": 5}


def test_an_unknown_setting_is_refused_with_its_origin_and_a_suggestion(empty_folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"no setting 'concurency' \(from code\). Did you mean 'concurrency'"):
        Settings(concurency=1)  # type: ignore[call-arg]
    project(empty_folder, 'laese = "30s"')
    with pytest.raises(ConfigError, match=r"no setting 'laese' \(from pyproject.toml\). Did you mean 'lease'"):
        Settings()


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ({"lease": "30"}, "setting lease .from code. is wrong: it is '30', which is not a duration: .*needs a unit"),
        ({"lease": "1s"}, "setting lease"),
        ({"concurrency": 0}, "setting concurrency .* greater than 0"),
        ({"queues": {}}, "name at least one queue"),
        ({"queues": {" ": 1}}, "cannot be blank"),
        ({"queues": "a=x"}, "setting queues .* the part 'a=x' has no whole number after the equals sign. .* JSON"),
        ({"queues": "a=1,=2"}, "the part '=2' names no queue"),
        ({"queues": "a=b=2"}, "the part 'a=b=2' has no whole number"),
        ({"queues": "a=1,a=2"}, "the queue 'a' is named twice"),
        ({"queues": '{"a": 1'}, "begins like JSON, but is not valid"),
        ({"queues": '{"a": 1, "b": 0}'}, "the weight of queue 'b' is 0, but must be a whole number of at least 1"),
        ({"queues": '{"a": 1, "b": "x"}'}, "the weight of queue 'b' is 'x'"),
        ({"queues": {"a": True}}, "the weight of queue 'a' is True"),
        ({"queues": {"a": 1, "}x": 1}}, "Queue '}x' must not start with"),
        ({"queues": {"a": 1, "\udcff": 1}}, "is not UTF-8"),
        ({"queues": "[]"}, "name at least one queue"),
        ({"heartbeat": "20s"}, "at most half of lease"),
        ({"when_away": "buffer"}, "setting when_away .* 'wait' or 'fail'"),
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

    assert list(rows) == list(Settings().values())
    assert rows["url"][2:4] == ("redis://***@host:6379/1", "environment")
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

    assert len(Settings().warnings()) == 1


def test_updated_settings_keep_what_the_code_said_and_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(concurrency=3).updated(queues="a")

    assert (settings.worker.concurrency, settings.worker.queues) == (3, {"a": 1})
    assert settings.source_of("queues") == "code"
    with pytest.raises(ConfigError, match="Did you mean 'processes'"):
        settings.updated(proceses=2)


def test_settings_cannot_be_changed() -> None:
    with pytest.raises((ConfigError, ValueError, AttributeError)):
        Settings().worker.concurrency = 5


SECRET = "s3cr3t"


@pytest.mark.parametrize(
    "url",
    [
        f"redis://:{SECRET}@host:6379/1",
        f"rediss://me:{SECRET}@host",
        f"redis://host?password={SECRET}",
        f":{SECRET}@host:6379",
        f"redis://me:{SECRET}",
        f"htp://me:{SECRET}@host",
        f"redis://me:{SECRET}@host:notaport/0",
        f"unix://me:{SECRET}@/run/redis.sock",
        f"redis-sentinel://:{SECRET}@a:26379,b:26379/0?master=x",
        f"redis://h1:6379,:{SECRET}@h2:6379/0",
    ],
)
def test_the_password_of_the_url_is_shown_nowhere(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROTA_URL", url)
    settings = Settings()

    for text in (repr(settings), str(settings), settings.model_dump_json(), repr(settings.table())):
        assert SECRET not in text
    assert settings.broker.url == url


def test_an_error_of_settings_does_not_show_their_values() -> None:
    words: Any = {"url": f"redis://:{SECRET}@host", "password": SECRET, "pasword": SECRET, "concurrency": 0}

    with pytest.raises(ConfigError) as caught:
        Settings(**words)

    assert SECRET not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"[tool.rota", r"Expected '\]'"),
        (b'[tool.rota]\napp = "\xff"', "not UTF-8"),
        (b"tool = 3", r"\[tool.rota\] is not a table"),
        (b'[tool]\nrota = "x"', r"\[tool.rota\] is not a table"),
    ],
)
def test_a_project_file_that_cannot_be_read_is_named(empty_folder: Path, text: bytes, reason: str) -> None:
    (empty_folder / "pyproject.toml").write_bytes(text)

    with pytest.raises(ConfigError, match=rf"{empty_folder}/pyproject.toml.*{reason}") as caught:
        Settings()

    assert len("".join(traceback.format_exception(caught.value.with_traceback(None))).splitlines()) == 1


def test_a_project_file_above_is_named_by_its_own_path(empty_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (empty_folder / "pyproject.toml").write_text("[tool.rota")
    (empty_folder / "inside").mkdir()
    monkeypatch.chdir(empty_folder / "inside")

    with pytest.raises(ConfigError, match=f"{empty_folder}/pyproject.toml"):
        Settings()


def test_settings_are_refused_in_one_sentence_when_the_folder_is_gone(
    empty_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = empty_folder / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()

    with pytest.raises(ConfigError, match="current folder"):
        Settings()


def test_a_misspelt_variable_is_named_with_what_it_may_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROTA_CONCURENCY", "3")
    monkeypatch.setenv("ROTA_ZZZZ", "3")

    near, far = Settings().warnings()

    assert "ROTA_CONCURENCY is set, but there is no such setting" in near
    assert "Did you mean ROTA_CONCURRENCY?" in near
    assert "`rota config` lists them" in far


def test_an_empty_variable_counts_as_not_set(empty_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project(empty_folder, 'lease = "1m"')
    for name in ("ROTA_URL", "ROTA_LEASE", "ROTA_QUEUES", "ROTA_APP", "ROTA_CONCURRENCY"):
        monkeypatch.setenv(name, "")

    settings = Settings()

    assert settings.broker.url == DEFAULT_URL
    assert settings.worker.lease == timedelta(minutes=1)
    assert settings.cli.app is None
    assert [settings.source_of(name) for name in ("url", "lease", "queues")] == ["default", "pyproject.toml", "default"]


def test_a_program_that_is_no_command_does_not_read_the_project_file(
    empty_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (empty_folder / "pyproject.toml").write_text("[tool.rota")  # reading it would raise
    monkeypatch.setattr("rota.settings.origin._is_command", False)

    assert Settings().source_of("url") == "default"


def test_settings_for_producers_in_the_project_file_are_warned_of(empty_folder: Path) -> None:
    project(empty_folder, 'url = "redis://here"\nwhen_away = "fail"\nconcurrency = 3')

    [warning] = Settings().warnings()

    assert "pyproject.toml gives url, when_away, but only the commands of rota read that file" in warning
    assert "set ROTA_URL, ROTA_WHEN_AWAY" in warning
    assert Settings(url="redis://here", when_away="fail").warnings() == []


def test_each_setting_has_one_name_in_one_group() -> None:
    names = [name for group in GROUPS.values() for name in group.model_fields]

    assert len(names) == len(set(names))
    assert not set(names) & GROUPS.keys()
    assert {row.name: row.group for row in Settings().table()} == GROUP_OF


def test_reading_a_setting_without_its_group_names_the_group() -> None:
    with pytest.raises(
        AttributeError, match=r"The setting concurrency is in a group: read settings.worker.concurrency"
    ):
        _ = Settings().concurrency  # type: ignore[attr-defined]
    with pytest.raises(AttributeError, match="nothing_like_it"):
        _ = Settings().nothing_like_it  # type: ignore[attr-defined]


def test_a_setting_by_its_earlier_name_is_refused_with_the_new_name(
    empty_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match=r"The setting process_slots \(from code\) is called pool_size now"):
        Settings(process_slots=2)
    project(empty_folder, "process_recycle = 5")
    with pytest.raises(ConfigError, match=r"process_recycle \(from pyproject.toml\) is called pool_max_tasks now"):
        Settings()
    project(empty_folder, "")
    monkeypatch.setenv("ROTA_PROCESS_SLOTS", "2")
    with pytest.raises(ConfigError, match=r"ROTA_PROCESS_SLOTS \(from environment\) is called ROTA_POOL_SIZE now"):
        Settings()


def test_a_group_given_as_a_setting_is_refused_with_the_names_to_give() -> None:
    with pytest.raises(ConfigError, match=r"'broker' \(from code\) is a group of settings: .* such as 'url'"):
        Settings(broker={"url": "redis://here"})


def test_table_is_shown_without_the_source(monkeypatch: pytest.MonkeyPatch) -> None:
    def without(_: object) -> str:
        raise OSError("source code not available")

    monkeypatch.setattr("inspect.getsource", without)
    assert {row.about for row in Settings().table()} == {""}
