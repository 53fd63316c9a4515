"""A crawl's pages as files of one's own."""

import json
import random
import sqlite3
import zipfile
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

from tasks.crawling.page_files import pages_in, write_database, zipped

AT = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
PAGES = [
    {"url": "https://a.example/", "title": "Home", "text": "# Home\n\nHello.", "status": 200, "depth": 0},
    {"url": "https://a.example/docs/Intro.html?v=2", "title": 'A "title"\nof two lines', "text": "x", "links": ["y"]},
    {"url": "https://a.example/docs/intro.html%3Fv=2", "title": None, "text": ""},
    {"url": "https://a.example/../../etc/passwd/..", "title": "", "text": "z"},
]


def test_pages_are_files_of_markdown() -> None:
    """Each under a name of its own, none outside of the folder; the same pages make the same zip."""
    made = b"".join(zipped(iter(PAGES), at=AT))
    with zipfile.ZipFile(BytesIO(made)) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        home = archive.read("a.example/index.md").decode()
        second = archive.read(names[1]).decode()
    assert '---\ntitle: "Home"\nurl: "https://a.example/"\n---\n\n# Home\n\nHello.\n' == home
    assert 'title: "A \\"title\\" of two lines"' in second
    assert len(PAGES) == len({name.casefold() for name in names})
    assert not [name for name in names if ".." in name.split("/") or not name.startswith("a.example/")]
    assert made == b"".join(zipped(iter(PAGES), at=AT))


def test_a_zip_is_given_while_pages_are_read() -> None:
    """What was given does not wait for what was not read, so that memory does not grow with the site."""
    read = 0

    def many() -> Iterator[dict[str, str]]:
        nonlocal read
        for number in range(200):
            read += 1
            text = random.Random(number).randbytes(4000).hex()
            yield {"url": f"https://a.example/{number}", "text": text}

    pieces = zipped(many(), at=AT)
    first = next(pieces)
    assert 0 < read < 200
    with zipfile.ZipFile(BytesIO(first + b"".join(pieces))) as archive:
        assert 200 == len(archive.namelist())


def test_pages_are_rows_of_a_database(tmp_path: Path) -> None:
    """With every field in ``record``."""
    lines = [json.dumps(page).encode() + b"\n" for page in PAGES]
    write_database(pages_in(lines), tmp_path / "kept.sqlite")
    with closing(sqlite3.connect(tmp_path / "kept.sqlite")) as database:
        rows = database.execute("SELECT url, title, depth, record FROM pages ORDER BY rowid").fetchall()
    assert [page["url"] for page in PAGES] == [row[0] for row in rows]
    assert ("Home", 0) == rows[0][1:3]
    assert PAGES == [json.loads(row[3]) for row in rows]
