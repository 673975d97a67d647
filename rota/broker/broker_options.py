"""Options of a connection that are not part of its URL."""

import ssl
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from rota.errors import ConfigError

SILENT_RESPONSES = 3
"""Response time-outs between two pings of an idle subscription: 30 s by default.

Pings are rare because every idle worker has such a connection. TCP keepalive notices a vanished server earlier.
"""


@dataclass(frozen=True, slots=True)
class TLS:
    """Trust and identity for `rediss://`. Without `ca` the system's certificate authorities are trusted."""

    ca: Path | str | None = None
    cert: Path | str | None = None
    key: Path | str | None = None
    verify: bool = True
    server_name: str | None = None
    """The name that the certificate has to be for, instead of the host: of a server behind a tunnel, for example."""

    def context(self) -> ssl.SSLContext:
        """Build the context. Raises `ConfigError` if a file is missing or is not valid PEM."""
        try:
            context = ssl.create_default_context(cafile=None if self.ca is None else str(self.ca))
            if self.cert is not None:
                context.load_cert_chain(str(self.cert), None if self.key is None else str(self.key))
        except OSError as error:
            files = ", ".join(str(each) for each in (self.ca, self.cert, self.key) if each is not None)
            reason = error.strerror or str(error)
            raise ConfigError(
                f"TLS cannot be set up from {files}: {reason}; give PEM files that can be read."
            ) from error
        if not self.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


@dataclass(frozen=True, slots=True)
class BrokerOptions:
    """Credentials, time-outs, TLS and names of a connection.

    `username` and `password` win over those in the URL. With Sentinel the credentials in the URL are used for the
    sentinels and for the master, unless `sentinel_username` and `sentinel_password` are given for the sentinels.
    `retry_for` is how long a request is retried that the server certainly did not carry out; zero does not retry.
    """

    tls: TLS = field(default_factory=TLS)
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    sentinel_username: str | None = None
    sentinel_password: str | None = field(default=None, repr=False)
    key_prefix: str = "asynq"
    client_name: str = "rota"
    connect_timeout: timedelta = timedelta(seconds=5)
    response_timeout: timedelta = timedelta(seconds=10)
    retry_for: timedelta = timedelta(seconds=3)

    def __post_init__(self) -> None:
        if self.connect_timeout <= timedelta(0) or self.response_timeout <= timedelta(0):
            raise ConfigError("connect_timeout and response_timeout must be longer than zero; give for example 5 s.")
        if self.retry_for < timedelta(0):
            raise ConfigError("retry_for must not be negative; zero fails at once.")
        if not self.client_name.isprintable() or " " in self.client_name:
            raise ConfigError("client_name must not hold spaces or control characters; Redis refuses such names.")

    @property
    def silence_seconds(self) -> float:
        """Seconds without a message after which a subscription pings its server."""
        return SILENT_RESPONSES * self.response_timeout.total_seconds()
