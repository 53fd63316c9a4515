"""Which files of a folder are published, and how what the server lacks is packed."""

import hashlib
import tarfile
from pathlib import Path

import pytest

from client.site_files import files_of, pack


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ({}, {"a.html", "b.log", "sub/a.html", "sub/b.log", ".well-known/x"}),
        ({"": "*.log\n"}, {"a.html", "sub/a.html", ".well-known/x"}),
        ({"": "*.log\n", "sub": "!b.log\n"}, {"a.html", "sub/a.html", "sub/b.log", ".well-known/x"}),
        ({"": "/sub/\n# a.html\n"}, {"a.html", "b.log", ".well-known/x"}),
        ({"": "sub/*\n!sub/a.html\n"}, {"a.html", "b.log", "sub/a.html", ".well-known/x"}),
        ({"sub": "/a.html\n"}, {"a.html", "b.log", "sub/b.log", ".well-known/x"}),
    ],
)
def test_files_are_taken_as_git_would(tmp_path: Path, rules: dict[str, str], expected: set[str]) -> None:
    """Rules of a folder go before those above it; what git itself keeps is never taken."""
    for path in ("a.html", "b.log", "sub/a.html", "sub/b.log", ".git/config", ".well-known/x", "sub/.git"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(path)
    for folder, text in rules.items():
        (tmp_path / folder / ".gitignore").write_text(text)
    assert expected == files_of(tmp_path).keys()


def test_links_to_files_are_followed_and_links_to_folders_are_not(tmp_path: Path) -> None:
    """The latter may lead back to where one is."""
    (tmp_path / "a.html").write_text("text")
    (tmp_path / "b.html").symlink_to("a.html")
    (tmp_path / "again").symlink_to(tmp_path)
    (tmp_path / "gone").symlink_to("nowhere")
    found = files_of(tmp_path)
    assert {"a.html", "b.html"} == found.keys()
    assert (hashlib.sha256(b"text").hexdigest(), 4) == (found["b.html"].sha256, found["b.html"].size)


def test_the_same_files_make_the_same_archive(tmp_path: Path) -> None:
    """So that an upload that broke off goes on; each has the name that it is given."""
    for name in ("one", "two"):
        (tmp_path / name).write_text(name)
    wanted = {"x" * 64: tmp_path / "one", "y" * 64: tmp_path / "two"}
    for name in ("first", "second"):
        pack(wanted, tmp_path / name)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()
    with tarfile.open(tmp_path / "first") as tar:
        assert ["x" * 64, "y" * 64] == tar.getnames()
