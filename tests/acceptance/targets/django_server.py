"""Django's admin on the project in `library`."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.acceptance.targets.target import Account, Target, gunicorn, module, run, serving
from tests.servers import free_port

ACCOUNT = Account("librarian", "quiet-please-42", "/admin/login/")


@contextmanager
def start(folder: Path) -> Iterator[Target]:
    """Start the admin on a fresh database in ``folder``."""
    env = {**os.environ, "TARGET_FOLDER": str(folder), "TARGET_PASSWORD": ACCOUNT.password}
    run(module("tests.acceptance.targets.library.build"), env=env)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = gunicorn("tests.acceptance.targets.library.wsgi:application", port)
    with serving(command, env=env, folder=folder, url=url, ready=ACCOUNT.login_path) as pid:
        yield Target("django", url, ("/admin/",), folder, (pid,), ACCOUNT)
