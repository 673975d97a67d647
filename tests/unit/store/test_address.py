import pytest

from rota.errors import ConfigError
from rota.settings.origin import masked_store
from rota.settings.settings import Settings
from rota.store.address import read_address


@pytest.mark.parametrize(
    ("url", "dialect", "shown"),
    [
        ("sqlite:///.rota/rota.db", "sqlite", ".rota/rota.db"),
        ("sqlite:////var/rota.db", "sqlite", "/var/rota.db"),
        ("postgresql://me:pa%40ss@db:5433/rota?sslmode=require", "postgresql", "postgresql://***@db:5433/rota"),
        ("postgres://db/rota", "postgresql", "postgresql://db/rota"),
        ("mysql://me:pass@db/rota", "mysql", "mysql://***@db/rota"),
        ("mariadb://me:pass@db/rota", "mysql", "mysql://***@db/rota"),
    ],
)
def test_url_is_read_and_shown_without_its_password(url: str, dialect: str, shown: str) -> None:
    address = read_address(url)

    assert (address.dialect, str(address), repr(address)) == (dialect, shown, shown)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "not a URL"),
        ("rota.db", "not a URL"),
        ("postgresql://me:secret@db:port/rota", "not a URL"),
        ("mongodb://me:secret@db/rota", "no store 'mongodb'"),
        ("postgre://me:secret@db/rota", "Did you mean 'postgresql'"),
        ("postgresql+asyncpg://me:secret@db/rota", "Rota chooses the driver"),
        ("postgresql://me:secret@db", "no database"),
        ("mysql://me:secret@db/", "no database"),
        ("sqlite://", "no file"),
        ("sqlite:///:memory:", "no file"),
        ("sqlite://folder/rota.db", "three slashes"),
    ],
)
def test_wrong_url_is_refused_without_its_password(url: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        read_address(url)

    assert "secret" not in str(caught.value)


def test_missing_driver_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    with pytest.raises(ConfigError, match=r"pip install 'rota\[postgres\]'"):
        read_address("postgresql://db/rota")


def test_setting_shows_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROTA_STORE", "postgresql://me:se@/cret@db/rota?password=secret")
    settings = Settings()

    assert settings.database.store == "postgresql://me:se@/cret@db/rota?password=secret"
    [row] = [row for row in settings.table() if row.name == "store"]
    assert row.value == "postgresql://***@db/rota"
    for text in (repr(settings), settings.model_dump_json(), masked_store("postgresql://:secret@db/x")):
        assert "secret" not in text
        assert "cret@" not in text
