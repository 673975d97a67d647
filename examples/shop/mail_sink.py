"""A mail server that delivers nothing: it keeps what it gets as `.eml` files."""

import email
import re
import socket
from pathlib import Path

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from examples.shop.files import replaced


class MailSink:
    """Listens on a free port of this machine; `address` is `host:port`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.address = f"127.0.0.1:{_free_port()}"
        host, port = self.address.split(":")
        self._controller = Controller(self, hostname=host, port=int(port), ready_timeout=30)

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._controller.start()

    def stop(self) -> None:
        self._controller.stop()

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        content = envelope.original_content or b""
        message_id = email.message_from_bytes(content)["Message-ID"] or "without-id"
        name = re.sub(r"[^\w.-]", "", message_id.split("@")[0])
        with replaced(self.folder / f"{name}.eml") as unfinished:
            unfinished.write_bytes(content)
        return "250 Kept"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
