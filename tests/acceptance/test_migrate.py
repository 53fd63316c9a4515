"""docs/migrate.md and docs/quickstart.md do what they say: each example is run as it stands, against a whole house."""

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

_FENCED = re.compile(r"^```(python|bash)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
EXAMPLES = [
    (page, *example)
    for page in ("migrate", "quickstart")
    for example in _FENCED.findall((REPOSITORY / f"docs/{page}.md").read_text())
]


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


@pytest.mark.parametrize(("page", "least"), [("migrate", 10), ("quickstart", 4)])
def test_the_page_has_examples_of_both_ways(page: str, least: int) -> None:
    """What is looked for below is there."""
    languages = [language for of, language, _ in EXAMPLES if of == page]
    assert {"bash", "python"} == set(languages)
    assert least <= len(languages)


@pytest.mark.parametrize(
    ("page", "language", "code"),
    EXAMPLES,
    ids=[f"{page}-{n}-{language}" for n, (page, language, _) in enumerate(EXAMPLES)],
)
def test_example_does_what_it_says(
    environ: Mapping[str, str], shop: LocalShop, tmp_path: Path, page: str, language: str, code: str
) -> None:
    """Only the site's address is another; each is a program of its own, and its assertions hold."""
    if "jq" in code and shutil.which("jq") is None:
        pytest.skip(f"no jq here, which docs/{page}.md reads JSON with")
    code = code.replace("https://shop.example/", f"{shop.origin}/")
    command = (
        [sys.executable, "-W", "error", "-c", code]
        if language == "python"
        else ["bash", "-euo", "pipefail", "-c", code]
    )
    done = subprocess.run(command, env=environ, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=240)
    assert 0 == done.returncode, done.stderr
    assert done.stdout
