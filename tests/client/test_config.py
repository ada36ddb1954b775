"""Where settings come from, and which of them wins."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from slicery.config import Connection, config_path, connection_for, normalise, resolve
from slicery.errors import ConfigurationError

PROFILES = """
[default]
url = "https://default.example.org/"
token = "default-key"

[lab]
url = "https://lab.example.org"
token = "lab-key"

[keyless]
url = "https://keyless.example.org"

[anywhere]
token = "anywhere-key"
"""


@pytest.fixture
def profiles() -> Path:
    path = Path(os.environ["SLICERY_CONFIG"])
    path.write_text(PROFILES)
    return path


def as_pair(found: Connection) -> tuple[str, str | None]:
    return found.url.removeprefix("https://").removesuffix(".example.org"), found.token


@pytest.mark.usefixtures("profiles")
class TestPrecedence:
    def test_the_default_profile_comes_last(self) -> None:
        assert as_pair(resolve()) == ("default", "default-key")

    def test_the_environment_beats_the_profile(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SLICERY_URL", "https://env.example.org")
        monkeypatch.setenv("SLICERY_TOKEN", "env-key")
        assert as_pair(resolve()) == ("env", "env-key")

    def test_arguments_beat_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SLICERY_URL", "https://env.example.org")
        monkeypatch.setenv("SLICERY_TOKEN", "env-key")
        assert as_pair(resolve("https://arg.example.org", "arg-key")) == ("arg", "arg-key")
        assert as_pair(resolve("https://arg.example.org")) == ("arg", "env-key")
        assert as_pair(resolve(token="arg-key")) == ("env", "arg-key")

    def test_the_environment_names_a_profile(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SLICERY_PROFILE", "lab")
        assert as_pair(resolve()) == ("lab", "lab-key")
        monkeypatch.setenv("SLICERY_TOKEN", "env-key")
        assert as_pair(resolve()) == ("lab", "env-key")

    def test_a_profile_named_by_argument_beats_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SLICERY_URL", "https://env.example.org")
        monkeypatch.setenv("SLICERY_TOKEN", "env-key")
        assert as_pair(resolve(profile="lab")) == ("lab", "lab-key")

    def test_a_profiles_key_goes_nowhere_but_to_its_own_url(self) -> None:
        assert as_pair(resolve("https://elsewhere.example.org")) == ("elsewhere", None)
        assert as_pair(resolve("https://DEFAULT.example.org/v1/")) == ("default", "default-key")
        assert as_pair(resolve("https://any.example.org", profile="anywhere")) == ("any", "anywhere-key")

    def test_a_profile_may_lack_a_key(self) -> None:
        assert as_pair(resolve(profile="keyless")) == ("keyless", None)

    def test_an_unknown_profile_is_an_error_that_lists_those_there_are(self) -> None:
        with pytest.raises(ConfigurationError, match=r"'nolab' is not in .*default, lab, keyless, anywhere"):
            resolve(profile="nolab")


@pytest.mark.usefixtures("profiles")
class TestForSlices:
    def test_the_profile_with_the_slices_url_gives_the_key(self) -> None:
        assert as_pair(connection_for("https://lab.example.org/")) == ("lab", "lab-key")

    def test_the_environments_key_goes_to_the_environments_url(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SLICERY_URL", "https://env.example.org")
        monkeypatch.setenv("SLICERY_TOKEN", "env-key")
        assert as_pair(connection_for("https://env.example.org")) == ("env", "env-key")
        assert as_pair(connection_for("https://slice.example.org")) == ("env", "env-key")
        assert as_pair(connection_for("https://lab.example.org")) == ("lab", "lab-key")

    def test_a_key_without_a_url_goes_nowhere(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SLICERY_TOKEN", "env-key")
        assert as_pair(connection_for("https://slice.example.org")) == ("slice", None)


def test_nothing_set_says_what_to_set() -> None:
    with pytest.raises(
        ConfigurationError, match=r"Client\(url=…\), set SLICERY_URL .*\[default\] in .*config\.toml"
    ):
        resolve()


@pytest.mark.parametrize("text", ["[default\n", "url = 'x'", "[default]\nurl = 3", "\xff"])
def test_a_profile_file_that_cannot_be_read_is_named(text: str) -> None:
    path = Path(os.environ["SLICERY_CONFIG"])
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigurationError, match=str(path)):
        resolve()


@pytest.mark.parametrize("url", ["example.org", "ftp://example.org", "https://", "s3://bucket/key"])
def test_a_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"http\(s\)://host"):
        normalise(url)


def test_a_password_in_the_url_is_refused_and_not_repeated() -> None:
    with pytest.raises(ConfigurationError, match="must not hold") as caught:
        normalise("https://user:secret@example.org")
    assert "secret" not in str(caught.value)


def test_a_url_may_have_a_path() -> None:
    assert normalise(" https://Example.org:8443/Slicery/v1/ ") == "https://example.org:8443/Slicery"


def test_the_profile_file_lies_where_xdg_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLICERY_CONFIG")
    monkeypatch.setenv("XDG_CONFIG_HOME", "/xdg")
    assert config_path() == Path("/xdg/slicery/config.toml")
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setenv("HOME", "/home/someone")
    assert config_path() == Path("/home/someone/.config/slicery/config.toml")


def test_a_connection_does_not_show_its_key() -> None:
    assert "key" not in repr(Connection("https://x", "key"))
