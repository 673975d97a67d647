"""Reminder e-mails from templates."""

import re
from email.message import EmailMessage
from pathlib import Path
from string import Template
from typing import Annotated

from annotated_types import MinLen

from examples.jobs.mail import Delivery, deliver
from examples.jobs.settings import JobRefused, JobSettings
from rota import Context, Retry, SkipRetry, Tasks

tasks = Tasks()
_TEMPLATE_NAME = re.compile(r"[A-Za-z0-9_-]+")


@tasks.task(
    "mail",
    timeout="15m",
    retention="7d",
    retry=Retry(max=8, backoff="exponential", base="30s", cap="1h", never=[JobRefused]),
)
def send_reminder(
    context: Context,
    template: str,
    to: Annotated[list[str], MinLen(1)],
    values: dict[str, str | int | float] | None = None,
) -> Delivery:
    """Send a mail to each address, and return which were sent, refused and unknown.

    `template` is the name of a file `<name>.txt` in JOBS_TEMPLATES: its first line is `Subject: ...`, then follow an
    empty line and the text. `$name` stands for a value of `values`, and `$address` for the address. An address is sent
    to once, also if the task runs again. The task fails if all addresses were refused.
    """
    settings = JobSettings.read()
    text = read_template(settings, template)

    def write(address: str) -> EmailMessage:
        context.raise_if_cancelled()
        return write_mail(settings, text, {**(values or {}), "address": address})

    delivery = deliver(settings, context.id, to, write)
    for address, reason in delivery.refused.items():
        context.log(f"{address} was refused: {reason}")
    if not delivery.sent and not delivery.unknown:
        raise SkipRetry(f"The mail server refused every address: {delivery.refused}")
    return delivery


def read_template(settings: JobSettings, name: str) -> str:
    """Return the text of a template."""
    folder: Path | None = settings.templates
    if folder is None or not _TEMPLATE_NAME.fullmatch(name) or not (folder / f"{name}.txt").is_file():
        known = sorted(path.stem for path in folder.glob("*.txt")) if folder else []
        raise JobRefused(f"JOBS_TEMPLATES has no template {name!r}. It has: {', '.join(known) or 'none'}.")
    return (folder / f"{name}.txt").read_text(encoding="utf-8")


def write_mail(settings: JobSettings, template: str, values: dict[str, str | int | float]) -> EmailMessage:
    """Fill in a template. Raises JobRefused if a value is missing or does not fit into a header."""
    head, blank, body = template.partition("\n\n")
    if not head.startswith("Subject: ") or "\n" in head or not blank:
        raise JobRefused("The template does not begin with a line `Subject: ...` and an empty line.")
    mail = EmailMessage()
    try:
        mail["From"] = settings.mail_from
        mail["To"] = str(values.get("address", ""))
        mail["Subject"] = Template(head.removeprefix("Subject: ")).substitute(values)
        mail.set_content(Template(body).substitute(values))
    except KeyError as error:
        raise JobRefused(f"The template needs a value {error}. Given are: {', '.join(sorted(values))}.") from None
    except ValueError as error:
        raise JobRefused(f"The mail cannot be written: {error}.") from None
    return mail
