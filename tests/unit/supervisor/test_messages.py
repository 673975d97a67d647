import json
from datetime import timedelta

from rota.settings.origin import CommandLine
from rota.settings.settings import Settings
from rota.settings.values import ProcessRange
from rota.supervisor.messages import Introduction, ProcessReport, ProcessSetup, decode, encode, plain_settings


def test_every_message_survives_the_way() -> None:
    for message in (
        ProcessSetup("w1", "shop:app"),
        ProcessSetup("w1", "shop:app", CommandLine({"password": "x"}, {"password": "--set"}), "debug", True),
        Introduction({"url": "redis://h"}, "host", 7, "s1"),
        ProcessReport(ready=True, stopping=True, used=1, capacity=2, held=3, ended=4, beat_at=5.5, queues=["a", "b\n"]),
    ):
        line = encode(message)
        assert line.endswith(b"\n")
        assert line.count(b"\n") == 1
        assert decode(line) == message


def test_settings_are_the_same_on_the_other_side_secrets_too() -> None:
    settings = Settings(
        password="geheim",
        lease=timedelta(seconds=7),
        heartbeat="500ms",
        queues="critical=6,mail:*=2",
        processes="2..5",
        process_max_age="1h",
        tls_ca="/etc/ca.pem",
    )
    there = Settings(**json.loads(json.dumps(plain_settings(settings))))
    assert there.model_dump() == settings.model_dump()
    assert there.supervisor.processes == ProcessRange(2, 5)
    assert there.broker.password is not None
    assert there.broker.password.get_secret_value() == "geheim"
