"""A private PostgreSQL cluster with the server's own defaults: every commit reaches the disk."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from bench.house import free_port


def is_installed() -> bool:
    """Tell whether the server's programs are on the PATH."""
    return shutil.which("initdb") is not None and shutil.which("postgres") is not None


@contextmanager
def cluster() -> Iterator[str]:
    """Run a cluster and give the URL of an empty database."""
    port, folder = free_port(), Path(tempfile.mkdtemp(prefix="switchyard-bench-pg-"))
    user: dict[str, Any] = {}
    if os.geteuid() == 0:  # the server refuses to run as root
        owner = pwd.getpwnam("nobody")
        os.chown(folder, owner.pw_uid, owner.pw_gid)
        user = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
    data, quiet = str(folder / "data"), subprocess.DEVNULL
    init = ["initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C"]
    subprocess.run(init, cwd="/", check=True, stdout=quiet, **user)
    command = ["postgres", "-D", data, "-p", str(port), "-h", "127.0.0.1", "-k", "", "-c", "max_connections=300"]
    server = subprocess.Popen(command, cwd="/", stdout=quiet, stderr=quiet, **user)
    try:
        _await(port)
        yield f"postgresql+psycopg://postgres@127.0.0.1:{port}/postgres"
    finally:
        server.send_signal(signal.SIGINT)  # fast shutdown
        server.wait(timeout=60)
        shutil.rmtree(folder, ignore_errors=True)


def _await(port: int) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            psycopg.connect(f"host=127.0.0.1 port={port} user=postgres dbname=postgres", connect_timeout=2).close()
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return
