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
from rota.broker.route import Node, SingleRoute
from rota.broker.url import Address, Endpoint
from rota.errors import BrokerError, BrokerRefused

# A sentinel that hangs must not use up the time in which the next sentinel could answer.
_SENTINEL_SECONDS = 1.0


class SentinelRoute(SingleRoute):
    """Asks the sentinels before each connection, so connections made after a fail-over go to the new master."""

    def __init__(self, address: Address, login: Login, sentinel_login: Login) -> None:
        self._master = address.master or ""
        self._sentinels = list(address.endpoints)
        self._login = login
        self._sentinel_login = sentinel_login
        self._node = Node(lambda: self.dial(None))

    async def dial(self, key: str | None) -> Link:
        """Connect to the current master, and check that it reports the role of a master."""
        endpoint = await self._resolve()
        link = await dial(endpoint, self._login)
        try:
            await self._verify(link)
        except BaseException:
            link.close()
            raise
        return link

    async def _verify(self, link: Link) -> None:
        try:
            role: Any = await link.execute("ROLE")
        except BrokerRefused:
            return  # the user may lack ROLE; then the first write tells a replica
        check_role(role, link.endpoint)

    async def _resolve(self) -> Endpoint:
        errors: list[BrokerError] = []
        for sentinel in tuple(self._sentinels):
            try:
                endpoint = await self._ask(sentinel)
            except BrokerError as error:
                errors.append(error)
                continue
            # The next connection asks the sentinel first that answered this time.
            self._sentinels.remove(sentinel)
            self._sentinels.insert(0, sentinel)
            return endpoint
        raise no_master(self._master, errors)

    async def _ask(self, sentinel: Endpoint) -> Endpoint:
        link = await dial(sentinel, self._sentinel_login)
        try:
            reply: Any = await link.execute("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._master)
        except BrokerError as error:
            raise failure.not_sent(sentinel) if error.maybe_applied else error from error
        finally:
            link.close()
        return master_of(reply, self._master, sentinel)


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


def check_role(role: Any, endpoint: Endpoint) -> None:
    """Raise `Demoted` unless `ROLE` replied "master": until a fail-over ends, sentinels name the old master."""
    if role[0] != b"master":
        raise Demoted(f"The sentinels still name {endpoint}, which is a replica by now; a fail-over is under way.")


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
