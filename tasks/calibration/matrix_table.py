"""Matrices from a table with one line a cell, as ``switchyard matrices import`` takes it."""

import math

from tasks.calibration.inventory import Draft, Inventory, InventoryRefused, Key, Names, finished
from tasks.calibration.reading import Table, TableRefused, numbered, read_table

KEYS = ("age_group", "algorithm", "country", "true_cause", "va_cause")
NUMBERS = {"prior": "dirichlet", "fixed": "postmean"}
_ABSENT = frozenset({"", "na", "nan"})
_LAYOUT = f"{', '.join(KEYS)}, and {' or '.join(NUMBERS.values())} or both"


def read_matrices(text: str, names: Names) -> Inventory:
    """Return the matrices of a table with the columns ``KEYS`` and at least one of ``NUMBERS``.

    Raises:
        InventoryRefused: the table is not of this layout, or a line of it is wrong.
    """
    try:
        table = read_table(text)
    except TableRefused as exc:
        raise InventoryRefused([f"The table {exc}."]) from exc
    columns = {name.casefold(): position for position, name in enumerate(table.header)}
    absent = [name for name in KEYS if name not in columns]
    if absent or not columns.keys() & set(NUMBERS.values()):
        wanted = absent or list(NUMBERS.values())
        raise InventoryRefused([f"There is no column {' or '.join(wanted)}: the columns are {_LAYOUT}."])
    drafts, problems = _drafts(table, columns, names)
    if problems:
        raise InventoryRefused(problems)
    other = [name for name in table.header if name and name.casefold() not in {*KEYS, *NUMBERS.values()}]
    notes = [f"Columns that were left out: {', '.join(other)}."] if other else []
    return finished(drafts.values(), NUMBERS, notes=notes)


def _drafts(table: Table, columns: dict[str, int], names: Names) -> tuple[dict[Key, Draft], list[str]]:
    drafts: dict[Key, Draft] = {}
    problems: list[str] = []
    refused: dict[tuple[str, str], list[int]] = {}
    seen: dict[tuple[Key, tuple[str, str]], int] = {}
    for line, cells in table.rows:
        found = _names_of(line, {name: cells[columns[name]] for name in KEYS}, names, refused)
        if found is None:
            continue
        key, cell = found
        if (key, cell) in seen:
            problems.append(
                f"Line {line}: repeats line {seen[key, cell]} ({', '.join((*key, *cell))}): remove one of the two."
            )
            continue
        seen[key, cell] = line
        draft = drafts.setdefault(key, Draft(key, ", ".join(key)))
        for kind, column in NUMBERS.items():
            if column in columns:
                number = _number(line, column, cells[columns[column]], problems)
                if number is not None:
                    (draft.prior if kind == "prior" else draft.fixed)[cell] = number
    bad_names = [f"{numbered(lines, 'Line')}, column {column}: {why}" for (column, why), lines in refused.items()]
    return drafts, bad_names + problems


def _names_of(
    line: int, given: dict[str, str], names: Names, refused: dict[tuple[str, str], list[int]]
) -> tuple[Key, tuple[str, str]] | None:
    read: dict[str, str] = {}
    for column in KEYS:
        try:
            if column in ("true_cause", "va_cause"):
                if "age_group" in read:
                    read[column] = names.cause(given[column], read["age_group"])
            else:
                read[column] = getattr(names, column)(given[column])
        except ValueError as exc:
            refused.setdefault((column, str(exc)), []).append(line)
    if len(read) < len(KEYS):
        return None
    return (read["age_group"], read["algorithm"], read["country"]), (read["true_cause"], read["va_cause"])


def _number(line: int, column: str, text: str, problems: list[str]) -> float | None:
    if text.casefold() in _ABSENT:
        return None
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        problems.append(
            f"Line {line}, column {column}: {text[:60]!r} is no number: write it like 0.25, or leave it empty."
        )
        return None
    return number
