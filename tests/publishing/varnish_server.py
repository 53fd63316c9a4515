"""A real Varnish with the generated configuration."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tasks.publishing.varnish import varnish_config
from tests.publishing.visitors import answers
from tests.samples import eventually

VARNISH = shutil.which("varnishd") or shutil.which("/usr/sbin/varnishd")


@contextmanager
def varnish_serving(folder: Path, *, port: int, origin: int) -> Iterator[str]:
    """Run it at ``port`` of loopback, before what is served at the port ``origin`` there; yield its address."""
    site = f"http://127.0.0.1:{port}/"
    (folder / "site.vcl").write_text(varnish_config(host="127.0.0.1", port=origin))
    command = [str(VARNISH), "-F", "-n", str(folder / "varnish"), "-a", f"127.0.0.1:{port}", "-j", "none"]
    options = ["-f", str(folder / "site.vcl"), "-s", "malloc,16m", "-p", "thread_pool_min=5"]
    log = folder / "varnish.log"
    with log.open("wb") as out, subprocess.Popen([*command, *options], stdout=out, stderr=out) as varnish:
        try:
            assert eventually(lambda: answers(site), within_s=60), log.read_text()
            yield site
        finally:
            varnish.terminate()
