"""Adding, changing, deleting and restoring schedules from the shell."""

from pathlib import Path

import pytest

from tests.integration.cli.schedule.conftest import Run


def test_schedule_is_added_shown_and_listed(rota: Run) -> None:
    added = rota(
        "add", "nightly backup", "backup:db", '{"name": "shop"}', "--spec", "30 2 * * *", "--tz", "Asia/Shanghai"
    )
    assert added.code == 0
    assert "at 02:30 every day (Asia/Shanghai)" in added.out
    shown = rota("show", "nightly backup", "--json").json
    assert shown["definition"] == {
        "name": "nightly backup",
        "task_type": "backup:db",
        "payload": {"name": "shop"},
        "specs": ["30 2 * * *"],
        "timezone": "Asia/Shanghai",
    }
    assert shown["state"] == "scheduled"
    assert shown["created_by"].startswith("anna@")
    assert len(shown["next_times"]) == 5
    assert [row.split()[:2] for row in rota("list").out.splitlines()[1:]] == [["nightly", "backup"]]


def test_kind_follows_from_the_options(rota: Run) -> None:
    rota("add", "periodic", "t", "--spec", "@daily")
    rota("add", "later", "t", "--in", "5m")
    rota("add", "then", "t", "--at", "2100-01-01T00:00Z")
    rota("add", "asked", "t")
    kinds = {row["definition"]["name"]: row["definition"].get("kind") for row in rota("list", "--json").json}
    assert kinds == {"periodic": None, "later": "once", "then": "once", "asked": "wait"}


def test_any_field_can_be_set_and_unset(rota: Run) -> None:
    rota(
        "add", "a", "t", "--spec", "@daily", "--set", "timeout=10m", "--set", 'tags=["x", "y"]', "--set", "max_retry=0"
    )
    changed = rota("edit", "a", "--set", "timeout=20m", "--unset", "max_retry")
    assert changed.out.splitlines() == [
        "'a' is at version 2:",
        "  max_retry: 0 -> (default)",
        '  timeout: "10m" -> "20m"',
    ]
    assert rota("edit", "a", "--set", "timeout=20m").out == "'a' is as it was (version 2).\n"
    latest = rota("versions", "a", "--json").json[0]
    assert (latest["version"], latest["act"], latest["changed"]) == (2, "updated", ["max_retry", "timeout"])


def test_edit_in_an_editor_asks_again_until_the_text_is_right(
    rota: Run, tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    rota("add", "a", "t", "--spec", "@daily")
    monkeypatch.setenv("EDITOR", "sed -i s/@daily/@dayly/")
    refused = rota("edit", "a", typed="n\n")
    assert refused.code == 1
    assert "Did you mean" in refused.err or "@dayly" in refused.err
    monkeypatch.setenv("EDITOR", "sed -i s/@daily/@weekly/")
    assert '  specs: ["@daily"] -> ["@weekly"]' in rota("edit", "a").out
    monkeypatch.setenv("EDITOR", "true")
    assert "Nothing was changed" in rota("edit", "a").err


def test_delete_asks_with_the_count_and_is_undone_by_restore(rota: Run) -> None:
    for name in ("a", "b"):
        rota("add", name, "t", "--spec", "@daily", "--tag", "x")
    kept = rota("delete", "--tag", "x", typed="n\n")
    assert (kept.code, "Delete 2 schedules ('a', 'b')?" in kept.err) == (1, True)
    assert rota("delete", "--tag", "x", "--yes").out.startswith("Deleted 2 schedules.")
    assert rota("list", "--json").json == []
    assert [row["definition"]["name"] for row in rota("list", "--deleted", "--json").json] == ["a", "b"]
    assert rota("restore", "a").out.startswith("Restored 'a'")
    assert [row["definition"]["name"] for row in rota("list", "--json").json] == ["a"]


def test_delete_without_an_answer_changes_nothing(rota: Run) -> None:
    rota("add", "a", "t", "--spec", "@daily")
    assert "--yes answers the question" in rota("delete", "a").err
    assert len(rota("list", "--json").json) == 1


def test_earlier_version_comes_back(rota: Run) -> None:
    rota("add", "a", "t", "--spec", "@daily")
    rota("edit", "a", "--spec", "@hourly")
    assert '  specs: ["@hourly"] -> ["@daily"]' in rota("restore", "a", "--version", "1").out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("add", "a", "t", "--spec", "61 * * * *"), "61"),
        (("add", "a", "t", "--spec", "@daily", "--tz", "Mars"), "not a time zone"),
        (("add", "a", "t", "{", "--spec", "@daily"), "not JSON"),
        (("add", "a", "t", "--spec", "@daily", "--set", "tiemout=3s"), "Did you mean 'timeout'"),
        (("add", "a", "t", "--spec", "@daily", "--set", "timeout"), "name=value"),
        (("add", "a", "t", "--at", "tomorrow"), "write a time such as"),
        (("add", "known", "t", "--spec", "@daily"), "already"),
        (("edit", "knwon", "--spec", "@daily"), "Did you mean 'known'"),
        (("edit", "known", "--spec", "@daily", "--version", "7"), "version 7"),
        (("delete",), "Which schedules?"),
        (("delete", "known", "--all"), "Which schedules?"),
        (("restore", "known"), "no deleted schedule"),
        (("run-show", "nothing"), "no run"),
        (("runs", "--outcome", "fialed"), "Did you mean 'failed'"),
    ],
)
def test_mistake_is_refused_in_words_and_changes_nothing(rota: Run, words: tuple[str, ...], said: str) -> None:
    rota("add", "known", "t", "--spec", "@hourly")
    before = rota("list", "--json").json
    refused = rota(*words)
    assert refused.code in (1, 2)
    assert said in refused.err.replace("\n", " ")
    assert "Traceback" not in refused.err
    after = rota("list", "--json").json
    assert [row["version"] for row in after] == [row["version"] for row in before]


