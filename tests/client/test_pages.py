"""A crawl's pages as files of one's own."""

import json
import sqlite3
import zipfile
from contextlib import closing
from pathlib import Path

import pytest

from client.pages import PagesFormat, format_of, write_pages

PAGES = [
    {"url": "https://a.example/", "title": "Home", "text": "# Home\n\nHello.", "status": 200, "depth": 0},
    {"url": "https://a.example/docs/Intro.html?v=2", "title": 'A "title"\nof two lines', "text": "x", "links": ["y"]},
    {"url": "https://a.example/docs/intro.html%3Fv=2", "title": None, "text": ""},
    {"url": "https://a.example/../../etc/passwd/..", "title": "", "text": "z"},
]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "pages.jsonl"
    path.write_text("".join(json.dumps(page) + "\n" for page in PAGES))
    return path


def test_lines_are_kept_as_they_are(source: Path, tmp_path: Path) -> None:
    """Byte by byte."""
    write_pages(source, tmp_path / "kept.jsonl", PagesFormat.JSONL)
    assert source.read_bytes() == (tmp_path / "kept.jsonl").read_bytes()


def test_pages_are_files_of_markdown(source: Path, tmp_path: Path) -> None:
    """Each under a name of its own, none outside of the folder."""
    write_pages(source, tmp_path / "kept.zip", PagesFormat.MARKDOWN)
    with zipfile.ZipFile(tmp_path / "kept.zip") as archive:
        names = archive.namelist()
        home = archive.read("a.example/index.md").decode()
        second = archive.read(names[1]).decode()
    assert '---\ntitle: "Home"\nurl: "https://a.example/"\n---\n\n# Home\n\nHello.\n' == home
    assert 'title: "A \\"title\\" of two lines"' in second
    assert len(PAGES) == len({name.casefold() for name in names})
    assert not [name for name in names if ".." in name.split("/") or not name.startswith("a.example/")]


def test_pages_are_rows_of_a_database(source: Path, tmp_path: Path) -> None:
    """With every field in ``record``."""
    write_pages(source, tmp_path / "kept.sqlite", PagesFormat.SQLITE)
    with closing(sqlite3.connect(tmp_path / "kept.sqlite")) as database:
        rows = database.execute("SELECT url, title, depth, record FROM pages ORDER BY rowid").fetchall()
    assert [page["url"] for page in PAGES] == [row[0] for row in rows]
    assert ("Home", 0) == rows[0][1:3]
    assert PAGES == [json.loads(row[3]) for row in rows]


def test_half_a_file_has_no_name(tmp_path: Path) -> None:
    """A crawl's file that breaks off leaves what was there, and nothing beside it."""
    source, target = tmp_path / "pages.jsonl", tmp_path / "kept.zip"
    source.write_text(json.dumps(PAGES[0]) + '\n{"url"')
    target.write_text("before")
    with pytest.raises(ValueError, match="line"):
        write_pages(source, target, PagesFormat.MARKDOWN)
    assert ["kept.zip", "pages.jsonl"] == sorted(path.name for path in tmp_path.iterdir())
    assert "before" == target.read_text()


def test_the_ending_says_which_format() -> None:
    """And another one is refused."""
    assert [PagesFormat.MARKDOWN, PagesFormat.SQLITE] == [format_of(Path("a.ZIP")), format_of(Path("a.db"))]
    with pytest.raises(ValueError, match=r"\.sqlite"):
        format_of(Path("a.csv"))
