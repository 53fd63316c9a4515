"""What was made of a content is not made again, unless it was lost, damaged, or would be made otherwise now."""

import os
import time
from pathlib import Path

import pytest

from tasks.publishing.engine import memo as memo_module
from tasks.publishing.engine import optimising, references
from tasks.publishing.engine.memo import Memo
from tasks.publishing.engine.pages import packed, unpacked
from tests.publishing.bench import SITE, Bench


class Maker:
    """Counts how often it is asked."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> bytes:
        self.times += 1
        return b"made"


def test_it_is_made_once_for_each_step_and_key(tmp_path: Path) -> None:
    """Another process's memo of the same folder knows it, too."""
    make = Maker()
    for step, key, times in (("a", "x", 1), ("a", "x", 1), ("b", "x", 2), ("a", "y", 3)):
        assert b"made" == Memo(tmp_path).made(step, key, make)
        assert times == make.times


def test_what_is_damaged_is_made_again(tmp_path: Path) -> None:
    """Cut off, as after a loss of power, or changed."""
    make, memo = Maker(), Memo(tmp_path)
    memo.made("a", "x", make)
    (kept,) = tmp_path.glob("*/*")
    for damage in (kept.read_bytes()[:-1], b"", kept.read_bytes()[:-1] + b"?"):
        kept.write_bytes(damage)
        assert b"made" == memo.made("a", "x", make)
    assert 4 == make.times


def test_other_code_makes_it_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an earlier version made may not be what this one would."""
    make, memo = Maker(), Memo(tmp_path)
    memo.made("a", "x", make)
    monkeypatch.setattr(memo_module, "_recipe", lambda: "another")
    memo.made("a", "x", make)
    assert 2 == make.times


def test_what_was_not_used_for_a_month_goes(tmp_path: Path) -> None:
    """Use counts, not age."""
    make, memo = Maker(), Memo(tmp_path)
    for key in ("used", "unused"):
        memo.made("a", key, make)
    for path in tmp_path.glob("*/*"):
        os.utime(path, (time.time() - 40 * 86_400,) * 2)
    memo.made("a", "used", make)
    assert memo.sweep() > 0
    assert 1 == len(list(tmp_path.glob("*/*")))


def test_references_come_back_as_they_were_found() -> None:
    """All that rewriting needs of them."""
    found = references.in_page('<img srcset="a&amp;b.png 1x, c.png 2x"><script src=ü.js integrity=x></script>')
    assert found == unpacked(packed(found))


def test_an_unchanged_page_is_not_worked_on_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither read for references, minified nor compressed; the release is the same."""
    first = bench.publish()

    def fail(*_: object, **__: object) -> None:
        raise AssertionError("worked on again")

    monkeypatch.setattr(references, "in_page", fail)
    monkeypatch.setattr(references, "assets_in_page", fail)
    monkeypatch.setattr(optimising, "_minified", fail)
    monkeypatch.setattr(optimising, "_COMPRESSORS", {"br": fail, "gzip": fail})
    assert first.release == bench.publish().release
    with pytest.raises(AssertionError):
        bench.publish(SITE | {"new.html": "<p>new</p>"})


def test_what_the_place_has_lost_is_made_again(bench: Bench) -> None:
    """That it was made before is no reason to believe that it is still there."""
    first = bench.publish()
    contents = {path.name: path for path in (bench.folder / "places" / "docs" / "content").glob("*/*")}
    for path in contents.values():
        path.unlink()
    again = bench.publish()
    assert (first.release, len(contents)) == (again.release, again.uploaded_files)
    assert all(path.exists() for path in contents.values())
