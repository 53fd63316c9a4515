"""Several targets: what the operator's file may say, which site goes where, and a site that moves."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from tasks.core.errors import ConfigurationRefused
from tasks.core.settings import Settings, load_settings
from tasks.publishing.bucket import BucketAddress
from tasks.publishing.engine.homes import TargetUnknown
from tasks.publishing.engine.places.folder import FolderPlace
from tasks.publishing.engine.rollback import ReleaseUnknown
from tasks.publishing.engine.verifying import VerificationFailed
from tasks.publishing.targets import target_named, targets_of
from tests.publishing.bench import PAGE, SITE, Bench

CHANGED = SITE | {"index.html": PAGE.format("Changed")}
FILE = """
[target.eu]
sites = ["acme/docs", "acme/www-*"]
bucket = "pages/eu"
url = "https://s3.example"
key = "k"
secret = "hunter2"
caches = ["varnish:http://127.0.0.1:6081", "http:https://cdn.example/purge"]
cache_token = "hunter2"
[target.disk]
sites = ["*/docs"]
folder = "/srv/sites"
"""


def test_the_first_target_whose_pattern_is_met_has_the_site(tmp_path: Path) -> None:
    """By the tenant's name or its id; all others go where the other settings say; secrets show nowhere."""
    (tmp_path / "publishing.toml").write_text(FILE)
    settings = Settings(publish_file=tmp_path / "publishing.toml", state_dir=tmp_path, publish_bucket="own")
    for tenants, site, target in (
        (("id", "acme"), "docs", "eu"),
        (("acme", "x"), "www-1", "eu"),
        (("id", "other"), "docs", "disk"),
        (("id", "other"), "www-1", "default"),
    ):
        assert target == settings.publishing_file.target_for(tenants, site)
    targets = targets_of(settings)
    assert ["default", "eu", "disk"] == list(targets)
    assert BucketAddress("pages", "eu/", "https://s3.example", None, "k", "hunter2") == targets["eu"].bucket
    assert ("own", None, Path("/srv/sites")) == (
        targets["default"].bucket.name if targets["default"].bucket else None,
        targets["eu"].folder,
        targets["disk"].folder,
    )
    assert "hunter2" not in repr(targets) + repr(settings) + repr(settings.publishing_file)
    with pytest.raises(TargetUnknown, match="SWITCHYARD_PUBLISH_FILE"):
        target_named(settings, "us", site="docs")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[target.a", "is no TOML"),
        ('[target.a]\nsites = ["x/y"]', "target.a: needs either folder or bucket"),
        ('[target.a]\nsites = ["x/y"]\nfolder = "/a"\nbucket = "abc"', "target.a: needs either"),
        ('[target.a]\nsites = ["x/y"]\nfolder = "a"', "target.a.folder: 'a' is not an absolute path"),
        ('[target.a]\nsites = []\nfolder = "/a"', "target.a.sites: "),
        ('[target.a]\nsites = ["docs"]\nfolder = "/a"', "target.a.sites.0: 'docs' is not tenant/site"),
        ('[target.a]\nsites = ["x/y"]\nfolder = "/a"\nurl = "https://x"', "target.a: url belongs to a bucket"),
        ('[target.a]\nsites = ["x/y"]\nbucket = "abc"\nkey = "hunter2"', "target.a: key and secret"),
        ('[target.a]\nsites = ["x/y"]\nbucket = "abc"\nurl = "https://k:hunter2@s"', "no place for credentials"),
        ('[target.a]\nsites = ["x/y"]\nbucket = "abc"\nca_file = "/none"', "target.a.ca_file: '/none' is no file"),
        ('[target.a]\nsites = ["x/y"]\nfolder = "/a"\ncaches = ["x"]', "target.a.caches.0: 'x' is neither"),
        ('[target.a]\nsites = ["x/y"]\nfolder = "/a"\nother = "hunter2"', "target.a.other: Extra"),
        ('[target.A]\nsites = ["x/y"]\nfolder = "/a"', "target.A: "),
        ('[target.default]\nsites = ["x/y"]\nfolder = "/a"', "target.default: is the name"),
        (
            '[target.a]\nsites = ["x/y"]\nfolder = "/a"\n[target.b]\nsites = ["x/y"]\nfolder = "/b"',
            "target.b.sites: 'x/y' is named by 'a', too",
        ),
        (
            '[target.a]\nsites = ["x/y"]\nbucket = "abc"\n[target.b]\nsites = ["x/z"]\nbucket = "abc/b"',
            "target.b: lies in the same place as 'a'",
        ),
        ('[[git]]\nurl = "http://g"\ntenants = ["*"]\nuser = "u"\npassword = "hunter2"', "git.0.url: "),
        ('[[git]]\nurl = "https://g"\nuser = "u"\npassword = "hunter2"', "git.0.tenants: "),
        ('[[git]]\nurl = "https://g"\ntenants = ["*"]\npassword = "hunter2"', "git.0: user and password"),
        ('[[git]]\nurl = "https://g"\ntenants = ["*"]', "git.0: needs user and password, or ca_file"),
    ],
)
def test_what_the_file_may_not_say_stops_the_process_at_start(
    text: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each line names the setting, where in the file, and what to write instead; no secret is shown."""
    (tmp_path / "publishing.toml").write_text(text)
    monkeypatch.setenv("SWITCHYARD_PUBLISH_FILE", str(tmp_path / "publishing.toml"))
    with pytest.raises(ConfigurationRefused) as refused:
        load_settings()
    lines = refused.value.message.splitlines()
    assert all(line.startswith("SWITCHYARD_PUBLISH_FILE: ") for line in lines), lines
    assert any(words in line for line in lines), lines
    assert "hunter2" not in refused.value.message


def test_a_target_in_the_folder_of_the_others_is_refused(tmp_path: Path) -> None:
    """It would take the folder's tenants for its own; so is a file that is not there, and a plain store."""
    (tmp_path / "publishing.toml").write_text(f'[target.a]\nsites = ["x/y"]\nfolder = "{tmp_path}/sites/more"')
    with pytest.raises(ValueError, match="same place as 'default'"):
        Settings(publish_file=tmp_path / "publishing.toml", state_dir=tmp_path)
    with pytest.raises(ValueError, match="cannot be read"):
        Settings(publish_file=tmp_path / "none.toml")
    (tmp_path / "publishing.toml").write_text('[target.a]\nsites = ["x/y"]\nbucket = "abc"\nurl = "http://store"')
    with pytest.raises(ValueError, match=r"target\.a\.url: production uses https"):
        Settings(publish_file=tmp_path / "publishing.toml", environment="production")


class Spoiling(FolderPlace):
    """Serves something else than what was published."""

    def live_content(self, path: str) -> bytes:
        return b"spoilt"


def place_in(bench: Bench, target: str) -> FolderPlace:
    return FolderPlace(bench.folder / f"target-{target}", "docs")


def test_a_site_moves_with_its_next_publication_and_its_releases_follow(bench: Bench) -> None:
    """What differs is told against what visitors had; a rollback brings the older release, byte for byte."""
    first, before = bench.publish(), bench.tree()
    bench.target = "eu"
    moved = bench.publish(CHANGED)
    assert ("eu", first.release, 0, 1, 0) == (
        moved.target, moved.previous, moved.added, moved.changed, moved.removed,
    )  # fmt: skip
    site = bench.records.site(bench.job(), "docs")
    assert site is not None
    assert ("eu", moved.release, first.release) == (site.target, site.live, site.previous)
    eu = place_in(bench, "eu")
    assert moved.release == eu.pointer().release
    assert before == bench.tree(), "who still comes to the old place is served"
    back = bench.roll_back()
    assert ("eu", first.release, moved.release) == (back.target, back.release, back.previous)
    assert {path: eu.live_content(path) for path in eu.manifest(first.release).files} == {
        path: content for path, content in before.items() if not path.endswith((".br", ".gz"))
    }
    assert {"eu"} == {one.target for one in bench.records.kept(bench.job(), "docs")}
    bench.target = "default"
    home = bench.publish(CHANGED)
    assert ("default", moved.release) == (home.target, bench.place().pointer().release)
    assert "docs" == bench.roll_back().site


def test_the_very_same_bytes_move_too_and_old_ones_are_swept_where_they_lie(bench: Bench) -> None:
    """The release is one; a place that was left keeps what was live there, and no more than is kept."""
    bench.keep = 1
    bench.publish(SITE | {"index.html": PAGE.format("Zero")})
    first = bench.publish()
    bench.target = "eu"
    again = bench.publish()
    assert (first.release, first.release, 0) == (again.release, again.previous, again.changed)
    assert "eu" == bench.roll_back(release=first.release).target
    for title in ("One", "Two"):
        bench.publish(SITE | {"index.html": PAGE.format(title)})
    assert [first.release] == bench.place().releases()
    assert 2 == len(place_in(bench, "eu").releases())


@pytest.mark.parametrize("files", [CHANGED, SITE])
def test_a_move_that_does_not_verify_leaves_the_site_where_it_was(bench: Bench, files: Any) -> None:
    """Rollbacks go on there, and the next publication moves it."""
    first = bench.publish()
    bench.target = "eu"
    with pytest.MonkeyPatch.context() as patch:
        bench.place_type = Spoiling
        patch.setattr("tasks.publishing.engine.verifying._PATIENCE_S", 0.2)
        with pytest.raises(VerificationFailed, match="stays live in the target 'default'"):
            bench.publish(files)
    bench.place_type = FolderPlace
    site = bench.records.site(bench.job(), "docs")
    assert site is not None
    assert ("default", first.release) == (site.target, site.live)
    with pytest.raises(ReleaseUnknown):
        bench.roll_back()
    assert ("eu", first.release) == ((moved := bench.publish(CHANGED)).target, moved.previous)


def test_a_site_can_leave_a_place_that_is_lost(bench: Bench) -> None:
    """All files count as new; a rollback to what was there is refused as the place says."""
    bench.target = "eu"
    first = bench.publish()
    shutil.rmtree(bench.folder / "target-eu")
    bench.target = "us"
    moved = bench.publish()
    assert ("us", first.release) == (moved.target, moved.previous)
    changed = bench.publish(CHANGED)
    assert (moved.release, 1) == (changed.previous, changed.changed)
    assert moved.release == bench.roll_back().release


def test_a_target_that_is_gone_is_named(bench: Bench) -> None:
    """A rollback there is refused; a publication goes where the site belongs now."""
    bench.target = "eu"
    first = bench.publish()
    bench.target, bench.gone = "us", {"eu"}
    with pytest.raises(TargetUnknown, match="eu"):
        bench.roll_back(release=first.release)
    moved = bench.publish(CHANGED)
    assert ("us", first.release) == (moved.target, moved.previous)
    assert moved.added > 0
    with pytest.raises(TargetUnknown, match="eu"):
        bench.roll_back()
