"""``/api/sites``: what is live, what is kept, what changed, what must be sent; each tenant's apart."""

import hashlib
from datetime import timedelta
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from app import previews
from app.services import Services
from tasks.core.clock import now
from tasks.core.ledger.tenants import Tenant
from tasks.publishing.engine.places.folder import FolderPlace
from tasks.publishing.manifest import Stored
from tasks.publishing.release import Act
from tasks.publishing.sources import SourceStore
from tasks.publishing.store.records import LedgerRecords
from tests.app.conftest import Caller
from tests.publishing.releases import manifest_of, release_facts
from tests.samples import running

PATH = "/api/sites"
PREVIEWS = f"{PATH}/docs/previews"
ONE, TWO, THREE = manifest_of(index="one"), manifest_of(index="two", more="x"), manifest_of(index="three")


@pytest.fixture
def published(services: Services, alice: Caller) -> None:
    """Alice's ``docs``: the second release is live, the first was before it, the third is a preview."""
    ledger = services.kernel.ledger
    records, job = LedgerRecords(ledger), running(ledger, Tenant(alice.tenant_id, ""))
    for manifest in (ONE, TWO):
        records.keep(job, release_facts("docs", manifest, note="n"))
        records.mark_live(job, "docs", manifest.release, Act.PUBLISHED)
    records.keep(job, release_facts("docs", THREE, is_preview=True))


def test_sites_and_releases_are_listed_with_their_marks(published: None, alice: Caller, bob: Caller) -> None:
    """The newest first; a stranger sees nothing."""
    (site,) = alice.get(PATH).json["sites"]
    assert ("docs", "https://docs.example/", TWO.release, 3) == (
        site["name"], site["url"], site["live"]["release"], site["releases"],
    )  # fmt: skip
    assert site == alice.get(f"{PATH}/docs").json
    releases = alice.get(f"{PATH}/docs/releases").json["releases"]
    marks = {one["release"]: one["marks"] for one in releases}
    assert {TWO.release: ["live"], ONE.release: ["previous"], THREE.release: ["preview"]} == marks
    assert [] == bob.get(PATH).json["sites"]
    for path in ("docs", "docs/releases", f"docs/diff?old={ONE.release}&new={TWO.release}"):
        assert 404 == bob.get(f"{PATH}/{path}").status_code


def test_two_releases_are_compared(published: None, alice: Caller) -> None:
    """By their names, or the beginnings of these."""
    found = alice.get(f"{PATH}/docs/diff?old={ONE.release[:12]}&new={TWO.release}").json
    assert (["more.html"], ["index.html"], []) == (found["added"], found["changed"], found["removed"])
    assert (1, 1, 0, 4) == tuple(
        found[name] for name in ("added_count", "changed_count", "removed_count", "changed_bytes")
    )
    assert 404 == alice.get(f"{PATH}/docs/diff?old={'f' * 64}&new={TWO.release}").status_code
    for query in ("", "?old=%25&new=%25", f"?old={ONE.release}"):
        assert 422 == alice.get(f"{PATH}/docs/diff{query}").status_code
    assert 422 == alice.get(f"{PATH}/Docs").status_code


def test_only_what_is_missing_need_be_sent(services: Services, alice: Caller, bob: Caller, tmp_path: object) -> None:
    """Of the tenant and the site; what another has sent is nobody else's to know."""
    store = SourceStore(services.settings.resolved_publish_dir / alice.tenant_id, "docs")
    file = services.settings.state_dir / "file"
    file.write_bytes(b"content")
    known, unknown = store.add(file), "a" * 64
    for caller, site, missing in (
        (alice, "docs", [unknown]),
        (alice, "blog", [known, unknown]),
        (bob, "docs", [known, unknown]),
    ):
        answer = caller.post(f"{PATH}/{site}/missing", json={"contents": [known, unknown, unknown]})
        assert (200, missing) == (answer.status_code, answer.json["missing"])
    for body in ({}, {"contents": ["../x"]}, {"contents": ["a"], "x": 1}):
        assert 422 == alice.post(f"{PATH}/docs/missing", json=body).status_code


@pytest.fixture
def preview(services: Services, alice: Caller, published: None, tmp_path: Path) -> str:
    """The path of a link to the third release, whose page lies in Alice's place."""
    place = FolderPlace(services.settings.resolved_publish_dir / alice.tenant_id, "docs")
    (tmp_path / "page").write_text("three")
    place.put(Stored(hashlib.sha256(b"three").hexdigest(), 5), tmp_path / "page")
    place.prepare(THREE)
    made = alice.post(PREVIEWS, json={"release": THREE.release[:12], "expires_s": 600})
    assert (201, THREE.release) == (made.status_code, made.json["release"])
    path: str = made.json["path"]
    return path


def test_a_link_shows_a_release_that_is_not_live(preview: str, client: FlaskClient) -> None:
    """Without a key; in a sandbox, since its pages come from the address of the API, and kept by no cache of others."""
    for path in ("", "index.html"):
        answer = client.get(preview + path)
        assert (200, b"three", "text/html; charset=utf-8") == (answer.status_code, answer.data, answer.content_type)
        policy = answer.headers["Content-Security-Policy"]
        assert policy.startswith("sandbox ")
        assert "allow-same-origin" not in policy
        assert "private, no-cache" == answer.headers["Cache-Control"]
    assert 304 == client.get(preview, headers={"If-None-Match": answer.headers["ETag"]}).status_code
    for path in ("more.html", "../docs/pointer.json", "%2e%2e/pointer.json", "\u00fc%00"):
        assert 404 == client.get(preview + path).status_code


def test_a_link_ends(preview: str, client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """After its time, or with the release; nobody can make one, or another of one."""
    token = preview.split("/")[2]
    for other in (token[:-1], token + "x", "x", "x" * 2000, token.replace(token[5], "-")):
        assert "not_found" == client.get(f"/previews/{other}/").json["code"]
    later = now() + timedelta(seconds=601)
    with monkeypatch.context() as patch:
        patch.setattr(previews, "now", lambda: later)
        assert 404 == client.get(preview).status_code
    assert 200 == client.get(preview).status_code


def test_only_a_kept_release_of_ones_own_can_be_shown(
    services: Services, preview: str, alice: Caller, bob: Caller, client: FlaskClient
) -> None:
    """And no longer than it is kept."""
    assert 404 == bob.post(PREVIEWS, json={"release": THREE.release}).status_code
    assert 404 == alice.post(PREVIEWS, json={"release": "f" * 64}).status_code
    for body in ({}, {"release": THREE.release, "expires_s": 0}, {"release": "../.."}):
        assert 422 == alice.post(PREVIEWS, json=body).status_code
    FolderPlace(services.settings.resolved_publish_dir / alice.tenant_id, "docs").sweep(())
    assert 404 == client.get(preview).status_code
