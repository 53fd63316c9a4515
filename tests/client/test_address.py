"""Where the server's address and key come from."""

from pathlib import Path

import pytest

from client import ConfigurationRefused
from client.address import DEFAULT_URL, resolve


@pytest.fixture
def local(tmp_path: Path) -> Path:
    (tmp_path / "var").mkdir()
    (tmp_path / "var/up.json").write_text('{"url": "http://127.0.0.1:5050/", "api_key": "local"}')
    return tmp_path


def test_given_address_wins(local: Path) -> None:
    """What is given is used, without its last slash."""
    address = resolve("https://a.example/sy/", "k", environ={"SWITCHYARD_URL": "http://b"}, directory=local)
    assert (address.url, address.api_key, address.socket_url) == ("https://a.example/sy", "k", "wss://a.example/sy")


def test_environment_comes_next(local: Path) -> None:
    """The two variables."""
    environ = {"SWITCHYARD_URL": "http://b", "SWITCHYARD_API_KEY": "k"}
    assert resolve(environ=environ, directory=local).api_key == "k"


def test_local_file_serves_an_empty_environment(local: Path) -> None:
    """A developer's shell in the checkout needs no exports."""
    address = resolve(environ={}, directory=local)
    assert (address.url, address.api_key) == ("http://127.0.0.1:5050", "local")


def test_local_key_never_goes_to_another_server(local: Path) -> None:
    """An address from elsewhere gets no key from the file."""
    assert resolve("http://elsewhere", environ={}, directory=local).api_key is None


def test_default_is_this_machine(tmp_path: Path) -> None:
    """Nothing set at all."""
    assert resolve(environ={}, directory=tmp_path).url == DEFAULT_URL


def test_key_stays_out_of_repr() -> None:
    """A printed address shows no secret."""
    assert "secret" not in repr(resolve("http://a", "secret"))


@pytest.mark.parametrize("url", ["ftp://a", "localhost:8000", "http://", "http://user:pw@a", "http://a/?q=1"])
def test_senseless_address_is_refused(url: str) -> None:
    """Bad values stop before the first call."""
    with pytest.raises(ConfigurationRefused):
        resolve(url, environ={})
