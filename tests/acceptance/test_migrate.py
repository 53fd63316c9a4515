"""docs/migrate.md does what it says: each of its examples is run as it stands, against the whole of Switchyard."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from client import Limits
from client.local_server import LocalServer
from tests.acceptance.conftest import Yard
from tests.discovery.local_shop import LocalShop
from tests.integration.processes import REPOSITORY

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.xdist_group("yard"),
    pytest.mark.skipif(shutil.which("chromium") is None, reason="no Chromium here: make setup installs it"),
]

PAGE = (REPOSITORY / "docs/migrate.md").read_text()
EXAMPLES = re.findall(r"^```(python|bash)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def environ(yard: Yard, shop: LocalShop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    """A person's shell: a server and a key, and a folder for a server of one's own."""
    own = tmp_path_factory.mktemp("own") / "local"
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SWITCHYARD_")}
    yield kept | {
        "SWITCHYARD_URL": yard.url,
        "SWITCHYARD_API_KEY": yard.key,
        "SWITCHYARD_LOCAL_DIR": str(own),
        "SWITCHYARD_EGRESS_ALLOW": shop.endpoint,
        "PYTHONPATH": str(REPOSITORY),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    LocalServer(own, Limits()).stop()


def test_the_page_has_examples_of_both_ways() -> None:
    """What is looked for below is there."""
    assert ["bash", "python"] == sorted({language for language, _ in EXAMPLES})
    assert 7 <= len(EXAMPLES)


@pytest.mark.parametrize(("language", "code"), EXAMPLES, ids=[f"{n}-{one[0]}" for n, one in enumerate(EXAMPLES)])
def test_example_does_what_it_says(
    environ: Mapping[str, str], shop: LocalShop, tmp_path: Path, language: str, code: str
) -> None:
    """Only the site's address is another; each is a program of its own, and its assertions hold."""
    code = code.replace("https://shop.example/", f"{shop.origin}/")
    command = [sys.executable, "-W", "error", "-c", code] if language == "python" else ["bash", "-euc", code]
    done = subprocess.run(command, env=environ, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=240)
    assert 0 == done.returncode, done.stderr
    assert done.stdout
