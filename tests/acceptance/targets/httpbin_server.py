"""httpbin under gunicorn, as its documentation runs it, from the environment that `make setup` gives it."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.acceptance.targets.target import Target, gunicorn, serving
from tests.servers import free_port

INTERPRETER = Path(sys.prefix) / "targets" / "httpbin" / "bin" / "python"


@contextmanager
def start(folder: Path) -> Iterator[Target]:
    """Start httpbin; it keeps nothing in ``folder`` but its log.

    Raises:
        RuntimeError: its environment is missing.
    """
    if not INTERPRETER.exists():
        raise RuntimeError(f"no {INTERPRETER}: `make setup` makes it")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [str(INTERPRETER), *gunicorn("httpbin:app", port)[1:]]
    with serving(command, env=os.environ, folder=folder, url=url) as pid:
        yield Target("httpbin", url, ("/", "/forms/post"), folder, (pid,))
