"""A site from an archive, a list of files or a folder to a live release, and back."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tasks.core.errors import JobSuperseded
from tasks.core.ledger.audit import Wanted, entries
from tasks.publishing.contract import Fault, SiteRequest, Stage
from tasks.publishing.engine.announcing import page_urls
from tasks.publishing.engine.archives import ArchiveRefused
from tasks.publishing.engine.checking import CheckFailed
from tasks.publishing.engine.intake import SourceRefused
from tasks.publishing.engine.names import NameRefused
from tasks.publishing.engine.places.folder import FolderPlace
from tasks.publishing.engine.rollback import ReleaseUnknown
from tasks.publishing.engine.verifying import VerificationFailed
from tests.publishing.bench import PAGE, SITE, UPLOAD, Bench, listed, tarred

CHANGED = SITE | {"index.html": PAGE.format("Changed")}


def test_addresses_of_pages_that_changed_are_told() -> None:
    """As visitors write them; null where nobody knows the address, or they are too many."""
    paths = ["index.html", "a b/index.htm", "other.html", "style.css", "404.html"]
    assert ("https://a.example/x/", "https://a.example/x/a%20b/", "https://a.example/x/other.html") == page_urls(
        "https://a.example/x", paths
    )
    assert page_urls(None, paths) is None
    assert page_urls("https://a.example/", []) == ()
    assert page_urls("https://a.example/", [f"{number}.html" for number in range(1002)]) is None
    assert page_urls("https://a.example/", [f"{number:0100}.html" for number in range(600)]) is None


def test_a_site_goes_live_with_all_that_it_lacked(bench: Bench) -> None:
    """Smaller, fingerprinted, compressed, with a page for 404; each stage is timed and reported in order."""
    job = bench.job()
    result = bench.publish(job=job, url=None, by="alice", note="first")
    tree = bench.tree()
    assert {"index.html", "other.html", "404.html", "robots.txt", "actions.json", "index.html.br"} <= tree.keys()
    assert "sitemap.xml" not in tree, "nobody knows the address"
    assert ("404.html", "actions.json", "robots.txt", "site.speculationrules") == result.generated
    assert re.search(rb"style\.[0-9a-f]{12}\.css", tree["index.html"])
    assert len(tree["index.html"]) < len(SITE["index.html"].encode())
    assert [*Stage][1:] == list(result.stages)
    assert [*Stage][1:] == list(dict.fromkeys(report.stage for report in job.reports))
    assert (None, True, result.files, 0, 0) == (
        result.previous, result.live, result.added, result.changed, result.removed,
    )  # fmt: skip
    assert {} == result.faults
    assert result.verified >= 4
    (event,) = job.emissions.emitted
    assert ("site.published", result.release, "publish") == (event.type, event.data["release"], event.data["cause"])
    assert {"findings": []} == json.loads(job.saved["checks.json"])
    site = bench.records.site(job, "docs")
    assert site is not None
    assert result.release == site.live


def test_the_same_again_uploads_nothing_and_is_the_same_release(bench: Bench) -> None:
    """What changed is named, and only that is brought; who made it, and what it changed, stays on record."""
    first, again = bench.publish(by="ann", note="one"), bench.publish()
    (kept,) = bench.records.kept(bench.job(), "docs")
    assert ("ann", "one", first.added) == (kept.by, kept.note, kept.added)
    other = bench.publish(CHANGED)
    assert (first.release, 0, 0, 0) == (again.release, again.uploaded_files, again.changed, again.added)
    assert (1, first.release) == (other.changed, other.previous)
    assert (None, None) == (other.changed_urls, other.removed_urls), "nobody has told the address"
    assert 0 < other.uploaded_files <= 3, "the page and its two compressed forms"


def test_rollback_brings_the_very_same_bytes(bench: Bench) -> None:
    """To the release before, and again to the one before that; or to one by its name."""
    first = bench.publish()
    before = bench.tree()
    second = bench.publish(CHANGED)
    after = bench.tree()
    assert before != after
    result = bench.roll_back()
    assert (first.release, second.release, 1) == (result.release, result.previous, result.changed)
    assert before == bench.tree()
    assert second.release == bench.roll_back().release
    assert after == bench.tree()
    job = bench.job()
    assert first.release == bench.roll_back(job, release=first.release).release
    assert "rollback" == job.emissions.emitted[0].data["cause"]


def test_rollback_refuses_what_is_not_there(bench: Bench) -> None:
    """No site, no earlier release, no such release."""
    with pytest.raises(ReleaseUnknown, match="no site"):
        bench.roll_back()
    bench.publish()
    for request in ({}, {"release": "f" * 64}):
        with pytest.raises(ReleaseUnknown):
            bench.roll_back(**request)


def test_a_preview_changes_nothing_until_it_is_made_live(bench: Bench) -> None:
    """Then it is the very same release."""
    bench.publish()
    before = bench.tree()
    preview = bench.publish(CHANGED, intent="preview")
    assert (False, before) == (preview.live, bench.tree())
    assert preview.release == bench.roll_back(release=preview.release).release
    assert b"Changed" in bench.tree()["index.html"]


def test_what_was_sent_before_is_not_sent_again(bench: Bench) -> None:
    """By a list of hashes, and an archive of what the server lacked."""
    source = {"files": {"upload": UPLOAD.format(1)}, "contents": {"upload": UPLOAD.format(2)}}
    first = bench.job(files1=listed(SITE), contents2=tarred(SITE))
    bench.publisher()(SiteRequest.model_validate({"site": "docs", "source": source}), first)
    bench.end(first)
    hashes = {path: sha256 for path, (sha256, _) in json.loads(listed(CHANGED))["files"].items()}
    assert [hashes["index.html"]] == bench.sources().lacks(hashes.values())
    second = bench.job(files1=listed(CHANGED), contents2=tarred({"any name": CHANGED["index.html"]}))
    bench.publisher()(SiteRequest.model_validate({"site": "docs", "source": source}), second)
    assert b"Changed" in bench.tree()["index.html"]
    assert [] == bench.sources().lacks(hashes.values())


@pytest.mark.parametrize(
    "text",
    [
        b"no json",
        b'{"files": {"a.html": ["../../../../etc/passwd", 1]}}',
        json.dumps({"files": {"../a": ["a" * 64, 1]}}).encode(),
        json.dumps({"files": {"a": ["a" * 64, 1], "A": ["a" * 64, 1]}}).encode(),
        json.dumps({"files": {"a": ["a" * 64, 1]}}).encode(),
        json.dumps({"files": {"a": ["a" * 64, 2**50]}}).encode(),
        json.dumps({"files": {}}).encode(),
    ],
)
def test_a_list_that_cannot_be_meant_is_refused(bench: Bench, text: bytes) -> None:
    """A path that leads out, two that clash, a content that was never sent, no file at all."""
    job = bench.job(files1=text)
    request = SiteRequest.model_validate({"site": "docs", "source": {"files": {"upload": UPLOAD.format(1)}}})
    with pytest.raises((SourceRefused, NameRefused)):
        bench.publisher()(request, job)
    assert not bench.live.exists()


def test_only_folders_that_the_operator_allowed_are_read(bench: Bench, tmp_path: Path) -> None:
    """Not through a link either, and no link in one; what a working copy has along stays out."""
    allowed, other = tmp_path / "allowed", tmp_path / "other"
    for folder in (allowed / "docs" / ".git", other):
        folder.mkdir(parents=True)
        (folder / "index.html").write_text(PAGE.format("One"))
    (allowed / "docs" / "index.html").write_text(PAGE.format("One").replace("other.html", "#"))
    (allowed / "out").symlink_to(other)
    bench.folders = (allowed,)
    for folder in (other, allowed / "out", allowed / ".." / "other", allowed / "absent"):
        with pytest.raises(SourceRefused):
            bench.publish(source={"folder": str(folder)})
    bench.publish(source={"folder": str(allowed / "docs")})
    assert not [path for path in bench.tree() if path.startswith(".git")]
    (allowed / "docs" / "secret.html").symlink_to("/etc/passwd")
    with pytest.raises(SourceRefused, match="link"):
        bench.publish(source={"folder": str(allowed / "docs")})


def test_a_hostile_archive_changes_nothing(bench: Bench) -> None:
    """The named error, no file outside, the old release live."""
    bench.publish()
    before = bench.tree()
    for files, error in (
        ({"../out.html": "x"}, NameRefused),
        ({"a": "1", "A": "2"}, NameRefused),
        ({}, ArchiveRefused),
    ):
        with pytest.raises(error):
            bench.publish(files)
    assert before == bench.tree()
    assert not list(bench.folder.rglob("out.html"))


def test_findings_are_told_and_end_what_the_request_says(bench: Bench) -> None:
    """Secrets do by themselves; a broken link where it is asked for."""
    job = bench.job()
    files = SITE | {"bad.html": '<html><p><a href="gone.html">x</a><img src="no.png"><a href="other.html#here">y</a>'}
    result = bench.publish(files, job)
    assert {Fault.BROKEN_LINK: 1, Fault.MISSING_ASSET: 1} == result.faults
    assert 2 == len(json.loads(job.saved["checks.json"])["findings"])
    before = bench.tree()
    for more, options in (
        ({".env": "PASSWORD=x"}, {}),
        ({}, {"refuse": ["broken_link"]}),
        ({}, {"refuse": ["too_large"], "max_file_bytes": 30}),
        ({}, {"refuse": ["heavy_page"], "max_page_requests": 1}),
        ({}, {"refuse": ["heavy_page"], "max_page_bytes": 10}),
        ({}, {"refuse": ["over_budget"], "budgets": [{"requests": {"style": 0}}]}),
    ):
        with pytest.raises(CheckFailed):
            bench.publish(files | more, options=options)
    assert before == bench.tree()


def test_old_releases_go_and_what_only_they_had(bench: Bench) -> None:
    """The newest stay, the live one and the one before in any case."""
    bench.keep = 2
    texts = [SITE | {"index.html": PAGE.format(f"Version {n} {'x' * 300}")} for n in range(4)]
    results = [bench.publish(files) for files in texts]
    assert 2 == results[-1].kept
    assert {one.release for one in results[-2:]} == set(bench.place().releases())
    contents = {path.name for path in (bench.folder / "places" / "docs" / "content").glob("*/*")}
    needed = {
        stored.sha256 for release in bench.place().releases() for stored in bench.place().manifest(release).all_stored()
    }
    assert needed == contents


class Spoiling(FolderPlace):
    """Serves something else than what was published, as a wrong configuration does, from the second release on."""

    def live_content(self, path: str) -> bytes:
        content = super().live_content(path)
        return b"spoilt" if b"Changed" in content else content


def test_a_release_that_does_not_verify_is_taken_back(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was live before is live again, in the place and in the records; the job fails and says so."""
    monkeypatch.setattr("tasks.publishing.engine.verifying._PATIENCE_S", 0.3)
    zeroth, first = bench.publish(SITE | {"new.html": PAGE.format("Zeroth")}), bench.publish()
    before = bench.tree()
    bench.place_type = Spoiling
    job = bench.job()
    with pytest.raises(VerificationFailed, match="is live again"):
        bench.publish(CHANGED, job)
    assert before == bench.tree()
    site = bench.records.site(job, "docs")
    assert site is not None
    assert (first.release, zeroth.release) == (site.live, site.previous), "nobody goes back to what failed"
    assert [] == job.emissions.emitted
    written = [(one.what, one.details["after"]) for one in entries(bench.ledger, Wanted(subject="docs"), limit=2)]
    assert ("site.taken_back", first.release) == written[0]
    assert "site.published" == written[1][0]
    bench.end(job)
    bench.place_type = FolderPlace
    assert first.release == bench.publish(CHANGED).previous, "a later job goes on"


