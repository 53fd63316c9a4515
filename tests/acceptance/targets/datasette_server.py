"""Datasette on a library's tables; its JSON twin tells what every page ought to show."""

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from tests.acceptance.targets import content
from tests.acceptance.targets.target import Target, module, serving
from tests.servers import free_port

_SCHEMA = """
CREATE TABLE authors (id INTEGER PRIMARY KEY, name TEXT NOT NULL, born INTEGER NOT NULL);
CREATE TABLE books (
  id INTEGER PRIMARY KEY, title TEXT NOT NULL, author INTEGER NOT NULL REFERENCES authors (id), genre TEXT NOT NULL,
  published INTEGER NOT NULL, pages INTEGER NOT NULL, isbn TEXT NOT NULL
);
CREATE TABLE loans (
  id INTEGER PRIMARY KEY, book INTEGER NOT NULL REFERENCES books (id), reader TEXT NOT NULL,
  lent_on TEXT NOT NULL, due_on TEXT NOT NULL, returned INTEGER NOT NULL
);
CREATE TABLE wishes (id INTEGER PRIMARY KEY, title TEXT NOT NULL, reader TEXT NOT NULL);
CREATE VIRTUAL TABLE books_fts USING fts5 (title, genre, content="books", content_rowid="id");
"""
METADATA = {
    "title": "A small library",
    "databases": {
        "library": {
            "tables": {
                "books": {"description": "Every book of the library", "facets": ["genre"], "label_column": "title"},
                "authors": {"label_column": "name"},
            },
            "queries": {
                "books_by_year": {
                    "title": "Books between two years",
                    "sql": "select title, published from books where published between :first and :last",
                },
                "add_wish": {
                    "title": "Wish for a book",
                    "sql": "insert into wishes (title, reader) values (:title, :reader)",
                    "write": True,
                },
            },
        }
    },
}


@contextmanager
def start(folder: Path) -> Iterator[Target]:
    """Start Datasette on a fresh database in ``folder``."""
    _fill(folder / "library.db")
    (folder / "metadata.json").write_text(json.dumps(METADATA))
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = module("datasette", "serve", str(folder / "library.db"), "--metadata", str(folder / "metadata.json"))
    options = ["--host", "127.0.0.1", "--port", str(port)]
    with serving([*command, *options], env=os.environ, folder=folder, url=url) as pid:
        yield Target("datasette", url, ("/",), folder, (pid,))


def _fill(path: Path) -> None:
    books = content.books()
    authors = {name: number for number, name in enumerate(dict.fromkeys(book.author for book in books), start=1)}
    born = {book.author: book.born for book in books}
    with closing(sqlite3.connect(path)) as database, database:
        database.executescript(_SCHEMA)
        database.executemany(
            "INSERT INTO authors VALUES (?, ?, ?)", [(number, name, born[name]) for name, number in authors.items()]
        )
        database.executemany(
            "INSERT INTO books VALUES (?, ?, ?, ?, ?, ?, ?)",
            [(b.number, b.title, authors[b.author], b.genre, b.year, b.pages, b.isbn) for b in books],
        )
        database.executemany(
            "INSERT INTO loans (book, reader, lent_on, due_on, returned) VALUES (?, ?, ?, ?, ?)",
            [(o.book, o.reader, o.lent_on.isoformat(), o.due_on.isoformat(), o.is_returned) for o in content.loans()],
        )
        database.execute("INSERT INTO wishes (title, reader) VALUES ('Solaris', 'Elif Kaya')")
        database.execute("INSERT INTO books_fts (books_fts) VALUES ('rebuild')")
