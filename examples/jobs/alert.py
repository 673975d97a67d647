"""Alerts of the jobs: mails to the addresses that a task names."""

from collections.abc import Iterable
from email.message import EmailMessage

from examples.jobs.mail import Delivery, deliver
from examples.jobs.settings import JobSettings


def send_alert(settings: JobSettings, run: str, to: Iterable[str], subject: str, text: str) -> Delivery:
    """Mail an alert, once for a run. Raises MailUndelivered if a retry is needed."""

    def write(address: str) -> EmailMessage:
        mail = EmailMessage()
        mail["From"] = settings.mail_from
        mail["To"] = address
        mail["Subject"] = " ".join(subject.split())[:200]
        mail.set_content(text)
        return mail

    return deliver(settings, run, to, write)
