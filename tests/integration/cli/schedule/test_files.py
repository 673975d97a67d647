"""Schedules in files: checked, applied twice, pruned, exported; and a crontab."""

from pathlib import Path

from tests.integration.cli.schedule.conftest import Run

FILE = """\
tag: shop
schedules:
  - {name: backup, task_type: backup, specs: 30 2 * * *}
  - {name: mail, task_type: mail, specs: '@every 10m', timeout: 30s}
"""


def write(name: str, text: str) -> str:
    Path(name).write_text(text, encoding="utf-8")
    return name


def test_apply_shows_the_changes_and_asks_first(rota: Run) -> None:
    file = write("s.yaml", FILE)
    asked = rota("apply", "-f", file, typed="n\n")
    assert asked.code == 1
    assert "+ backup: backup, 30 2 * * *" in asked.out
    assert "2 to create, 0 to change, 0 to delete, 0 as they are." in asked.out
    assert not Path("store.db").exists()
    assert rota("apply", "-f", file, "--yes").out.endswith("Applied 2 changes.\n")


def test_applying_a_second_time_changes_nothing(rota: Run) -> None:
    file = write("s.yaml", FILE)
    rota("apply", "-f", file, "--yes")
    again = rota("apply", "-f", file)
    assert (again.code, again.out) == (0, "0 to create, 0 to change, 0 to delete, 2 as they are.\n")


def test_changed_file_changes_only_its_fields(rota: Run) -> None:
    rota("apply", "-f", write("s.yaml", FILE), "--yes")
    rota("stop", "mail")
    done = rota("apply", "-f", write("s.yaml", FILE.replace("30s", "40s")), "--yes")
    assert '    - timeout: "30s"\n    + timeout: "40s"' in done.out
    assert rota("show", "mail", "--json").json["state"] == "paused"
    assert rota("versions", "mail", "--json").json[0]["changed"] == ["timeout"]


def test_prune_deletes_what_left_the_file(rota: Run) -> None:
    rota("add", "own", "t", "--spec", "@daily")
    rota("apply", "-f", write("s.yaml", FILE), "--yes")
    short = write("s.yaml", "\n".join(FILE.splitlines()[:3]))
    assert rota("apply", "-f", short, "--dry-run").code == 0
    pruned = rota("apply", "-f", short, "--prune", "--dry-run")
    assert (pruned.code, "- mail\n" in pruned.out) == (1, True)
    rota("apply", "-f", short, "--prune", "--yes")
    assert {row["definition"]["name"] for row in rota("list", "--json").json} == {"own", "backup"}


def test_check_names_every_problem_with_its_line_and_needs_no_database(rota: Run, tmp_path: Path) -> None:
    bad = write("s.yaml", FILE.replace("30 2 * * *", "61 2 * * *").replace("30s", "30"))
    found = rota("check", "-f", bad)
    assert found.code == 2
    assert "s.yaml:3:" in found.err
    assert "s.yaml:4:" in found.err
    as_json = rota("check", "-f", bad, "--json")
    assert (as_json.code, [each["place"] for each in as_json.json["problems"]]) == (2, ["s.yaml:3", "s.yaml:4"])
    assert rota("check", "-f", write("s.yaml", FILE)).out == "2 schedules: nothing is wrong.\n"
    assert not (tmp_path / "store.db").exists()


def test_file_with_a_fault_changes_nothing(rota: Run) -> None:
    assert rota("apply", "-f", write("s.yaml", FILE.replace("30s", "30")), "--yes").code == 2
    assert not Path("store.db").exists()


def test_folder_and_several_files_are_one(rota: Run) -> None:
    Path("all").mkdir()
    write("all/a.yaml", FILE)
    write("all/b.json", '{"schedules": [{"name": "c", "task_type": "t", "specs": ["@daily"]}]}')
    write("all/notes.txt", "not a schedule")
    assert "3 to create" in rota("apply", "-f", "all", "--dry-run").out
    both = rota("apply", "-f", "all", "-f", write("again.yaml", FILE), "--dry-run")
    assert "stands at all/a.yaml:3 already" in both.err


def test_export_reads_back(rota: Run) -> None:
    rota("apply", "-f", write("s.yaml", FILE), "--yes")
    for words in ((), ("--json",)):
        rota("export", "-o", "out.yaml", *words)
        assert rota("apply", "-f", "out.yaml").out == "0 to create, 0 to change, 0 to delete, 2 as they are.\n"
    assert "backup" in rota("export", "backup").out
    assert "mail" not in rota("export", "backup").out


def test_file_that_cannot_be_read_is_named(rota: Run) -> None:
    assert "nowhere.yaml cannot be read" in rota("apply", "-f", "nowhere.yaml").err
    Path("latin.yaml").write_bytes("schedules: [] # ü".encode("latin-1"))
    assert "latin.yaml is not UTF-8" in rota("check", "-f", "latin.yaml").err
    Path("empty").mkdir()
    assert "has no file that ends in" in rota("check", "-f", "empty").err


def test_crontab_becomes_a_file_that_can_be_applied(rota: Run) -> None:
    crontab = write("tab", "# Backup\n30 2 * * * /usr/bin/backup --all\n")
    made = rota("import-crontab", crontab, "--tz", "Europe/Berlin")
    assert 'JOBS_COMMANDS={"backup-all": {"argv": ["/bin/sh", "-c", "/usr/bin/backup --all"]}}' in made.err
    write("s.yaml", made.out)
    assert "+ backup-all: command:run, 30 2 * * *" in rota("apply", "-f", "s.yaml", "--dry-run").out
    assert rota("import-crontab", crontab, "--json").json["schedules"][0]["remark"] == "Backup"


def test_empty_file_is_refused_as_empty(rota: Run, tmp_path: Path) -> None:
    (tmp_path / "empty.yaml").write_text("")
    assert "It is empty, so it is not a file of schedules" in rota("check", "-f", "empty.yaml").err
