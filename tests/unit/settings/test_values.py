import pytest

from rota.errors import ConfigError
from rota.settings.settings import Settings
from rota.settings.values import ProcessRange


@pytest.mark.parametrize(
    ("said", "meant"), [(4, (4, 4)), ("4", (4, 4)), ("1..8", (1, 8)), (" 2 .. 3 ", (2, 3)), ((1, 2), (1, 2))]
)
def test_a_number_or_a_range(said: object, meant: tuple[int, int]) -> None:
    assert Settings(processes=said).supervisor.processes == ProcessRange(*meant)  # type: ignore[arg-type]


@pytest.mark.parametrize("said", [0, "0..3", "8..1", "many", "1..", "1-3", True, "-1"])
def test_what_is_neither_is_refused(said: object) -> None:
    with pytest.raises(ConfigError, match="processes"):
        Settings(processes=said)  # type: ignore[arg-type]


def test_a_range_is_shown_as_it_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROTA_PROCESSES", "1..8")
    settings = Settings()
    assert next(row.value for row in settings.table() if row.name == "processes") == "1..8"
    assert str(ProcessRange(3, 3)) == "3"
