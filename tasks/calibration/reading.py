"""Tables of deaths as people send them: text or bytes, whatever the encoding, the separator and the blank lines."""

import base64
import binascii
import csv
import io
from dataclasses import dataclass

MAX_ROWS = 200_000
_SEPARATORS = ",;\t|"
# A sane cell is a name or a number; the csv module's own limit is 128 KiB.
_MAX_CELL = 500


class TableRefused(ValueError):
    """The text is no table we can read; says where and why."""


@dataclass(frozen=True, slots=True)
class Table:
    """``rows`` holds (line number in the text, cells); cells have no outer blanks and are as many as in ``header``."""

    header: tuple[str, ...]
    rows: tuple[tuple[int, tuple[str, ...]], ...]


def decode_base64(encoded: str) -> str:
    """Return the text of a file sent as base64.

    Raises:
        TableRefused: not base64, or no text.
    """
    try:
        content = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as exc:
        raise TableRefused(f"is not base64: {exc}") from exc
    return decode(content)


def decode(content: bytes) -> str:
    """Return the text of ``content``: by its byte order mark, else UTF-8, else Windows-1252.

    Raises:
        TableRefused: it holds bytes that no text has.
    """
    encoding = "utf-16" if content.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as exc:
        if encoding == "utf-16":
            raise TableRefused(f"begins like UTF-16 and is not: {exc.reason} at byte {exc.start}") from exc
        text = content.decode("cp1252", errors="replace")
        if "\ufffd" in text:
            raise TableRefused(f"is neither UTF-8 nor Windows-1252 text (byte {exc.start})") from exc
    return text


def read_table(text: str) -> Table:
    """Read a table with a header line; blank lines are passed over.

    Raises:
        TableRefused: empty, binary, over the limits, or lines with more or fewer cells than the header.
    """
    text = text.removeprefix("\ufeff")
    if "\0" in text:
        raise TableRefused("holds a zero byte: send a CSV file, not a spreadsheet or an archive")
    lines = _lines(text, _separator(text))
    if not lines:
        raise TableRefused("is empty: the first line names the columns, such as ID,cause")
    header = lines[0][1]
    _check_header(header)
    rows = lines[1:]
    if not rows:
        raise TableRefused("has a header and no rows")
    uneven = [line for line, cells in rows if len(cells) != len(header)]
    if uneven:
        raise TableRefused(f"has {len(header)} columns, but not on {numbered(uneven, 'line')}")
    return Table(header, tuple(rows))


def numbered(lines: list[int], word: str) -> str:
    """Name lines, the first ten of them: ``lines 3, 7 and 9``."""
    shown = [str(line) for line in lines[:10]]
    rest = f" and {len(lines) - 10} more" if len(lines) > 10 else ""
    joined = ", ".join(shown) if rest or len(shown) < 2 else f"{', '.join(shown[:-1])} and {shown[-1]}"
    return f"{word}{'s' if len(lines) > 1 else ''} {joined}{rest}"


def _separator(text: str) -> str:
    first = next((line for line in text.splitlines() if line.strip(_SEPARATORS + ' "')), "")
    return max(_SEPARATORS, key=lambda separator: (_outside_quotes(first, separator), -_SEPARATORS.index(separator)))


def _outside_quotes(line: str, separator: str) -> int:
    return sum(part.count(separator) for part in line.split('"')[::2])


def _lines(text: str, separator: str) -> list[tuple[int, tuple[str, ...]]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    lines: list[tuple[int, tuple[str, ...]]] = []
    before = 0
    try:
        for cells in reader:
            line, before = before + 1, reader.line_num
            stripped = tuple(cell.strip() for cell in cells)
            if not any(stripped):
                continue
            if any(len(cell) > _MAX_CELL for cell in stripped):
                raise TableRefused(f"has a cell of over {_MAX_CELL} characters on line {line}")
            lines.append((line, stripped))
            if len(lines) > MAX_ROWS + 1:
                raise TableRefused(f"has over {MAX_ROWS:,} rows: send counts instead of single deaths")
    except csv.Error as exc:
        raise TableRefused(f"breaks off at line {before + 1}: {exc}; a quote may not be closed") from exc
    return lines


def _check_header(header: tuple[str, ...]) -> None:
    if len(header) < 2:
        raise TableRefused(
            f"has one column, {header[0][:60]!r}: columns are separated by a comma, a semicolon, a tab or a bar"
        )
    names = [name.casefold() for name in header]
    twice = sorted({name for name in names if names.count(name) > 1 and name})
    if twice:
        raise TableRefused(f"names the column {twice[0]!r} twice")
    if "" in names[1:]:  # the first may be R's row names
        raise TableRefused(f"has no name for column {names[1:].index('') + 2}")
