"""Options that cannot work are refused before anything connects."""

from datetime import timedelta
from pathlib import Path

import pytest

from rota.broker import TLS, Broker, BrokerOptions
from rota.errors import ConfigError


@pytest.mark.parametrize(
    "wrong",
    [
        {"connect_timeout": timedelta(0)},
        {"response_timeout": timedelta(seconds=-1)},
        {"retry_for": timedelta(seconds=-1)},
        {"client_name": "two words"},
    ],
)
def test_a_wrong_option_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        BrokerOptions(**wrong)  # type: ignore[arg-type]


def test_a_missing_certificate_is_named(tmp_path: Path) -> None:
    options = BrokerOptions(tls=TLS(ca=tmp_path / "none.crt"))
    with pytest.raises(ConfigError, match=r"none\.crt.*No such file"):
        Broker.from_url("rediss://host", options=options)


def test_no_secret_shows_in_the_text_of_options() -> None:
    assert "hush" not in repr(BrokerOptions(password="hush", sentinel_password="hush"))
