"""Crontabs: each line becomes a schedule, or is named with the reason why it does not."""

import pytest

from rota.errors import ScheduleInvalid
from rota.schedule.crontab import read_crontab

CRONTAB = """\
# m h dom mon dow command
MAILTO=root
PATH=/usr/local/bin:/usr/bin

# Nightly backup
30 2 * * * /usr/local/bin/backup --all
CRON_TZ=Asia/Shanghai
@daily /usr/bin/report > /dev/null 2>&1
*/5 9-17 * * mon-fri /usr/local/bin/backup --all
0 0 1 * * date +\\%F
0 1 * * * mail -s hello%Dear all
"""


def test_each_line_becomes_a_schedule() -> None:
    found = read_crontab(CRONTAB, "tab", timezone="Europe/Berlin")
    assert [(each.name, each.specs, each.timezone) for each in found.definitions] == [
        ("backup-all", ("30 2 * * *",), "Europe/Berlin"),
        ("report-dev-null-2-1", ("@daily",), "Asia/Shanghai"),
        ("backup-all-2", ("*/5 9-17 * * mon-fri",), "Asia/Shanghai"),
        ("date-f", ("0 0 1 * *",), "Asia/Shanghai"),
        ("mail-s-hello", ("0 1 * * *",), "Asia/Shanghai"),
    ]
    first = found.definitions[0]
    assert (first.task_type, first.payload, first.remark, first.tags) == (
        "command:run",
        {"command": "backup-all"},
        "Nightly backup",
        ("crontab",),
    )


def test_commands_are_returned_for_the_settings_and_not_put_into_payloads() -> None:
    assert read_crontab(CRONTAB, "tab").commands == {
        "backup-all": "/usr/local/bin/backup --all",
        "report-dev-null-2-1": "/usr/bin/report > /dev/null 2>&1",
        "backup-all-2": "/usr/local/bin/backup --all",
        "date-f": "date +%F",
        "mail-s-hello": "mail -s hello",
    }


def test_what_is_not_imported_is_noted_at_its_line() -> None:
    notes = dict(read_crontab(CRONTAB, "tab").notes)
    assert set(notes) == {"tab:2", "tab:3", "tab:11"}
    assert "MAILTO is not imported" in notes["tab:2"]
    assert "PATH=/usr/local/bin:/usr/bin is not imported" in notes["tab:3"]
    assert "standard input" in notes["tab:11"]


def test_system_crontab_names_a_user() -> None:
    found = read_crontab("17 * * * * root run-parts /etc/cron.hourly\n", "tab", system=True)
    assert found.commands == {"run-parts-etc-cron-hourly": "run-parts /etc/cron.hourly"}
    assert "user root" in found.notes[0][1]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("@reboot /usr/bin/start", "@reboot has no counterpart"),
        ("30 2 * * *", "needs a spec and a command"),
        ("@daily", "needs a spec and a command"),
        ("@daily %Dear all", "has no command before the %"),
    ],
)
def test_line_that_cannot_be_read_is_refused_with_its_source_line(line: str, said: str) -> None:
    with pytest.raises(ScheduleInvalid) as refused:
        read_crontab(f"@daily ok\n{line}\n", "tab")
    [(source_line, what)] = refused.value.problems
    assert source_line == "tab:2"
    assert said in what


def test_wrong_zone_is_refused_at_the_line_that_uses_it() -> None:
    with pytest.raises(ScheduleInvalid, match=r"tab:2: timezone is 'Mars/Olympus'"):
        read_crontab("CRON_TZ=Mars/Olympus\n@daily x\n", "tab")


def test_variable_with_many_spaces_is_read_in_linear_time() -> None:
    value = "a" + " " * 200_000 + "b"  # with a search that takes quadratic time, this would take minutes

    assert read_crontab(f"PATH = {value} ", "tab").notes[0][1].startswith(f"PATH={value} is not imported")
