"""That the settings reach all who need the bucket: the worker's task, the web's previews, the command line."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.factory import create_app
from app.services import Services, services_of
from tasks.core.ledger.tenants import Tenant, create_key, tenant_of
from tasks.core.settings import Settings
from tasks.publishing.engine.places.bucket import BucketPlace
from tasks.publishing.engine.places.folder import FolderPlace
from tasks.publishing.engine.places.place import Turn
from tasks.publishing.homes import KernelHomes, git_access
from tasks.publishing.manifest import Stored
from tasks.publishing.store.records import LedgerRecords
from tests.fakes import FakeJob
from tests.publishing.bucket_server import KEY, SECRET, BucketServer, Road
from tests.publishing.releases import manifest_of, release_facts
from tests.samples import running

SHOWN = manifest_of(index="three")


@pytest.fixture
def environ(bucket_server: BucketServer, road: Road, tmp_path: Path) -> dict[str, str]:
    """As an operator sets it."""
    return {
        "SWITCHYARD_STATE_DIR": str(tmp_path / "state"),
        "SWITCHYARD_PROFILE": "local",
        "SWITCHYARD_PUBLISH_BUCKET": f"{bucket_server.new_bucket()}/pages",
        "SWITCHYARD_PUBLISH_BUCKET_URL": road.url,
        "SWITCHYARD_PUBLISH_BUCKET_KEY": KEY,
        "SWITCHYARD_PUBLISH_BUCKET_SECRET": SECRET,
    }


@pytest.fixture
def services(environ: dict[str, str]) -> Iterator[Services]:
    """A front door with that bucket."""
    settings = Settings(**{name.removeprefix("SWITCHYARD_").lower(): value for name, value in environ.items()})
    services = services_of(create_app(settings))
    yield services
    services.close()


def test_what_a_worker_puts_there_is_shown_as_a_preview_and_served(
    services: Services, environ: dict[str, str], road: Road, tmp_path: Path
) -> None:
    """The task opens the tenant's own place; the web reads it; a bucket that is away is a 503 that names no key."""
    kernel = services.kernel
    key = create_key(kernel.ledger, tenant="acme", name="test")
    tenant = tenant_of(kernel.ledger, key)
    assert tenant is not None
    row = running(kernel.ledger, Tenant(tenant.id, ""))
    place = KernelHomes(kernel).wanted(FakeJob(tmp_path, None, id=row.id), "docs").place  # type: ignore[arg-type]
    assert isinstance(place, BucketPlace)
    LedgerRecords(kernel.ledger).keep(row, release_facts("docs", SHOWN, is_preview=True))
    (tmp_path / "page").write_text("three")
    place.put(Stored(hashlib.sha256(b"three").hexdigest(), 5), tmp_path / "page")
    place.prepare(SHOWN)
    client = create_app(services.settings).test_client()
    asked = {"json": {"release": SHOWN.release}, "headers": {"Authorization": f"Bearer {key}"}}
    path = client.post("/api/sites/docs/previews", **asked).json["path"]
    answer = client.get(path)
    assert (200, b"three", "private, no-cache") == (answer.status_code, answer.data, answer.headers["Cache-Control"])
    place.sweep([])
    road.trouble = lambda _method, _path: "denied"
    other = create_app(services.settings).test_client()
    refused = other.get(path)
    assert (503, "place_refused") == (refused.status_code, refused.json["code"])
    assert SECRET not in refused.text
    assert KEY not in refused.text


def test_a_declared_target_reaches_worker_web_and_command(environ: dict[str, str], tmp_path: Path) -> None:
    """By the tenant's name; the web shows its previews, and the command finds the site where it lies."""
    text = '[target.disk]\nsites = ["acme/docs"]\nfolder = "{}"\ncaches = ["varnish:http://127.0.0.1:6081"]\n'
    text += '[[git]]\nurl = "https://git.example/"\ntenants = ["acme"]\nuser = "u"\npassword = "hunter2"\n'
    (tmp_path / "publishing.toml").write_text(text.format(tmp_path / "disk"))
    environ = environ | {"SWITCHYARD_PUBLISH_FILE": str(tmp_path / "publishing.toml")}
    settings = Settings(**{name.removeprefix("SWITCHYARD_").lower(): value for name, value in environ.items()})
    services = services_of(create_app(settings))
    kernel = services.kernel
    tenants = [tenant_of(kernel.ledger, create_key(kernel.ledger, tenant=name, name="k")) for name in ("acme", "other")]
    rows = [running(kernel.ledger, Tenant(one.id, "")) for one in tenants if one]
    jobs = [FakeJob(tmp_path, None, id=row.id) for row in rows]  # type: ignore[arg-type]
    homes = KernelHomes(kernel)
    home, others = (homes.wanted(job, "docs") for job in jobs)
    assert ("disk", 1, FolderPlace) == (home.target, len(home.caches.all), type(home.place))
    assert ("default", 0, BucketPlace) == (others.target, len(others.caches.all), type(others.place))
    access = [git_access(kernel, job, "https://git.example/docs.git") for job in jobs]
    assert [("u", "hunter2"), (None, None)] == [(one.user, one.password) for one in access]
    (tmp_path / "page").write_text("three")
    home.place.put(Stored(hashlib.sha256(b"three").hexdigest(), 5), tmp_path / "page")
    home.place.prepare(SHOWN)
    home.place.activate(SHOWN.release, Turn(rows[0].id, 1))
    LedgerRecords(kernel.ledger).keep(rows[0], release_facts("docs", SHOWN, target="disk"))
    key = create_key(kernel.ledger, tenant="acme", name="more")
    client = create_app(settings).test_client()
    signed = {"Authorization": f"Bearer {key}"}
    made = client.post("/api/sites/docs/previews", json={"release": SHOWN.release}, headers=signed)
    assert b"three" == client.get(made.json["path"]).data
    assert "disk" == client.get("/api/sites/docs", headers=signed).json["target"]
    services.close()
    command = [sys.executable, "-m", "workers", "site", "docs", "--nginx", "docs.example"]
    printed = subprocess.run(command, env=os.environ | environ, capture_output=True, text=True, check=False)
    assert (0, True) == (printed.returncode, f'root "{tmp_path}/disk/' in printed.stdout)
    command += ["--target", "none"]
    refused = subprocess.run(command, env=os.environ | environ, capture_output=True, text=True, check=False)
    assert (2, True) == (refused.returncode, "'none' is none of default, disk" in refused.stderr)


def test_the_command_prints_nginx_for_an_edge_and_says_what_is_not_there(environ: dict[str, str]) -> None:
    """Without a look at the bucket for the first."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "workers", *arguments]
        return subprocess.run(command, env=os.environ | environ, capture_output=True, text=True, check=False)

    printed = run("site", "docs", "--nginx", "docs.example", "--edge", "127.0.0.1:8123")
    assert (0, True) == (printed.returncode, "server 127.0.0.1:8123;" in printed.stdout)
    missing = run("edge", "docs")
    assert 1 == missing.returncode
    assert "0 tenants have a site 'docs'" in missing.stderr
    assert SECRET not in missing.stdout + missing.stderr
