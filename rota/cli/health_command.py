"""`rota health`: a container probe that reports the health of this machine's workers as exit code and one line."""

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated, NamedTuple

import typer

from rota.broker.sync import SyncBroker
from rota.cli import option_types as words
from rota.cli.language import translated, translated_title
from rota.client.connections import broker_options
from rota.errors import BrokerError, ConfigError
from rota.health import discovery
from rota.health.discovery import NoReply, ProbeReply
from rota.settings.origin import CommandLine
from rota.settings.settings import Settings

DEFAULT_TIMEOUT = "5s"


class Said(NamedTuple):
    """The health of one worker or server, and its description, which may have several lines."""

    well: bool
    text: str


def command(
    live: Annotated[
        bool, typer.Option("--live", help="Only whether they are alive, not whether they fetch tasks.")
    ] = False,
    worker: Annotated[int | None, typer.Option(help="Ask only the worker with this process ID.")] = None,
    address: Annotated[str | None, typer.Option(help="Ask at a health port, as host:port, instead.")] = None,
    url: Annotated[str | None, typer.Option(help="Ask this server too, from here.")] = None,
    timeout: Annotated[str, typer.Option(help="How long an answer may take.")] = DEFAULT_TIMEOUT,
) -> None:
    """Check the workers that this user runs on this machine. The exit code is 0 if all are healthy, else 1.

    The socket that a killed worker has left behind is ignored. If no worker answers, the exit code is 1.
    """
    question, limit = "/live" if live else "/ready", words.duration(timeout, "--timeout") or timedelta(seconds=5)
    said = [_at(address, question, limit)] if address else list(_here(worker, question, limit))
    if url is not None:
        said.append(_broker(url, limit))
    well = all(each.well for each in said)
    lines = [line for each in said for line in translated(each.text).splitlines()]
    typer.echo(f"{translated_title('ok' if well else 'not ok')}{translated(': ')}{translated('; ').join(lines)}")
    raise typer.Exit(0 if well else 1)


def _here(pid: int | None, question: str, timeout: timedelta) -> Iterator[Said]:
    folder = discovery.folder(Settings().health.health_dir)
    found = False
    for of, path in discovery.sockets(folder):
        if pid not in (None, of):
            continue
        try:
            reply = discovery.ask_socket(path, question, timeout)
        except NoReply as error:
            yield Said(False, f"worker {of}: {error}")
        else:
            if reply is None:
                continue
            yield _read(reply)
        found = True
    if not found:
        who = "no worker of this user" if pid is None else f"no worker with the process ID {pid}"
        yield Said(False, f"{who} answers on this machine (looked in {folder})")


def _at(address: str, question: str, timeout: timedelta) -> Said:
    host, separator, port = address.rpartition(":")
    if not separator or not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65535:
        raise ConfigError(f"--address {address} is not of the form host:port, as in 127.0.0.1:8080.")
    try:
        return _read(discovery.ask_port(host.strip("[]") or "127.0.0.1", int(port), question, timeout))
    except NoReply as error:
        return Said(False, str(error))


def _read(reply: ProbeReply) -> Said:
    return Said(reply.status == 200, reply.text.strip() or f"HTTP status {reply.status}")


def _broker(url: str, timeout: timedelta) -> Said:
    limits = {"connect_timeout": timeout, "response_timeout": timeout, "retry_for": timedelta(0)}
    settings = Settings().updated_by(CommandLine({"url": url, **limits}, dict.fromkeys(("url", *limits), "--url")))
    try:
        with SyncBroker.from_url(url, options=broker_options(settings.broker)) as broker:
            broker.check()
    except BrokerError as error:
        return Said(False, str(error))
    return Said(True, "the broker answers")
