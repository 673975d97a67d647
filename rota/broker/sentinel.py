"""A master whose address comes from Sentinel, and changes with a fail-over.

Before each connection the sentinels are asked for the master, one after the other until one replies. The new connection
then checks by `ROLE` that the server is a master, because during a fail-over sentinels may still name the old one. An
open connection is not checked again: it closes itself when its server replies that it is a replica (see `Link`).
"""

from dataclasses import replace
from typing import Any

from rota.broker import failure
from rota.broker.broker_options import BrokerOptions
from rota.broker.dial import Login, dial
from rota.broker.failure import Demoted, NotNow
from rota.broker.link import Link
from rota.broker.route import Ask, Node, SingleRoute
from rota.broker.script_cache import Words
from rota.broker.url import Address, Endpoint
from rota.errors import BrokerError, BrokerRefused

# A sentinel that hangs must not use up the time in which the next sentinel could answer.
_SENTINEL_SECONDS = 1.0


class Sentinels:
    """The sentinels of a URL, for asyncio and for blocking code: they get the function that asks a server."""

    def __init__(self, address: Address) -> None:
        self._master = address.master or ""
        self._order = address.endpoints

    async def find(self, ask: Ask) -> Endpoint:
        """Return the master that the first sentinel names which answers. The next search asks that sentinel first."""
        errors: list[BrokerError] = []
        for sentinel in self._order:
            try:
                reply = await ask(sentinel, ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._master))
                master = master_of(reply, self._master, sentinel)
            except BrokerError as error:
                errors.append(failure.not_sent(sentinel, "it did not answer") if error.maybe_applied else error)
                continue
            # One assignment, because threads may search at the same time.
            self._order = (sentinel, *(each for each in self._order if each != sentinel))
            return master
        raise no_master(self._master, errors)


async def confirm_master(server: Endpoint, ask: Ask) -> None:
    """Raise `Demoted` if the server that the sentinels name is not a master (any more)."""
    try:
        role = await ask(server, ("ROLE",))
    except BrokerRefused:
        return  # the user may lack ROLE; then the first write tells a replica
    if role[0] != b"master":
        raise Demoted(f"The sentinels still name {server}, which is a replica by now; a fail-over is under way.")


class SentinelRoute(SingleRoute):
    """Asks the sentinels before each connection, so connections made after a fail-over go to the new master."""

    def __init__(self, address: Address, login: Login, sentinel_login: Login) -> None:
        self._sentinels = Sentinels(address)
        self._login = login
        self._sentinel_login = sentinel_login
        self._node = Node(lambda: self.dial(None))

    async def dial(self, key: str | None) -> Link:
        """Connect to the current master, and check that it reports the role of a master."""
        link = await dial(await self._sentinels.find(self._ask_sentinel), self._login)
        try:
            await confirm_master(link.endpoint, lambda _, words: link.execute(*words))
        except BaseException:
            link.close()
            raise
        return link

    async def _ask_sentinel(self, sentinel: Endpoint, words: Words) -> Any:
        link = await dial(sentinel, self._sentinel_login)
        try:
            return await link.execute(*words)
        finally:
            link.close()


def sentinel_login(address: Address, options: BrokerOptions) -> Login:
    """Make the login for the sentinels: with their own credentials if given, else with those in the URL."""
    login = Login.to_server(address, options)
    own = options.sentinel_password is not None
    return replace(
        login,
        username=options.sentinel_username if own else address.username,
        password=options.sentinel_password if own else address.password,
        database=0,
        connect_timeout_seconds=min(login.connect_timeout_seconds, _SENTINEL_SECONDS),
        response_timeout_seconds=min(login.response_timeout_seconds, _SENTINEL_SECONDS),
    )


def master_of(reply: Any, master: str, sentinel: Endpoint) -> Endpoint:
    """Read a sentinel's reply to `SENTINEL GET-MASTER-ADDR-BY-NAME`."""
    if reply is None:
        raise BrokerRefused(
            f"The sentinel {sentinel} knows no master named {master!r}; correct ?master= in the broker URL."
        )
    return Endpoint(reply[0].decode(), int(reply[1]))


def no_master(master: str, errors: list[BrokerError]) -> BrokerError:
    """Combine the errors of all sentinels. The result can be retried unless every sentinel refused for good."""
    reasons = " ".join(dict.fromkeys(map(str, errors)))
    kind = BrokerRefused if all(isinstance(error, BrokerRefused) for error in errors) else NotNow
    return kind(f"No sentinel names the master {master!r}. {reasons}")