def test_schedules_of_the_code_are_listed_if_an_app_is_named(rota: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    rota("add", "stored", "t", "--spec", "@daily")
    assert [row["definition"]["name"] for row in rota("list", "--json").json] == ["stored"]
    monkeypatch.setenv("ROTA_APP", "examples.schedules:app")
    found = {row["definition"]["name"]: row["source"] for row in rota("list", "--json").json}
    assert found["stored"] == "database"
    assert found["stock"] == "code"
    assert {row["source"] for row in rota("list", "stock", "--json").json} == {"code"}
    assert rota("show", "stock").code == 0
    assert "declared" in rota("edit", "stock", "--spec", "@daily").err or rota("edit", "stock").code != 0


def test_moment_long_ago_is_refused_before_it_is_stored(rota: Run) -> None:
    refused = rota("add", "late", "t", "--at", "2020-01-01T00:00Z")
    assert refused.code == 2
    assert "more than a day ago" in refused.err
    assert not Path("store.db").exists()


def test_default_store_is_named_because_workers_do_not_look_there(rota: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert rota("add", "a", "t").err == ""
    monkeypatch.delenv("ROTA_STORE")
    assert "start the worker with ROTA_STORE=sqlite:///.rota/rota.db" in rota("add", "b", "t").err


def test_list_refuses_an_unknown_state(rota: Run) -> None:
    refused = rota("list", "--state", "faling")
    assert refused.code == 2
    assert "Did you mean 'failing'?" in refused.err


def test_columns_in_a_pipe_stand_below_each_other_with_wide_names(rota: Run) -> None:
    rota("add", "夜间备份", "t")
    rota("add", "abcdefgh", "t")
    first, second = rota("list").out.splitlines()[1:]
    assert first == "abcdefgh  on demand  -     -     on demand  t"
    assert second == "夜间备份  on demand  -     -     on demand  t"


def test_schedule_that_can_never_fire_is_refused_and_an_edit_warns(rota: Run) -> None:
    done = rota("add", "gone", "t", "--spec", "at 2020-01-01T00:00")
    assert done.code == 2
    assert "its times (at 2020-01-01T00:00) are all in the past" in done.err
    assert rota("add", "kept", "t", "--spec", "at 2020-01-01T00:00", "--stopped").code == 0
    assert rota("add", "mixed", "t", "--spec", "at 2020-01-01T00:00", "--spec", "@daily").code == 0
    edited = rota("edit", "mixed", "--spec", "at 2020-01-01T00:00")
    assert edited.code == 0
    assert "warning its times (at 2020-01-01T00:00) are all in the past" in edited.err
    assert "ends_at is" in rota("add", "over", "t", "--spec", "@daily", "--set", "ends_at=2020-01-01T00:00Z").err


def test_versions_of_an_unknown_name_propose_the_nearest_schedule(rota: Run) -> None:
    rota("add", "nightly", "t")
    assert "There is no schedule 'nigtly'. Did you mean 'nightly'?" in rota("versions", "nigtly").err


@pytest.mark.parametrize(("language", "said"), [("en", "Aborted."), ("zh", "已中止。")])
def test_end_of_the_input_at_a_question_is_told_in_each_language(
    rota: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, language: str, said: str
) -> None:
    rota("add", "a", "t", "--spec", "@daily")
    editor = tmp_path / "editor"
    editor.write_text("#!/bin/sh\necho nonsense > $1\n")
    editor.chmod(0o700)
    monkeypatch.setenv("EDITOR", str(editor))
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv("ROTA_LANG", language)
    done = rota("edit", "a")
    assert (done.code, done.err.rstrip().endswith(said)) == (1, True)
