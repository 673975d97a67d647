"""An SMTP server for tests that keeps what it gets, and refuses or breaks off where a test says so."""

from collections.abc import Callable
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default as modern
from typing import cast

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from tests.servers.process import free_port


@dataclass
class SmtpSink:
    """`reply(address)` is the answer to a recipient; `break_off` are addresses whose mail gets no answer."""

    reply: Callable[[str], str] = lambda address: "250 OK"
    break_off: set[str] = field(default_factory=set)
    mails: list[tuple[str, EmailMessage]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.port = free_port()
        self.url = f"smtp://127.0.0.1:{self.port}"
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port, ready_timeout=30)

    def start(self) -> None:
        self._controller.start()

    def stop(self) -> None:
        self._controller.stop()

    @property
    def addresses(self) -> list[str]:
        return [address for address, _ in self.mails]

    async def handle_RCPT(  # noqa: N802 - aiosmtpd has this name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: object
    ) -> str:
        answer = self.reply(address)
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        mail = cast("EmailMessage", message_from_bytes(envelope.original_content or b"", policy=modern))
        self.mails += [(address, mail) for address in envelope.rcpt_tos]
        if self.break_off.intersection(envelope.rcpt_tos):
            assert server.transport
            server.transport.abort()
        return "250 Kept"
