"""Stored sign-ins are encrypted, by keys that can be replaced."""

from collections.abc import Callable

import pytest
from cryptography.fernet import Fernet

from tasks.core.errors import ConfigurationRefused, NotAllowed, Permanent
from tasks.core.sealing import Sealer, sealer_from
from tasks.core.settings import Settings, load_settings

STATE = b'{"cookies": [{"name": "sid", "value": "s3cret"}]}'


def key() -> str:
    return Fernet.generate_key().decode()


def test_what_is_sealed_shows_nothing_and_opens_again() -> None:
    """The secret is not in the sealed bytes, and comes back whole."""
    sealer = Sealer((key(),))
    sealed = sealer.seal(STATE)
    assert b"s3cret" not in sealed
    assert STATE == sealer.open_sealed(sealed)


def test_a_new_key_opens_what_the_old_one_sealed_and_seals_it_anew() -> None:
    """With the new key first both open; what was sealed anew needs the old one no more."""
    old, new = key(), key()
    sealed = Sealer((old,)).seal(STATE)
    anew = Sealer((new, old)).reseal(sealed)
    assert STATE == Sealer((new, old)).open_sealed(sealed)
    assert STATE == Sealer((new,)).open_sealed(anew)


def test_another_key_or_a_changed_byte_opens_nothing() -> None:
    """Neither guesses nor tampering give a state."""
    sealer = Sealer((key(),))
    sealed = sealer.seal(STATE)
    for opener, tried in ((Sealer((key(),)), sealed), (sealer, sealed[:-5] + b"AAAA="), (sealer, b"nothing")):
        with pytest.raises(Permanent, match="SWITCHYARD_SESSION_KEY"):
            opener.open_sealed(tried)


def test_without_a_key_nothing_is_kept(make_settings: Callable[..., Settings]) -> None:
    """The refusal names the setting."""
    sealer = sealer_from(make_settings())
    assert not sealer.can_seal
    with pytest.raises(NotAllowed, match="SWITCHYARD_SESSION_KEY"):
        sealer.seal(STATE)


def test_settings_list_keys_and_refuse_what_is_none(
    make_settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys are separated by commas; a wrong one stops the process at its start and is not printed."""
    first, second = key(), key()
    assert (first, second) == make_settings(session_key=f"{first}, {second}").session_keys
    monkeypatch.setenv("SWITCHYARD_SESSION_KEY", f"{first},short")
    with pytest.raises(ConfigurationRefused) as refused:
        load_settings()
    assert "session_key" in str(refused.value).lower()
    assert first not in str(refused.value)
