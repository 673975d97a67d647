"""Tests of single handlers, without a server."""

import pytest

from rota import PayloadError, Plan
from rota.testing import run_inline, run_inline_sync
from tasks import app, build_report, welcome


def test_welcome_in_swedish() -> None:
    assert run_inline_sync(app, welcome.plan(7, locale="sv")) == "user 7 is welcome (sv)"


async def test_report_has_a_month() -> None:
    assert await run_inline(app, build_report.plan(7)) == "report of account 7 for 2026-01"


async def test_payload_of_another_program_is_validated() -> None:
    with pytest.raises(PayloadError, match="valid integer"):
        await run_inline(app, Plan("email:welcome", b'{"user_id": "seven"}'))
