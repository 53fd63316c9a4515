"""Private servers for tests: a Redis and a PostgreSQL cluster on free ports, thrown away afterwards."""

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import psycopg
import redis

# Below what Linux gives to outgoing connections: one of those could take the port before its server binds it, or while
# a server that a test has stopped is away.
_PORTS = range(15000, 32000)


def free_port() -> int:
    """Return a TCP port that nobody listens on; drawn, so that tests in other processes hardly choose the same."""
    while True:
        port = secrets.choice(_PORTS)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class RedisServer:
    """One redis-server without persistence; it can be frozen, stopped and started again."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.client = redis.Redis(port=self.port, decode_responses=True, socket_timeout=5)
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        if self.process is not None:
            return
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", "/tmp"]
        self.process = subprocess.Popen(["redis-server", *options], stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            try:
                self.client.ping()
            except redis.RedisError:
                time.sleep(0.02)
            else:
                return
        raise RuntimeError("redis-server did not come up")

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def freeze(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def restore(self) -> None:
        """Running and empty, whatever the last test did."""
        if self.process is not None:
            self.thaw()
        self.start()
        self.client.flushall()

    def close(self) -> None:
        self.stop()
        self.client.close()


class PostgreSQL:
    """One cluster, owned by somebody other than root, because the server refuses to run as root."""

    def __init__(self) -> None:
        self.port = free_port()
        self._folder = Path(tempfile.mkdtemp(prefix="switchyard-pg-"))
        self._as: dict[str, object] = {}
        if os.geteuid() == 0:
            owner = pwd.getpwnam("nobody")
            os.chown(self._folder, owner.pw_uid, owner.pw_gid)
            self._as = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
        options = ["-D", str(self._data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
        self._run(["initdb", *options])
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    @staticmethod
    def is_installed() -> bool:
        return shutil.which("initdb") is not None and shutil.which("postgres") is not None

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    def _run(self, command: list[str]) -> None:
        subprocess.run(command, cwd="/", check=True, stdout=subprocess.DEVNULL, **self._as)

    def start(self) -> None:
        options = ["-D", str(self._data), "-p", str(self.port), "-h", "127.0.0.1", "-k", "", "-F"]
        self.process = subprocess.Popen(
            ["postgres", *options], cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **self._as
        )
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                psycopg.connect(self._conninfo("postgres"), connect_timeout=2).close()
            except psycopg.OperationalError:
                time.sleep(0.05)
            else:
                return
        raise RuntimeError("postgres did not come up")

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGQUIT)  # immediate: connections are cut
            self.process.wait(timeout=20)
            self.process = None

    def _conninfo(self, database: str) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def execute(self, statement: str, *, database: str = "postgres") -> None:
        with psycopg.connect(self._conninfo(database), autocommit=True) as connection:
            connection.execute(statement)

    def create(self, database: str) -> str:
        """Make an empty database and return its SQLAlchemy URL."""
        self.execute(f"CREATE DATABASE {database}")
        return f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/{database}"

    def close(self) -> None:
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)
