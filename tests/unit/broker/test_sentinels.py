"""How the sentinels are asked for the master, for asyncio and blocking code alike."""

from typing import Any

import pytest

from rota.broker.failure import Demoted, NotNow, lost
from rota.broker.script_cache import Words
from rota.broker.sentinel import Sentinels, confirm_master
from rota.broker.url import Endpoint, parse
from rota.core.sync_bridge import finish
from rota.errors import BrokerError, BrokerRefused

MASTER = [b"m", b"7"]
URL = "redis+sentinel://a:1,b:2,c:3/?master=orders"


class Servers:
    """Answers of servers by host: a reply or an error. Notes who was asked."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.asked: list[str] = []

    async def ask(self, server: Endpoint, words: Words) -> Any:
        self.asked.append(server.host)
        answer = self.answers[server.host]
        if isinstance(answer, BrokerError):
            raise answer
        return answer


def away(host: str) -> BrokerError:
    return lost(Endpoint(host, 1), "it hangs")


def test_the_sentinel_that_answered_is_asked_first_the_next_time() -> None:
    servers = Servers(a=away("a"), b=MASTER, c=MASTER)
    sentinels = Sentinels(parse(URL))
    for _ in range(2):
        assert finish(sentinels.find(servers.ask)) == Endpoint("m", 7)
    assert servers.asked == ["a", "b", "b"]
    servers.answers |= {"a": MASTER, "b": away("b")}
    assert finish(sentinels.find(servers.ask)) == Endpoint("m", 7)
    assert servers.asked[3:] == ["b", "a"]


def test_a_search_can_be_made_again_while_one_sentinel_only_hangs() -> None:
    refusal = BrokerRefused("wrong password")
    with pytest.raises(NotNow, match=r"No sentinel names the master 'orders'\. .*wrong password") as caught:
        finish(Sentinels(parse(URL)).find(Servers(a=refusal, b=away("b"), c=refusal).ask))
    assert not caught.value.maybe_applied


def test_a_search_that_every_sentinel_refuses_is_not_made_again() -> None:
    with pytest.raises(BrokerRefused, match=r"The sentinel c:3 knows no master named 'orders'"):
        finish(Sentinels(parse(URL)).find(Servers(a=BrokerRefused("x"), b=BrokerRefused("x"), c=None).ask))


@pytest.mark.parametrize(
    "role", [[b"master", 0, []], BrokerRefused("no permission for ROLE")], ids=["master", "unsaid"]
)
def test_a_master_or_one_that_may_be_is_used(role: Any) -> None:
    finish(confirm_master(Endpoint("m", 7), Servers(m=role).ask))


def test_a_replica_that_the_sentinels_still_name_is_not_used() -> None:
    with pytest.raises(Demoted, match="a fail-over is under way"):
        finish(confirm_master(Endpoint("m", 7), Servers(m=[b"slave", b"n", 7]).ask))
