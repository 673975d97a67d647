"""The task `inspection:certificates`: end dates of certificates in files and on hosts."""

import asyncio
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from socket import gethostname
from typing import Annotated

from annotated_types import Interval
from cryptography import x509

from examples.jobs.guarded_http import check_url, judged_addresses
from examples.jobs.inspection import RETRY, Inspection, report_problems
from examples.jobs.settings import JobSettings
from rota import Context, Tasks

tasks = Tasks()
_CONNECT_SECONDS = 30


@tasks.task("certificates", timeout="5m", retention="7d", retry=RETRY)
async def inspect_certificates(
    context: Context,
    hosts: list[str] | None = None,
    files: list[str] | None = None,
    days: Annotated[int, Interval(ge=0, le=3650)] = 21,
    alert: list[str] | None = None,
) -> Inspection:
    """Return how many days the certificates are still valid; fewer than `days` is a problem.

    `hosts` are `name` or `name:port`, which JOBS_HTTP_HOSTS must allow; `files` are `folder/name.pem` in JOBS_FOLDERS,
    with one or more certificates. Only the dates are looked at, so a certificate of an authority of your own is fine. A
    host that does not answer and a file that cannot be read are problems too.
    """
    settings = JobSettings.read()
    measured: dict[str, float | None] = {}
    problems: list[str] = []
    for name in [*(files or ()), *(hosts or ())]:
        try:
            found = _read_file(settings, name) if name in (files or ()) else [await _fetch(settings, name)]
        except (OSError, ValueError) as error:
            measured[name] = None
            problems.append(f"{name}: the certificate cannot be read: {error or type(error).__name__}")
            continue
        # Of a chain, the one that ends first decides.
        first = min(found, key=lambda each: each.not_valid_after_utc)
        left = measured[name] = round((first.not_valid_after_utc - datetime.now(UTC)) / timedelta(days=1), 2)
        if left < days:
            problems.append(
                f"{name}: {_subject(first)} ends on {first.not_valid_after_utc:%Y-%m-%d}, in {left:.0f} days."
            )
    await asyncio.to_thread(report_problems, settings, context.id, alert, problems)
    return Inspection(gethostname(), measured, problems)


def _read_file(settings: JobSettings, file: str) -> list[x509.Certificate]:
    path: Path = settings.folder(file)
    return x509.load_pem_x509_certificates(path.read_bytes())


async def _fetch(settings: JobSettings, host: str) -> x509.Certificate:
    parts = check_url(settings, f"https://{host}/")
    port = parts.port or 443
    name = str(parts.hostname)
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # one that has ended has to be seen too, and nothing is sent
    async with asyncio.timeout(_CONNECT_SECONDS):
        [address, *_] = await judged_addresses(settings, name, port)
        _, writer = await asyncio.open_connection(address, port, ssl=context, server_hostname=name)
        try:
            content = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        finally:
            writer.transport.abort()
    return x509.load_der_x509_certificate(content)


def _subject(certificate: x509.Certificate) -> str:
    return certificate.subject.rfc4514_string() or "a certificate without a name"
