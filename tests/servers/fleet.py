"""Several servers that belong together: a master with its replica and three sentinels, and a Cluster of six."""

import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cached_property
from typing import Any

import redis
from redis.cluster import ClusterNode, RedisCluster

from tests.servers.process import Server, wait_until


class SentinelFleet:
    """A master, a replica and three sentinels that replace the master within about two seconds, or somewhat later."""

    def __init__(self, *, password: str | None = None, patience_ms: int = 500) -> None:
        self.password = password
        guarded: Mapping[str, object] = {} if password is None else {"requirepass": password, "masterauth": password}
        self.servers = [Server(config={"repl-diskless-sync-delay": 0, **guarded}).start()]
        of = f"replicaof 127.0.0.1 {self.servers[0].port}\n"
        self.servers.append(Server(config={"repl-diskless-sync-delay": 0, **guarded}, lines=of).start())
        wait_until(lambda: self.info(self.servers[1])["master_link_status"] == "up")
        watch = (
            f"sentinel monitor mymaster 127.0.0.1 {self.servers[0].port} 2\n"
            f"sentinel down-after-milliseconds mymaster {patience_ms}\n"
            "sentinel failover-timeout mymaster 3000\n"
        )
        if password is not None:
            watch += f"sentinel auth-pass mymaster {password}\n"
        self.sentinels = [Server("redis-sentinel", lines=watch).start() for _ in range(3)]
        wait_until(self._complete)

    @property
    def url(self) -> str:
        return self.url_of(0)

    def url_of(self, database: int) -> str:
        hosts = ",".join(f"127.0.0.1:{each.port}" for each in self.sentinels)
        login = "" if self.password is None else f":{self.password}@"
        return f"redis-sentinel://{login}{hosts}/{database}?master=mymaster"

    def client(self, **options: Any) -> redis.Redis:
        return self.master().client(password=self.password, **options)

    def info(self, server: Server) -> dict[str, object]:
        with server.admin(password=self.password) as client:
            return client.info("replication")

    def master(self) -> Server:
        [master] = [each for each in self.servers if each.process and self.info(each)["role"] == "master"]
        return master

    def is_well(self) -> bool:
        """Whether the replica is there and follows."""
        roles = [self.info(each) for each in self.servers if each.process]
        return sorted(str(role.get("master_link_status", role["role"])) for role in roles) == ["master", "up"]

    def agreed_master_port(self) -> set[int]:
        """What the sentinels say."""
        ports = set()
        for each in self.sentinels:
            with each.admin() as client:
                ports.add(int(client.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "mymaster")[1]))
        return ports

    def _complete(self) -> bool:
        for each in self.sentinels:
            with each.admin() as client:
                state = client.execute_command("SENTINEL", "MASTER", "mymaster")
                if int(state["num-other-sentinels"]) < 2 or int(state["num-slaves"]) < 1:
                    return False
        return True

    def stop(self) -> None:
        for each in (*self.sentinels, *self.servers):
            each.stop()


class ClusterFleet:
    """Three masters, each with a replica."""

    def __init__(self, *, patience_ms: int = 1000) -> None:
        config = {"cluster-enabled": "yes", "cluster-node-timeout": patience_ms, "databases": 1}
        config |= {"repl-diskless-sync-delay": 0}
        self.nodes = [Server(config=config).start() for _ in range(6)]
        hosts = [f"127.0.0.1:{each.port}" for each in self.nodes]
        subprocess.run(
            ["redis-cli", "--cluster", "create", *hosts, "--cluster-replicas", "1", "--cluster-yes"],
            check=True,
            capture_output=True,
        )
        wait_until(self.is_well)

    @property
    def url(self) -> str:
        return "redis+cluster://" + ",".join(f"127.0.0.1:{each.port}" for each in self.nodes[:3])

    def client(self, **options: Any) -> redis.Redis:
        """A client of all masters."""
        nodes = [ClusterNode("127.0.0.1", each.port) for each in self.masters()]
        return RedisCluster(startup_nodes=nodes, **{"decode_responses": True, **options})

    def is_well(self) -> bool:
        """Whether every node is there, and every replica is one and follows."""
        return all(each.process and self._ready(each) for each in self.nodes) and len(self.masters()) == 3

    def masters(self) -> list[Server]:
        return [each for each in self.nodes if each.process and self._role(each) == "master"]

    @cached_property
    def _clients(self) -> list[redis.Redis]:
        return [each.client() for each in self.nodes]

    def empty(self) -> None:
        for client in self._clients:
            with suppress(redis.ReadOnlyError):  # a replica is emptied by its master
                client.flushall()

    def node_id(self, server: Server) -> str:
        with server.admin() as client:
            return str(client.execute_command("CLUSTER", "MYID"))

    def owner(self, slot: int) -> Server:
        """The master of a slot, as the nodes themselves say."""
        with self.masters()[0].admin() as client:
            ranges = client.execute_command("CLUSTER", "SLOTS")
        port = next(int(master[1]) for first, last, master, *_ in ranges if first <= slot <= last)
        return next(each for each in self.nodes if each.port == port)

    def begin_move(self, slot: int) -> tuple[Server, Server]:
        """Open a slot on both sides: keys that are gone already are answered with ASK."""
        source = self.owner(slot)
        target = next(each for each in self.masters() if each is not source)
        with target.admin() as client:
            client.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", self.node_id(source))
        with source.admin() as client:
            client.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", self.node_id(target))
        return source, target

    def move_keys(
        self, source: Server, target: Server, slot: int, order: Callable[[str], Any], most: int | None = None
    ) -> None:
        """Move keys, by default all, one after the other: each node has a part meanwhile of what belongs together."""
        with source.admin() as client:
            while keys := client.execute_command("CLUSTER", "GETKEYSINSLOT", slot, 10_000):
                for key in sorted(keys, key=order)[:most]:
                    client.execute_command("MIGRATE", "127.0.0.1", target.port, key, 0, 5000)
                if most is not None:
                    return

    def end_move(self, slot: int, target: Server) -> None:
        owner = self.node_id(target)
        for each in [target, *(node for node in self.masters() if node is not target)]:
            with each.admin() as client:
                client.execute_command("CLUSTER", "SETSLOT", slot, "NODE", owner)

    def tried_again(self) -> int:
        """How often a command was told to come again because its slot moves, on all nodes."""
        stats = [client.info("errorstats") for client in self._clients]
        return sum(each.get("errorstat_TRYAGAIN", {}).get("count", 0) for each in stats)

    def _role(self, server: Server) -> str:
        with server.admin() as client:
            return str(client.info("replication")["role"])

    def _ready(self, server: Server) -> bool:
        with server.admin() as client:
            state = client.execute_command("CLUSTER", "INFO")
            if "cluster_state:ok" not in state or "cluster_known_nodes:6" not in state:
                return False
            # A node that is known, but not connected yet, hears of no message.
            if "disconnected" in client.execute_command("CLUSTER", "NODES"):
                return False
            replication = client.info("replication")
            return replication["role"] == "master" or replication["master_link_status"] == "up"

    def stop(self) -> None:
        for client in self.__dict__.get("_clients", ()):
            client.close()
        for each in self.nodes:
            each.stop()
