"""Wagtail on the project in `wagtail_site`."""

import hashlib
import os
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib.metadata import version
from pathlib import Path

from tests.acceptance.targets.target import Account, Target, gunicorn, module, run, serving
from tests.servers import free_port

ACCOUNT = Account("editor", "reading-room-7", "/admin/login/")
_HERE = Path(__file__).parent


@contextmanager
def start(folder: Path) -> Iterator[Target]:
    """Start the site on a fresh copy of its database and files in ``folder``."""
    shutil.copytree(_built(), folder, dirs_exist_ok=True)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    _move_to(folder / "db.sqlite3", port)
    command = gunicorn("tests.acceptance.targets.wagtail_site.wsgi:application", port)
    with serving(command, env=_env(folder) | {"TARGET_URL": url}, folder=folder, url=url) as pid:
        yield Target("wagtail", url, ("/", "/admin/"), folder, (pid,), ACCOUNT)


def _move_to(database: Path, port: int) -> None:
    # A new project calls itself localhost, and its API says so in every link; who runs one sets that under Sites.
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE wagtailcore_site SET hostname = '127.0.0.1', port = ?", (port,))


def _built() -> Path:
    # Wagtail's migrations take some fifteen seconds, so what they make is kept beside the packages that it depends on.
    kept = Path(sys.prefix) / "targets" / f"wagtail-{_fingerprint()}"
    if not kept.exists():
        kept.parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept.parent) as temporary:
            site = Path(temporary) / "site"
            site.mkdir()
            run(module("wagtail.bin.wagtail", "start", "mysite", str(site)), env=_env(site))
            run(module("tests.acceptance.targets.wagtail_site.build"), env=_env(site))
            if not kept.exists():  # another test process may have been faster
                site.rename(kept)
    return kept


def _env(folder: Path) -> dict[str, str]:
    return {
        **os.environ,
        "TARGET_FOLDER": str(folder),
        "TARGET_PASSWORD": ACCOUNT.password,
        "PYTHONPATH": str(folder),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def _fingerprint() -> str:
    found = hashlib.sha256(" ".join(version(name) for name in ("wagtail", "django")).encode())
    for path in sorted([_HERE / "content.py", Path(__file__), *(_HERE / "wagtail_site").rglob("*.py")]):
        found.update(path.read_bytes())
    return found.hexdigest()[:16]
