"""The installation's one secret, from which others are derived: signatures of tokens, keys that seal."""

import os
import secrets
from pathlib import Path

from tasks.core.settings import Settings

_KEY_FILE = "secret-key"
_KEY_BYTES = 32


def secret_key(settings: Settings) -> str:
    """Return ``settings.secret_key``, or in development one that is made once and kept in the state folder."""
    if settings.secret_key is not None:
        return settings.secret_key.get_secret_value()
    path = settings.state_dir / _KEY_FILE
    if not path.exists():
        _make_key(path)
    return path.read_text()


def _make_key(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:  # noqa: PTH123  # sets the mode at birth
        file.write(secrets.token_urlsafe(_KEY_BYTES))
    try:
        # Of several processes that start at once, one wins, and no one reads a half-written key.
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
