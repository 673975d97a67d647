"""Tests of a program that enqueues."""

from datetime import timedelta

from rota.testing import Sandbox
from sign_up import sign_up
from tasks import build_report, welcome


async def test_new_user_is_welcomed_and_gets_a_report_later(rota_sandbox: Sandbox) -> None:
    now = rota_sandbox.clock.freeze()

    await sign_up(7, "sv")

    rota_sandbox.assert_enqueued(welcome, 7, locale="sv", count=1)
    [report] = rota_sandbox.assert_enqueued(build_report, account=7, queue="low")
    assert report.next_process_at == now + timedelta(days=30)
    rota_sandbox.assert_not_enqueued("search:index")


async def test_new_user_gets_both(rota_sandbox: Sandbox) -> None:
    await sign_up(7, "sv")
    assert [run.result for run in await rota_sandbox.drain()] == ["user 7 is welcome (sv)"]

    rota_sandbox.clock.travel("30d")
    assert [run.result for run in await rota_sandbox.drain()] == ["report of account 7 for 2026-01"]
    assert rota_sandbox.enqueued() == []
