"""The words of Asynq's command line, which the commands accept."""

from collections.abc import Sequence

import pytest

from rota.cli.asynq_words import COMMANDS, FLAGS, rota_words
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
        ("task list -q mail --json", "task list -q mail --json"),
        ("doctor -u x", "doctor -u x"),
        ("-u x doctor", "-u x doctor"),
        ("", ""),
    ],
)
def test_words_of_asynq_are_replaced(typed: str, meant: str) -> None:
    assert rota_words(typed.split(), declared) == meant.split()


def test_word_that_the_command_has_itself_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DECLARED, ("queue", "remove"), {"-u"})
    assert rota_words(["queue", "remove", "-u", "x"], declared) == ["queue", "remove", "-u", "x"]


def test_flag_without_a_value_is_refused() -> None:
    with pytest.raises(ConfigError, match="-u needs a value"):
        rota_words(["stats", "-u"], declared)


def test_every_other_name_is_that_of_a_command_of_asynq() -> None:
    assert all(len(path) in (1, 2) for path in (*COMMANDS, *FLAGS))
