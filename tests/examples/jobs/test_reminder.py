"""Reminder e-mails on a real SMTP server: each address once, whatever happens in the middle."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from examples.jobs import app
from examples.jobs.mail import Delivery, MailUndelivered
from examples.jobs.reminder import send_reminder
from examples.jobs.settings import JobRefused, JobSettings
from examples.jobs.state import job_state
from rota import PayloadError, SkipRetry
from rota.testing import run_inline_sync
from tests.examples.jobs.killing import Killing
from tests.examples.jobs.smtp_sink import SmtpSink

Configure = Callable[..., dict[str, str]]
ANN, BO, CY = "ann@example.org", "bo@example.org", "cy@example.org"


@pytest.fixture(autouse=True)
def settings(configure: Configure, smtp: SmtpSink, tmp_path: Path) -> dict[str, str]:
    templates = tmp_path / "templates"
    templates.mkdir()
    (templates / "due.txt").write_text(
        "Subject: $count invoices are due, 请付款\n\nDear $address,\nplease pay $count.\n"
    )
    (templates / "broken.txt").write_text("Dear $address")
    return configure(
        smtp=smtp.url,
        templates=str(templates),
        mail_from="The shop <shop@example.org>",
        state=f"sqlite:///{tmp_path}/state.sqlite3",
    )


def remind(*to: str, task_id: str = "one", template: str = "due", count: str | int = 3) -> Delivery:
    plan = send_reminder.options(task_id=task_id).plan(template, list(to), {"count": count})
    return run_inline_sync(app, plan)


def test_each_address_gets_a_mail_of_its_own(smtp: SmtpSink) -> None:
    assert remind(ANN, BO) == Delivery([ANN, BO], {}, [])

    assert smtp.addresses == [ANN, BO]
    mail = smtp.mails[1][1]
    assert (mail["To"], mail["From"]) == (BO, "The shop <shop@example.org>")
    assert mail["Subject"] == "3 invoices are due, 请付款"
    assert mail.get_content().splitlines() == [f"Dear {BO},", "please pay 3."]
    assert smtp.mails[0][1]["Message-ID"] != mail["Message-ID"]


def test_address_that_stands_twice_in_the_list_gets_one_mail(smtp: SmtpSink) -> None:
    remind(ANN, ANN)

    assert smtp.addresses == [ANN]


@pytest.mark.parametrize("bad", ["bo", "bo@", "bo bo@example.org", "bo@example.org\nBcc: cy@example.org", "<bo@x>", ""])
def test_bad_address_does_not_stop_the_others(smtp: SmtpSink, bad: str) -> None:
    assert remind(ANN, bad, CY) == Delivery([ANN, CY], {bad: "is not an address of the form name@domain"}, [])
    assert smtp.addresses == [ANN, CY]


def test_address_that_the_server_refuses_does_not_stop_the_others(smtp: SmtpSink) -> None:
    smtp.reply = lambda address: "550 No such user" if address == BO else "250 OK"

    assert remind(ANN, BO, CY) == Delivery([ANN, CY], {BO: "550 No such user"}, [])

    assert smtp.addresses == [ANN, CY]


def test_task_fails_for_good_if_every_address_is_refused(smtp: SmtpSink) -> None:
    smtp.reply = lambda address: "550 No such user"

    with pytest.raises(SkipRetry, match="refused every address"):
        remind(ANN, BO)


def test_retry_sends_only_what_was_not_sent(smtp: SmtpSink) -> None:
    smtp.reply = lambda address: "451 Try later" if address == BO else "250 OK"
    with pytest.raises(MailUndelivered, match=r"2 of 3 mails are sent. For a retry: bo@example.org \(451 Try later\)"):
        remind(ANN, BO, CY)
    smtp.reply = lambda address: "250 OK"

    assert remind(ANN, BO, CY) == Delivery([ANN, BO, CY], {}, [])

    assert smtp.addresses == [ANN, CY, BO]


def test_another_task_sends_to_the_same_address_again(smtp: SmtpSink) -> None:
    remind(ANN, task_id="monday")
    remind(ANN, task_id="tuesday")

    assert smtp.addresses == [ANN, ANN]


def test_mail_that_got_no_answer_is_not_sent_again(smtp: SmtpSink) -> None:
    smtp.break_off = {BO}

    first = remind(ANN, BO, CY)
    again = remind(ANN, BO, CY)

    assert first == again == Delivery([ANN, CY], {}, [BO])
    assert smtp.addresses == [ANN, BO, CY]


def test_server_that_is_away_is_tried_again(smtp: SmtpSink) -> None:
    smtp.stop()
    with pytest.raises(MailUndelivered, match="0 of 1 mails"):
        remind(ANN)
    smtp.__post_init__()
    smtp.start()

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JOBS_SMTP", smtp.url)
        remind(ANN)

    assert smtp.addresses == [ANN]


def test_two_workers_with_the_same_task_send_one_mail(smtp: SmtpSink) -> None:
    together = threading.Barrier(2)

    def work() -> None:
        together.wait()
        remind(*(f"{number}@example.org" for number in range(10)))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(smtp.addresses) == sorted(f"{number}@example.org" for number in range(10))


def test_old_notes_are_removed_after_two_months(smtp: SmtpSink) -> None:
    from datetime import UTC, datetime, timedelta

    remind(ANN)
    with job_state(JobSettings.read()) as state:
        assert state.mail_outcome("one", ANN) == ("sent", "")
        state.forget_mails_before(datetime.now(UTC) + timedelta(days=1))
        assert state.mail_outcome("one", ANN) is None


@pytest.mark.slow
def test_task_that_is_killed_anywhere_sends_no_mail_twice(
    smtp: SmtpSink, settings: dict[str, str], killer: Callable[..., Killing]
) -> None:
    work = killer(
        "from examples.jobs.reminder import send_reminder\nfrom rota.tasks.context import blank\n"
        f"def work(): send_reminder(blank(id='killed'), 'due', ['{ANN}', '{BO}'], {{'count': 1}})",
        settings,
    )

    operation = 1
    while work.at(operation):
        operation += 1

    assert operation > 5
    assert len(smtp.addresses) == len(set(smtp.addresses))


@pytest.mark.parametrize(
    ("template", "message"),
    [("none", "no template 'none'. It has: broken, due"), ("../due", "no template"), ("broken", "begin with a line")],
)
def test_template_that_is_not_there_or_wrong_is_refused(smtp: SmtpSink, template: str, message: str) -> None:
    with pytest.raises(JobRefused, match=message):
        remind(ANN, template=template)
    assert smtp.mails == []


def test_value_that_is_missing_or_breaks_a_header_is_refused(smtp: SmtpSink) -> None:
    with pytest.raises(JobRefused, match="needs a value 'count'"):
        run_inline_sync(app, send_reminder.plan("due", [ANN]))
    with pytest.raises(JobRefused, match="cannot be written"):
        remind(ANN, count="1\nBcc: all@example.org")
    with pytest.raises(PayloadError, match="at least 1 item"):
        run_inline_sync(app, send_reminder.plan("due", []))
    assert smtp.mails == []


@pytest.mark.parametrize("url", ["", "mail.example.org", "http://mail.example.org"])
def test_setting_without_a_mail_server_is_refused(configure: Configure, url: str) -> None:
    configure(smtp=url)

    with pytest.raises(JobRefused, match="JOBS_SMTP does not name a mail server"):
        remind(ANN)
