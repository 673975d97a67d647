"""A broker under test, and beside it an administrator's hand for what the test itself does and sees."""

from dataclasses import replace
from functools import cached_property, reduce
from operator import add
from typing import Any

from rota.broker import Broker, BrokerOptions
from rota.broker.url import Address
from rota.wire.script import Argument

ON_EVERY_NODE = {"ACL", "CLIENT", "CONFIG", "DBSIZE", "INFO", "KEYS", "PUBSUB", "SCRIPT"}
ANYWHERE = {"PUBLISH", "TIME"}
KEYS_AT: dict[Argument, int] = {"EVAL": 3, "OBJECT": 2}
PATIENCE_S = 5


class Admin:
    """Plain commands, raw replies. Each goes to the node of its key; one about the server goes to every node."""

    def __init__(self, address: Address, options: BrokerOptions) -> None:
        self._broker = Broker(replace(address, username=None, password=None), options)

    async def execute(self, *words: Argument) -> Any:
        if words[0] in ON_EVERY_NODE:
            links = await self._broker._route.links(PATIENCE_S)
            replies = [await link.execute(*words) for link in links]
            return replies[0] if replies[0] == b"OK" else reduce(add, replies)
        key = None if words[0] in ANYWHERE else str(words[KEYS_AT.get(words[0], 1)])
        return await self._broker.execute(*words, key=key)

    async def listeners(self) -> int:
        """How many connections of ours are there for messages. Sentinels have some of their own."""
        listed: bytes = await self.execute("CLIENT", "LIST", "TYPE", "pubsub")
        return listed.count(b" name=rota ")

    async def hearers(self, channel: str) -> int:
        """How many connections hear a channel, whoever's they are."""
        counted: list[Any] = await self.execute("PUBSUB", "NUMSUB", channel)
        return sum(counted[1::2])

    async def cut_listeners(self) -> int:
        """End the connections that are there for messages; return how many of them were ours."""
        ours = await self.listeners()
        await self.execute("CLIENT", "KILL", "TYPE", "pubsub")
        return ours

    async def aclose(self) -> None:
        await self._broker.aclose()


class Overseen(Broker):
    """What goes through it is done as the user under test; what goes through `admin` may do everything."""

    @cached_property
    def admin(self) -> Admin:
        return Admin(self.address, self.options)

    async def aclose(self) -> None:
        await super().aclose()
        if "admin" in self.__dict__:
            await self.admin.aclose()
