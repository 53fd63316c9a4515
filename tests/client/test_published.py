"""What the command says of a publication that has ended."""

from typing import Any

from client.command.published import differing, told
from client.sites import ReleaseDiff

RESULT: dict[str, Any] = {
    "site": "docs",
    "release": "a" * 64,
    "previous": "b" * 64,
    "url": "https://docs.example/",
    "live": True,
    "files": 3,
    "size_bytes": 2048,
    "source_bytes": 4096,
    "compressed_bytes": 1024,
    "added": 1,
    "changed": 2,
    "removed": 0,
    "generated": ["404.html"],
    "image_copies": 4,
    "faults": {"broken_link": 12},
    "findings": [{"fault": "broken_link", "path": f"{n}.html", "message": "x.html is not there."} for n in range(12)],
    "stages": {"validating": 0.5, "building": 0.001},
}


def test_a_publication_is_told_in_a_few_lines() -> None:
    """Where it is, what changed, what was made, what took long, and the first findings."""
    lines = list(told(RESULT))
    assert [
        "live      aaaaaaaaaaaa at https://docs.example/ (before: bbbbbbbbbbbb)",
        "changes   +1 ~2 -0 files",
        "size      3 files, 2.0 KiB, 1.0 KiB compressed; as they came 4.0 KiB",
        "made      404.html",
        "pictures  4 copies",
        "took      0.5 s: validating 0.5 s",
        "found     12 broken_link",
        "          broken_link 0.html: x.html is not there.",
    ] == lines[:8]
    assert (18, "          … all are in the artifact checks.json") == (len(lines), lines[-1])


def test_a_preview_says_how_it_is_shown_and_made_live() -> None:
    """And what was live before says nothing of it."""
    lines = list(told(RESULT | {"live": False}))
    assert "switchyard preview docs aaaaaaaaaaaa" in lines[0]
    assert "switchyard rollback docs --to aaaaaaaaaaaa" in lines[1]


def test_a_rollback_and_the_same_again_are_told() -> None:
    """A rollback has no files of its own; nothing may have been there before."""
    rollback = {name: RESULT[name] for name in ("site", "release", "added", "changed", "removed", "stages")}
    assert "live      aaaaaaaaaaaa (before: nothing)" == next(told(rollback | {"previous": None}))
    in_target = next(told(rollback | {"previous": None, "target": "eu"}))
    assert "live      aaaaaaaaaaaa in the target eu (before: nothing)" == in_target
    assert "live      aaaaaaaaaaaa (as before)" == next(told(rollback | {"previous": "a" * 64}))


def test_a_difference_names_its_paths() -> None:
    """With what became of each; what is no plain text cannot write to a terminal."""
    diff = ReleaseDiff(added=("n\x1b.html",), removed=("o.html",), added_count=1, removed_count=1, changed_bytes=10)
    lines = list(differing(diff))
    assert ["- o.html", "+1 ~0 -1 files, 10 B new or changed"] == lines[1:]
    assert "\x1b" not in lines[0]
