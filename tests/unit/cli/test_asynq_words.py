"""The words of Asynq's command line, which the commands accept."""

import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rota.cli import stats_command
from rota.cli.asynq_words import COMMANDS, FLAGS, rota_words
from rota.cli.program import program
from rota.errors import ConfigError

DECLARED = {
    ("stats",): {"--json", "--watch"},
    ("queue", "list"): {"--json"},
    ("queue", "delete"): {"--force", "-f"},
    ("queue", "history"): {"--days"},
    ("task", "list"): {"--queue", "-q", "--state", "-s"},
    ("task", "inspect"): {"--queue", "-q"},
    ("task", "archive"): {"--queue", "-q", "--state", "--all"},
    ("task", "enqueue"): {"--queue", "--task-id", "--max-retry", "--at", "--delay", "--timeout"},
    ("worker", "list"): {"--json"},
}


def declared(path: Sequence[str]) -> set[str] | None:
    return DECLARED.get(tuple(path))


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("queue ls", "queue list"),
        ("queue rm mail -f", "queue delete mail -f"),
        ("queue history mail -x 3", "queue history mail --days 3"),
        ("task ls -q mail -s retry", "task list -q mail -s retry"),
        ("task inspect -q mail -i abc", "task inspect abc -q mail"),
        ("task inspect --queue=mail --id=abc", "task inspect abc --queue=mail"),
        ("task archiveall -q mail -s retry", "task archive --all -q mail -s retry"),
        ("task enqueue -l {} -t a:b --retry 3 --id=x", "task enqueue a:b {} --max-retry 3 --task-id x"),
        ("task enqueue -t a:b -l {} --process_in 5m", "task enqueue a:b {} --delay 5m"),
        ("server ls", "worker list"),
        ("dash", "stats --watch"),
        ("stats -u redis:6380 -n 2", "stats --url redis://redis:6380/2"),
        ("stats --uri=h:1 -U anna -p a/b", "stats --url redis://anna:a%2Fb@h:1/0"),
        ("stats -p secret --tls", "stats --url rediss://:secret@127.0.0.1:6379/0"),
        ("stats --cluster --cluster_addrs a:1,b:2", "stats --url redis+cluster://a:1,b:2"),
        ("-u redis:6380 --db=2 stats", "stats --url redis://redis:6380/2"),
        ("task --tls -u h:1 ls -q mail", "task list -q mail --url rediss://h:1/0"),
        ("-p secret task -U anna ls", "task list --url redis://anna:secret@127.0.0.1:6379/0"),
        ("stats --tls_server db.example -u h:1", "stats --url rediss://h:1/0"),
        ("--insecure stats", "stats"),
        ("stats --tls=false -u h:1", "stats --url redis://h:1/0"),
        ("stats --insecure=false", "stats"),
        ("task list -q mail --json", "task list -q mail --json"),
        ("doctor -u x", "doctor -u x"),
        ("-u x doctor", "-u x doctor"),
        ("", ""),
    ],
)
def test_words_of_asynq_are_replaced(typed: str, meant: str) -> None:
    assert rota_words(typed.split(), declared).words == meant.split()


def test_check_of_certificates_stays_where_the_flag_says_false() -> None:
    assert rota_words(["stats", "--insecure=false"], declared).variables == {}
    assert rota_words(["stats", "--insecure=true"], declared).variables != {}


def test_word_that_the_command_has_itself_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DECLARED, ("queue", "remove"), {"-u"})
    assert rota_words(["queue", "remove", "-u", "x"], declared).words == ["queue", "remove", "-u", "x"]


def test_flag_without_a_value_is_refused() -> None:
    with pytest.raises(ConfigError, match="-u needs a value"):
        rota_words(["stats", "-u"], declared)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.yaml", "uri: h:1\ndb: 2\ntls: true\ninsecure: true\ntls_server: db.example\npassword:\n"),
        ("a.json", '{"uri": "h:1", "db": 2, "tls": true, "insecure": true, "tls_server": "db.example"}'),
        ("a.toml", 'uri = "h:1"\ndb = 2\ntls = true\ninsecure = true\ntls_server = "db.example"\ncluster = false\n'),
    ],
)
def test_config_file_of_asynq_is_read_and_flags_count_before_it(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    found = rota_words(["--config", str(tmp_path / name), "stats", "-n", "5"], declared)
    assert found.words == ["stats", "--url", "rediss://h:1/5"]
    assert found.variables == {"ROTA_TLS_VERIFY": "false", "ROTA_TLS_SERVER_NAME": "db.example"}


@pytest.mark.parametrize("text", ["- a\n", "a: [\n", None])
def test_config_file_that_is_none_is_refused(text: str | None, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"a.yaml (is not a file of|cannot be read)"):
        rota_words(["stats", "--config", str(tmp_path / "a.yaml")], declared)


def test_flags_of_tls_hold_for_one_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ROTA_TLS_VERIFY", raising=False)
    seen: list[str | None] = []
    monkeypatch.setattr(stats_command, "opened", lambda url: seen.append(os.environ.get("ROTA_TLS_VERIFY")))
    CliRunner().invoke(program, ["stats", "--insecure"])
    assert seen == ["false"]
    assert "ROTA_TLS_VERIFY" not in os.environ


def test_every_other_name_is_that_of_a_command_of_asynq() -> None:
    assert all(len(path) in (1, 2) for path in (*COMMANDS, *FLAGS))
