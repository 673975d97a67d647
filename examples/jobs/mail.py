"""Sends mails by SMTP, each address once for one run, whatever happens in the middle.

Before a mail is sent, the state of the jobs notes it as "sending", and after that its outcome. A retry of the task
leaves out the addresses that have an outcome. If the process died or the connection broke between the two, the outcome
is unknown, because the server may have taken the mail. Such a mail is not sent again, and is named in the result as
`unknown`. An address that the server refuses does not stop the others.
"""

import smtplib
import ssl
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.policy import SMTP as FOR_TRANSPORT
from email.utils import parseaddr
from hashlib import sha256
from urllib.parse import unquote, urlsplit

from examples.jobs.settings import JobRefused, JobSettings
from examples.jobs.state import REFUSED, SENDING, SENT, JobState, job_state
from rota import TimeLimitExceeded

_TIMEOUT_SECONDS = 30
_NOTES_KEPT = timedelta(days=60)
_PERMANENT = range(500, 600)


class MailUndelivered(Exception):
    """Some mails were not sent for now. The others were, and are not sent again by a retry."""


@dataclass(slots=True)
class Delivery:
    """What became of the mails of one run."""

    sent: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    """Addresses that the server refused for good, with its words."""
    unknown: list[str] = field(default_factory=list)
    """Addresses whose mail was on its way when the process or the connection broke off."""


class _NotNow(Exception):
    """The server did not take this mail, and may take it later."""


class _Refused(Exception):
    """The server will not take this mail."""


def deliver(settings: JobSettings, run: str, to: Iterable[str], write: Callable[[str], EmailMessage]) -> Delivery:
    """Send the mail that `write(address)` returns to each address, unless this run has sent it before.

    Raises MailUndelivered after all were tried, if some of them can be sent later.
    """
    delivery = Delivery()
    later: dict[str, str] = {}
    addresses = dict.fromkeys(to)
    with job_state(settings) as state:
        state.forget_mails_before(datetime.now(UTC) - _NOTES_KEPT)
        outbox = Outbox(settings)
        try:
            for address in addresses:
                try:
                    _deliver(state, outbox, run, address, write, delivery)
                except _NotNow as error:
                    later[address] = str(error)
        finally:
            outbox.close()
    if later:
        reasons = ", ".join(f"{address} ({reason})" for address, reason in later.items())
        raise MailUndelivered(f"{len(delivery.sent)} of {len(addresses)} mails are sent. For a retry: {reasons}")
    return delivery


def _deliver(
    state: JobState,
    outbox: "Outbox",
    run: str,
    address: str,
    write: Callable[[str], EmailMessage],
    delivery: Delivery,
) -> None:
    if fault := address_fault(address):
        delivery.refused[address] = fault
        return
    what, detail = state.mail_outcome(run, address) or _send(state, outbox, run, address, write(address))
    if what == SENT:
        delivery.sent.append(address)
    elif what == REFUSED:
        delivery.refused[address] = detail
    else:
        delivery.unknown.append(address)


def _send(state: JobState, outbox: "Outbox", run: str, address: str, mail: EmailMessage) -> tuple[str, str]:
    domain = (parseaddr(str(mail["From"]))[1].rpartition("@")[2]) or "localhost"
    # The same mail has the same ID, by which mail programs recognise a second copy.
    mail["Message-ID"] = f"<{sha256(f'{run} {address}'.encode()).hexdigest()[:32]}@{domain}>"
    if not state.begin_mail(run, address):
        return SENDING, ""  # another process is sending it right now
    try:
        is_known = outbox.send(address, mail)
    except _NotNow:
        state.forget_mail(run, address)
        raise
    except _Refused as error:
        state.end_mail(run, address, REFUSED, str(error))
        return REFUSED, str(error)
    if not is_known:
        return SENDING, ""
    state.end_mail(run, address, SENT)
    return SENT, ""


