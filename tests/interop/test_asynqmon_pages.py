"""Asynqmon's own pages in a browser, on tasks of every state that Rota's scripts made."""

import shutil
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Page, async_playwright, expect
from redis.asyncio import Redis

from interop.programs import Go
from tests.interop.console import TASKS, stage
from tests.interop.raw_queue import RawQueue

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PATIENCE_MS = 30_000
expect.set_options(timeout=PATIENCE_MS)


@pytest_asyncio.fixture
async def page(go: Go, redis: Redis) -> AsyncIterator[Page]:
    """Chromium, at home on Asynqmon."""
    program = shutil.which("chromium")
    assert program is not None, "no chromium found: scripts/install-servers installs it"
    await stage(RawQueue(redis, "mail"))
    async with go.asynqmon() as address, async_playwright() as play:
        browser = await play.chromium.launch(executable_path=program, args=FLAGS)
        page = await browser.new_page(base_url=address)
        page.set_default_timeout(PATIENCE_MS)
        yield page
        await browser.close()


async def test_the_first_page_shows_the_queue_and_leads_to_its_tasks(page: Page) -> None:
    await page.goto("/")

    row = page.get_by_role("row").filter(has_text="mail")
    await expect(row).to_contain_text("run")
    await row.get_by_role("link", name="mail").click()
    await expect(page.get_by_text("Queue size", exact=True)).to_be_visible()
    for state in TASKS:
        await expect(page.get_by_text(f"{state.capitalize()} 1").first).to_be_visible()


@pytest.mark.parametrize(("state", "task_id"), [item for item in TASKS.items() if item[0] != "aggregating"])
async def test_each_state_has_a_page_with_its_task(page: Page, state: str, task_id: str) -> None:
    await page.goto(f"/queues/mail?status={state}")

    await expect(page.get_by_role("row").filter(has_text=f"mail:{task_id}")).to_be_visible()


async def test_a_group_is_chosen_and_shows_its_members(page: Page) -> None:
    await page.goto("/queues/mail?status=aggregating")

    await page.get_by_label("Select group").click()
    await page.get_by_text("digest").click()
    await expect(page.get_by_role("row").filter(has_text="mail:member")).to_be_visible()


async def test_a_tasks_page_shows_its_result(page: Page) -> None:
    await page.goto("/queues/mail/tasks/done")

    await expect(page.get_by_text("mail:done")).to_be_visible()
    await expect(page.get_by_text('"sent": true')).to_be_visible()


async def test_the_servers_page_shows_what_runs(page: Page) -> None:
    await page.goto("/servers")

    row = page.get_by_role("row").filter(has_text="rota-host:4321")
    await expect(row).to_contain_text("1/12")
    await row.get_by_role("button").first.click()
    await expect(page.get_by_text('"user": 7').first).to_be_visible()


async def test_the_run_button_makes_a_scheduled_task_pending(page: Page, go: Go) -> None:
    await page.goto("/queues/mail?status=scheduled")

    row = page.get_by_role("row").filter(has_text="mail:later")
    await row.get_by_role("cell").last.hover()
    await row.get_by_role("button", name="Run").click()
    await expect(page.get_by_text("Pending 2").first).to_be_visible()
    assert (await go.queue("mail")).task("later").state == "pending"
