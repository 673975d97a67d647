"""The same with unittest."""

import unittest

from rota.testing import Sandbox
from tasks import app, welcome


class WelcomeTest(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self) -> None:
        self.sandbox = await self.enterAsyncContext(Sandbox(app))

    async def test_welcome(self) -> None:
        await welcome.enqueue(7)
        [run] = await self.sandbox.drain()
        self.assertEqual(run.result, "user 7 is welcome (en)")


unittest.main()
