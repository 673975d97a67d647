"""A test of a group, which is one task when no comment has come for five seconds."""

import pytest

from groups import comment
from rota.testing import Sandbox


async def test_comments_of_a_page_are_one_mail(rota_sandbox: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    rota_sandbox.clock.freeze()  # else five seconds may pass by themselves
    for author in ("Ann", "Bo", "Cy"):
        await comment.options(group="page-7").enqueue(author, "Nice!")
    assert await rota_sandbox.drain() == []

    rota_sandbox.clock.travel("5s")
    [run] = await rota_sandbox.drain()

    assert run.type == "comment:summary"
    assert capsys.readouterr().out == "mail: Ann, Bo, Cy commented on page-7\n"
