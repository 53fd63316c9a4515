"""``switchyard publish`` as a person runs it: a folder goes live, changes, and goes back; real Redis, real worker."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from client import Switchyard
from tests.acceptance.conftest import Yard
from tests.integration.processes import REPOSITORY
from tests.publishing.bench import SITE
from tests.publishing.test_building import MKDOCS

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("yard")]


def test_a_folder_is_published_changed_and_taken_back(yard: Yard, client: Switchyard, tmp_path: Path) -> None:
    """What ``.gitignore`` names stays out, a second time only what changed is sent, and the first bytes come back."""
    folder = tmp_path / "site"
    (folder / "drafts").mkdir(parents=True)
    for path, text in SITE.items():
        (folder / path).write_text(text)
    (folder / "drafts" / "x.html").write_text("<p>draft</p>")
    (folder / ".gitignore").write_text("drafts/\n")

    def run(*arguments: object, status: int | None = 0) -> dict[str, Any]:
        environ = os.environ | {
            "SWITCHYARD_URL": yard.url,
            "SWITCHYARD_API_KEY": yard.key,
            "PYTHONPATH": str(REPOSITORY),
        }
        command = [sys.executable, "-m", "client.command", "--json", *map(str, arguments)]
        done = subprocess.run(command, env=environ, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert status in (None, done.returncode), done.stderr + done.stdout
        answer: dict[str, Any] = json.loads((done.stdout or done.stderr).splitlines()[-1])
        return answer

    published = run("publish", folder, "--site", "docs", "--note", "first", "--follow")["record"]
    first = published["result"]
    assert ("succeeded", "docs", None, 0) == (
        published["state"],
        published["site"],
        first["previous"],
        first["changed"],
    )
    (live,) = (yard.state_dir / "sites").glob("*/docs/live")
    assert not (live / "drafts").exists()
    before = (live / "index.html").read_bytes()
    (folder / "index.html").write_text(SITE["index.html"].replace("First", "Changed"))
    sent = client.sites.publish(folder, "docs")
    assert (3, 1) == (sent.files, sent.missing)
    assert 1 == client.result(sent.job.id, timeout_s=60)["changed"]
    assert b"Changed" in (live / "index.html").read_bytes()
    found = run("releases", "docs")["releases"]
    assert [["live"], ["previous"]] == [one["marks"] for one in found]
    back = run("rollback", "docs", "--wait", 60)
    assert (first["release"], before) == (back["result"]["release"], (live / "index.html").read_bytes())
    assert ["index.html"] == run("releases", "docs", "--diff", *(one["release"][:12] for one in found))["changed"]
    assert 1 == client.sites.diff("docs", found[0]["release"], found[1]["release"]).changed_count
    project = tmp_path / "project"
    for path, text in MKDOCS.items():
        (project / path).parent.mkdir(parents=True, exist_ok=True)
        (project / path).write_text(text)
    built = run("publish", project, "--site", "built", "--recipe", "mkdocs", "--wait", 120)
    assert ("mkdocs", 0) == (built["result"]["recipe"], built["result"]["faults"].get("broken_link", 0))
    assert any("Documentation built" in line.line for line in client.logs(built["id"]))
    address = ("--git", "https://127.0.0.1:1/x", "--commit")
    denied = run("publish", *address, "a" * 40, "--site", "built", "--wait", 60, status=1)
    assert "egress_refused" == denied["error"]["code"]
    assert "git rev-parse main" in json.dumps(run("publish", *address, "main", "--site", "built", status=None))
    event = client.wait_for_event("site.published", timeout_s=30, job_id=back["id"])
    assert (first["release"], "rollback") == (event.data["release"], event.data["cause"])
