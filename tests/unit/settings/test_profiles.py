"""Profiles: named servers in the user's file and in `pyproject.toml`, and their rank among the sources of settings."""

from pathlib import Path

import pytest

from rota import Rota
from rota.errors import ConfigError
from rota.settings import origin
from rota.settings.origin import CommandLine, all_profiles, current_profile
from rota.settings.profiles import own_file
from rota.settings.settings import Settings

OWN = """
[production]
url = "redis://own:1/0"
confirm = true
colour = "red"

[other]
key_prefix = "other"
"""
PROJECT = """
[tool.rota]
url = "redis://project:1/0"
concurrency = 3

[tool.rota.profiles.production]
url = "redis://evil:1/0"

[tool.rota.profiles.staging]
url = "redis://staging:1/0"
"""


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A command in a folder with profiles, of a user with profiles."""
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    own = tmp_path / "profiles.toml"
    own.write_text(OWN)
    monkeypatch.setenv("ROTA_PROFILES_FILE", str(own))
    monkeypatch.delenv("ROTA_PROFILE", raising=False)
    monkeypatch.delenv("ROTA_URL", raising=False)
    monkeypatch.setattr(origin, "_is_command", True)
    monkeypatch.chdir(tmp_path)
    return own


def choose(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("ROTA_PROFILE", name)


def test_without_a_profile_nothing_changes() -> None:
    assert Settings().broker.url == "redis://project:1/0"
    assert current_profile() is None


def test_profile_of_the_project_overrides_the_project_and_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    choose(monkeypatch, "staging")
    monkeypatch.setenv("ROTA_URL", "redis://environment:1/0")
    settings = Settings()
    assert (settings.broker.url, settings.source_of("url")) == ("redis://staging:1/0", "profile")
    assert (settings.worker.concurrency, settings.source_of("concurrency")) == (3, "pyproject.toml")


def test_own_profile_counts_before_that_of_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    choose(monkeypatch, "production")
    assert Settings().broker.url == "redis://own:1/0"


def test_profile_overrides_the_code_and_the_command_line_overrides_the_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    choose(monkeypatch, "staging")
    app = Rota("redis://code:1/0")
    assert app.settings.broker.url == "redis://staging:1/0"
    told = app.settings.updated_by(CommandLine().with_setting("url", "redis://option:1/0", "--url"))
    assert told.broker.url == "redis://option:1/0"
    assert told.updated_by(CommandLine()).broker.url == "redis://option:1/0"


def test_programs_that_are_no_command_read_no_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    choose(monkeypatch, "staging")
    monkeypatch.setattr(origin, "_is_command", False)
    assert Settings().source_of("url") == "default"
    assert current_profile() is None


def test_guards_of_a_profile_are_no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    choose(monkeypatch, "production")
    profile = current_profile()
    assert profile is not None
    assert (profile.name, profile.confirm, profile.colour) == ("production", True, "red")
    assert set(profile.settings) == {"url"}


def test_all_profiles_are_listed_with_their_files(files: Path) -> None:
    found = all_profiles()
    assert sorted(found) == ["other", "production", "staging"]
    assert found["production"].file == files
    assert found["staging"].file.name == "pyproject.toml"


def test_unknown_profile_is_refused_with_the_nearest_name(monkeypatch: pytest.MonkeyPatch) -> None:
    choose(monkeypatch, "prodution")
    with pytest.raises(ConfigError, match=r"no profile 'prodution'. Did you mean 'production'\?"):
        Settings()


def test_setting_that_does_not_exist_names_the_profile_as_its_source(
    files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.write_text('[bad]\nurll = "redis://x"\n')
    choose(monkeypatch, "bad")
    with pytest.raises(ConfigError, match=r"no setting 'urll' \(from profile\)"):
        Settings()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("bad = 1", "is not a table"),
        ("[bad]\nconfirm = 'yes'", "confirm of the profile 'bad' must be true or false"),
        ("[bad]\ncolour = 'pink'", "colour of the profile 'bad' must be one of red"),
        ("[bad", "is not valid TOML"),
    ],
)
def test_mistake_in_the_file_is_named(files: Path, monkeypatch: pytest.MonkeyPatch, text: str, reason: str) -> None:
    files.write_text(text)
    choose(monkeypatch, "bad")
    with pytest.raises(ConfigError, match=reason):
        Settings()


def test_own_file_is_in_the_folder_for_configuration(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("ROTA_PROFILES_FILE")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert own_file() == tmp_path / "rota" / "profiles.toml"
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setenv("HOME", "/home/anna")
    assert own_file() == Path("/home/anna/.config/rota/profiles.toml")


def test_variables_of_profiles_are_not_called_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    choose(monkeypatch, "staging")
    monkeypatch.setenv("ROTA_LANG", "en")
    assert [each for each in Settings().warnings() if "no such setting" in each] == []