def address_fault(address: str) -> str:
    """Return what is wrong about the form of an address; empty if nothing is."""
    local, at, domain = address.rpartition("@")
    if not (local and at and domain) or any(ch.isspace() or not ch.isprintable() or ch in "<>," for ch in address):
        return "is not an address of the form name@domain"
    return ""


class Outbox:
    """One connection to the SMTP server, made at the first mail, and anew after it broke."""

    def __init__(self, settings: JobSettings) -> None:
        self._url = settings.smtp
        self._smtp: smtplib.SMTP | None = None

    def send(self, address: str, mail: EmailMessage) -> bool:
        """Send one mail. Returns False if the connection broke after the server had the mail, before its answer."""
        with _as_not_now():
            smtp = self._connection()
            # A name outside of ASCII needs a server that says that it takes it.
            options = () if address.isascii() else ("SMTPUTF8",)
            if options and not smtp.has_extn("smtputf8"):
                raise _Refused("the mail server takes only addresses in ASCII")
            _expect(smtp.mail(parseaddr(str(mail["From"]))[1], options), smtp)
            _expect(smtp.rcpt(address), smtp)
        policy = FOR_TRANSPORT.clone(utf8=not address.isascii())
        try:
            _expect(smtp.data(mail.as_bytes(policy=policy)), smtp)
        except smtplib.SMTPDataError as error:
            words = error.smtp_error
            _expect((error.smtp_code, words if isinstance(words, bytes) else words.encode()), smtp)
        except TimeLimitExceeded:
            raise  # it is an OSError, and means this task and not the connection
        except (smtplib.SMTPServerDisconnected, OSError):
            self._smtp = None
            return False
        return True

    def close(self) -> None:
        """End the connection."""
        if self._smtp is not None:
            with suppress(smtplib.SMTPException, OSError):
                self._smtp.quit()
            self._smtp.close()

    def _connection(self) -> smtplib.SMTP:
        if self._smtp is None or self._smtp.sock is None:
            self._smtp = connect(self._url)
        return self._smtp


def connect(url: str) -> smtplib.SMTP:
    """Connect to the server that JOBS_SMTP names, and log in. Raises JobRefused for a URL that cannot work."""
    parts = urlsplit(url)
    if parts.scheme not in ("smtp", "smtps", "smtp+starttls") or not parts.hostname:
        raise JobRefused(
            "JOBS_SMTP does not name a mail server. Write smtp://host:port, smtps://user:password@host or "
            "smtp+starttls://user:password@host."
        )
    if parts.scheme == "smtps":
        smtp: smtplib.SMTP = smtplib.SMTP_SSL(
            parts.hostname, parts.port or 465, timeout=_TIMEOUT_SECONDS, context=ssl.create_default_context()
        )
    else:
        smtp = smtplib.SMTP(parts.hostname, parts.port or 25, timeout=_TIMEOUT_SECONDS)
    try:
        smtp.ehlo()
        if parts.scheme == "smtp+starttls":
            smtp.starttls(context=ssl.create_default_context())
            smtp.ehlo()
        if parts.username:
            smtp.login(unquote(parts.username), unquote(parts.password or ""))
    except BaseException:
        smtp.close()
        raise
    return smtp


@contextmanager
def _as_not_now() -> Iterator[None]:
    """Before the server has the mail, a broken connection means that it was not sent."""
    try:
        yield
    except TimeLimitExceeded:
        raise
    except (smtplib.SMTPException, OSError) as error:
        raise _NotNow(f"{type(error).__name__}: {error}") from error


def _expect(reply: tuple[int, bytes], smtp: smtplib.SMTP) -> None:
    code, text = reply
    if code in (250, 251):
        return
    with suppress(smtplib.SMTPException, OSError):
        smtp.rset()
    words = f"{code} {text.decode(errors='replace')}"
    raise _Refused(words) if code in _PERMANENT else _NotNow(words)
