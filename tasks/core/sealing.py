"""Encryption at rest for what is worth stealing: sign-in states of sites.

Fernet (AES-128-CBC with HMAC-SHA256, cryptography's recipe). Several keys may be given: the first one seals, all of
them open, so that a key is replaced by putting the new one before it and sealing anew.
"""

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from tasks.core.errors import NotAllowed, Permanent
from tasks.core.settings import Settings


class Sealer:
    """Seals bytes and opens what was sealed. ``keys`` are Fernet's: 32 bytes each, in URL-safe base64."""

    def __init__(self, keys: tuple[str, ...]) -> None:
        self._keys = MultiFernet([Fernet(key) for key in keys]) if keys else None

    @property
    def can_seal(self) -> bool:
        """Whether there is a key."""
        return self._keys is not None

    def seal(self, content: bytes) -> bytes:
        """Return ``content`` encrypted by the first key.

        Raises:
            NotAllowed: there is no key.
        """
        return self._ring().encrypt(content)

    def open_sealed(self, sealed: bytes) -> bytes:
        """Return what was sealed by any of the keys.

        Raises:
            NotAllowed: there is no key.
            Permanent: none of them fits, or the bytes were changed.
        """
        try:
            return self._ring().decrypt(sealed)
        except InvalidToken as exc:
            raise Permanent(
                "A stored sign-in state cannot be opened: none of the keys in SWITCHYARD_SESSION_KEY fits. "
                "Put the key that sealed it back behind the new one, or store the sign-in again."
            ) from exc

    def reseal(self, sealed: bytes) -> bytes:
        """Return ``sealed`` under the first key, whichever key it was under; its time stays.

        Raises:
            NotAllowed, Permanent: as ``open_sealed``.
        """
        try:
            return self._ring().rotate(sealed)
        except InvalidToken as exc:
            raise Permanent("A stored sign-in state cannot be sealed anew: none of the keys fits.") from exc

    def _ring(self) -> MultiFernet:
        if self._keys is None:
            raise NotAllowed("Sign-in states are not kept here: set SWITCHYARD_SESSION_KEY to keep them encrypted.")
        return self._keys


def sealer_from(settings: Settings) -> Sealer:
    """Return the sealer that the operator's keys make."""
    return Sealer(settings.session_keys)
