"""A test that fails."""

from datetime import UTC, datetime

from rota.testing import Sandbox
from sign_up import sign_up
from tasks import welcome


async def test_wrong(rota_sandbox: Sandbox) -> None:
    rota_sandbox.clock.freeze(datetime(2030, 1, 1, tzinfo=UTC))
    await sign_up(7, "sv")
    rota_sandbox.assert_enqueued(welcome, 7, locale="en")
