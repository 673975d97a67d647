"""The rights of the roles."""

import inspect
import re
from types import ModuleType

import pytest
import redis

from rota.wire import edit, enqueue, rights, watch
from tests.servers.process import Server


def test_every_right_is_a_command_of_the_server(redis_server: Server) -> None:
    with redis.Redis(unix_socket_path=redis_server.unix_url.removeprefix("unix://")) as client:
        names = {name.decode().upper() for name in client.execute_command("COMMAND LIST")}  # type: ignore[union-attr]
    asked = {name.partition("|")[0] for role in rights.ROLES for name in rights.commands(role)}

    assert asked - names == set()


def test_a_worker_has_all_rights_of_a_producer_and_an_inspector_none_to_write() -> None:
    assert set(rights.commands("producer")) < set(rights.commands("worker"))
    assert not {"SET", "HSET", "DEL", "LPUSH", "ZADD", "SADD", "PUBLISH"} & set(rights.commands("inspector"))


@pytest.mark.parametrize("module", [edit, enqueue, watch])
def test_producer_has_the_rights_for_each_script_of_a_client(module: ModuleType) -> None:
    """The rights of a role follow from the names of scripts, so an ACL would refuse a script with another name."""
    scripts = re.findall(r'load\("(\w+)"\)', inspect.getsource(module))
    missing = {name for name in scripts if not rights.script_commands(name) <= set(rights.commands("producer"))}

    assert scripts
    assert missing == set()


def test_another_prefix_has_other_keys() -> None:
    assert "~mine:* &mine:*" in rights.rule("worker", "u", "p", "mine")