def test_a_superseded_attempt_cannot_activate(bench: Bench) -> None:
    """Another claim owns the job while it works: nothing of it goes live."""
    bench.publish()
    before = bench.tree()

    class Overtaken(type(bench.job())):  # type: ignore[misc]
        is_over = False

        def report(self, stage: str, *args: Any, **more: Any) -> None:
            if stage == Stage.UPLOADING and not self.is_over:
                self.is_over = True
                bench.end(self)
            super().report(stage, *args, **more)

    job = bench.job(make=Overtaken)
    with pytest.raises(JobSuperseded):
        bench.publish(CHANGED, job)
    assert before == bench.tree()


def test_actions_hints_and_a_sitemap_are_made(bench: Bench, tmp_path: Path) -> None:
    """What the site lacks and only that; pages are told of the style sheets that theirs import."""
    from tasks.publishing.engine.generating import generate
    from tasks.publishing.engine.pages import pages_of
    from tasks.publishing.engine.tree import Tree

    files = {
        "index.html": PAGE.format("One"),
        "sub/index.html": '<html><head><link rel="stylesheet" href="../style.css"></head><body>x</body></html>',
        "hidden.html": '<html><head><meta name="robots" content="noindex"></head></html>',
        "style.css": '@import url("base.css"); @import "print.css" print; p{}',
        "base.css": "@charset 'utf-8'; @import 'deep.css'; p{}",
        "deep.css": "p{}",
        "print.css": "p{}",
        "robots.txt": "mine",
    }
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    given = Tree.of_folder(tmp_path)
    tree, made = generate(
        given,
        pages_of(given, bench.memo()),
        site="docs",
        url="https://docs.example/",
        actions=[{"name": "search"}],
        memo=bench.memo(),
        checkpoint=lambda: None,
    )
    assert ["404.html", "actions.json", "site.speculationrules", "sitemap.xml"] == made
    assert b"mine" == tree["robots.txt"].read()
    assert ["search"] == [one["name"] for one in json.loads(tree["actions.json"].read())["tools"]]
    urls = re.findall("<loc>(.*?)</loc>", tree["sitemap.xml"].read().decode())
    assert ["https://docs.example/", "https://docs.example/sub/"] == urls
    hints = re.findall('rel="preload" as="style" href="(.*?)"', tree["sub/index.html"].read().decode())
    assert ["../base.css", "../deep.css"] == hints


def test_a_browser_needs_an_address(bench: Bench) -> None:
    """Which nobody has told yet."""
    with pytest.raises(SourceRefused, match="address"):
        bench.publish(smoke="browser")
    assert not bench.live.exists()
