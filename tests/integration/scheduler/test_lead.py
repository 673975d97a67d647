"""The election of a leader by several schedulers on one server."""

from rota.scheduler.lead import Lead
from rota.scheduler.server_time import ServerTime
from rota.wire.scheduler_steps import SchedulerKeys
from tests.servers.overseen import Overseen


async def test_one_scheduler_leads_and_the_others_know_it(broker: Overseen) -> None:
    leads = [Lead(broker, name, ServerTime()) for name in ("a", "b", "c")]
    epochs = [await lead.stand() for lead in leads]
    assert [bool(epoch) for epoch in epochs] == [True, False, False]
    assert [lead.leader for lead in leads] == ["a", "a", "a"]


async def test_next_scheduler_leads_at_once_after_a_resignation(broker: Overseen) -> None:
    first, second = Lead(broker, "a", ServerTime()), Lead(broker, "b", ServerTime())
    epoch = await first.stand()
    await first.resign()
    assert first.epoch == 0
    assert await second.stand() > epoch


async def test_leader_whose_lease_expired_gets_a_new_epoch(broker: Overseen) -> None:
    lead = Lead(broker, "a", ServerTime())
    epoch = await lead.stand()
    assert await lead.stand() == epoch
    await broker.admin.execute("DEL", SchedulerKeys(broker.keys).lease)
    assert await lead.stand() > epoch


async def test_answer_brings_the_time_of_the_server(broker: Overseen) -> None:
    clock = ServerTime()
    await Lead(broker, "a", clock).stand()
    seconds, micros = await broker.admin.execute("TIME")
    assert abs(clock.now() - (int(seconds) + int(micros) / 1e6)) < 30
