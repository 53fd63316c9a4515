"""Deaths of one algorithm, in each shape they come in, counted by cause."""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from tasks.calibration.causes import UNASSIGNED, cause_table, normalised, other_age_of, seeming_age
from tasks.calibration.reading import Table, TableRefused, numbered

MAX_COUNT = 10_000_000
_ID_COLUMNS = {"id"}
_CAUSE_COLUMNS = ("cause", "cause1")
_COUNT_COLUMNS = {"count", "counts", "deaths", "n"}
_INTEGER = re.compile(r"[+-]?\d{1,12}(?:\.0+)?")
# Rows of probabilities may be rounded.
_SUM_TOLERANCE = 0.02
_MOST_NAMED = 10


class DeathsRefused(ValueError):
    """The deaths cannot be counted; ``problems`` says everything that is wrong with them."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__(" ".join(problems))
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class Labelled:
    """One label a death. ``places`` are the numbers by which messages name rows: ``word`` 3."""

    ids: tuple[str, ...]
    labels: tuple[str, ...]
    places: tuple[int, ...]
    word: str


@dataclass(frozen=True, slots=True)
class Shares:
    """Per death one number for each of ``labels``: 0 or 1, or probabilities."""

    labels: tuple[str, ...]
    rows: tuple[tuple[float, ...], ...]
    places: tuple[int, ...]
    word: str


@dataclass(frozen=True, slots=True)
class Totals:
    """Deaths by label."""

    counts: Mapping[str, int]


Deaths = Labelled | Shares | Totals


@dataclass(frozen=True, slots=True)
class Tally:
    """``counts`` by cause; ``names_all``: causes not named have no deaths, else the named ones are all there are."""

    counts: Mapping[str, int]
    names_all: bool
    dropped: Mapping[str, int] = field(default_factory=dict)


class CauseNames:
    """Finds the cause that a label means: by the caller's own map, by its name, by the age group's table."""

    def __init__(self, causes: Sequence[str], *, own: Mapping[str, str], age_group: str | None) -> None:
        self.age_group = age_group
        self._causes = {normalised(cause): cause for cause in causes}
        table = cause_table(age_group) if age_group else {}
        self._broad = {label: self._causes[broad] for label, broad in table.items() if broad in self._causes}
        self._elsewhere = {label: broad for label, broad in table.items() if broad not in self._causes}
        self._own = {normalised(label): self._causes[normalised(cause)] for label, cause in own.items()}

    def find(self, label: str) -> str | None:
        """Return the cause, or None where the label says that none was assigned.

        Raises:
            KeyError: nobody knows the label.
        """
        name = normalised(label)
        for names in (self._own, self._causes, self._broad):
            if name in names:
                return names[name]
        if name in UNASSIGNED:
            return None
        raise KeyError(label)

    def hint(self, label: str) -> str:
        """Say what may have been meant by an unknown label."""
        name = normalised(label)
        if name in self._elsewhere:
            return f"it belongs to {self._elsewhere[name]!r}, which is none of the causes here."
        known = {**self._broad, **self._causes, **self._own}
        near = get_close_matches(name[:100], known, n=1)
        return f"did you mean {near[0]!r}? Else add it to cause_map." if near else "add it to cause_map."


def from_table(table: Table) -> Deaths:
    """Tell by the header what a table holds.

    Raises:
        TableRefused: its columns are none we know, or cells are no numbers where numbers belong.
    """
    columns = [name.casefold() for name in table.header]
    places = tuple(line for line, _ in table.rows)
    cause = next((columns.index(name) for name in _CAUSE_COLUMNS if name in columns), None)
    count = next((index for index, name in enumerate(columns) if name in _COUNT_COLUMNS), None)
    identity = next((index for index, name in enumerate(columns) if name in _ID_COLUMNS), None)
    if cause is not None and identity is not None:
        _refuse_other_columns(table, {cause, identity})
        cells = [cells for _, cells in table.rows]
        return Labelled(tuple(row[identity] for row in cells), tuple(row[cause] for row in cells), places, "line")
    if cause is not None and count is not None:
        _refuse_other_columns(table, {cause, count})
        return _totals_of(table, cause=cause, count=count)
    if cause is not None:
        raise TableRefused("has a cause column; it needs a column ID beside it, or a column count")
    return _shares_of(table, identity)


def _refuse_other_columns(table: Table, known: set[int]) -> None:
    other = [name for index, name in enumerate(table.header) if index not in known]
    if other:
        raise TableRefused(f"has columns that mean nothing here: {', '.join(map(repr, other[:_MOST_NAMED]))}")


def _totals_of(table: Table, *, cause: int, count: int) -> Totals:
    bad = [(line, cells) for line, cells in table.rows if not _INTEGER.fullmatch(cells[count])]
    if bad:
        first = bad[0][1]
        raise TableRefused(
            f"has counts that are no whole numbers on {numbered([line for line, _ in bad], 'line')}, such as "
            f"{first[count][:40]!r} for {first[cause][:100]!r}: count each death once"
        )
    seen: dict[str, list[int]] = defaultdict(list)
    for line, cells in table.rows:
        seen[normalised(cells[cause])].append(line)
    twice = [lines for lines in seen.values() if len(lines) > 1]
    if twice:
        cell = next(cells[cause] for line, cells in table.rows if line == twice[0][0])
        raise TableRefused(f"names the cause {cell[:100]!r} on {numbered(twice[0], 'line')}: add the counts up")
    return Totals({cells[cause]: int(float(cells[count])) for _, cells in table.rows})


def _shares_of(table: Table, identity: int | None) -> Shares:
    kept = [index for index in range(len(table.header)) if index != identity]
    rows: list[tuple[float, ...]] = []
    bad: list[int] = []
    for line, cells in table.rows:
        try:
            rows.append(tuple(float(cells[index]) for index in kept))
        except ValueError:
            bad.append(line)
    if bad:
        raise TableRefused(_no_numbers(table, kept, bad))
    return Shares(
        tuple(table.header[index] for index in kept), tuple(rows), tuple(line for line, _ in table.rows), "line"
    )


def _no_numbers(table: Table, kept: Sequence[int], bad: list[int]) -> str:
    cells = next(cells for line, cells in table.rows if line == bad[0])
    column = next(index for index in kept if not _is_number(cells[index]))
    cell, name = cells[column][:40], table.header[column]
    if _is_number(cell.replace(",", ".")):
        pointed = cell.replace(",", ".")
        return f"has {cell!r} in column {name!r} on {numbered(bad, 'line')}: decimals need a point ({pointed})"
    return (
        "has neither the columns ID and cause, nor cause and count, so it should be a table of causes with 0 and 1; "
        f"but {cell!r} in column {name!r} on {numbered(bad, 'line')} is no number"
    )


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def count_deaths(deaths: Deaths, names: CauseNames) -> Tally:
    """Count by cause.

    Raises:
        DeathsRefused: unknown labels, identifiers that come twice, counts or rows that make no sense, no deaths at all.
    """
    match deaths:
        case Labelled():
            tally = _count_labels(deaths, names)
        case Shares():
            tally = _count_shares(deaths, names)
        case Totals():
            tally = _count_totals(deaths, names)
    if not sum(tally.counts.values()):
        what = "All counts are 0: there is nothing to calibrate."
        if not isinstance(deaths, Totals):
            what = "There is no death with a cause: all of them are empty, unspecified or undetermined."
        raise DeathsRefused([what])
    return tally


def _count_labels(deaths: Labelled, names: CauseNames) -> Tally:
    problems = [*_repeated(deaths)]
    causes, unknown = _find_all(zip(deaths.labels, deaths.places, strict=True), names)
    problems += _unknown({label: f" on {numbered(places, deaths.word)}" for label, places in _first(unknown)}, names)
    if problems:
        raise DeathsRefused(problems)
    counts = Counter(causes[label] for label in deaths.labels)
    unassigned = counts.pop(None, 0)
    return Tally(
        {cause: n for cause, n in counts.items() if cause is not None},
        names_all=False,
        dropped={"unspecified": unassigned} if unassigned else {},
    )


def _unknown(found: Mapping[str, str], names: CauseNames) -> list[str]:
    """Say what is wrong with unknown labels and what helps; ``found`` says where each is."""
    problems: list[str] = []
    elsewhere: dict[str, list[str]] = defaultdict(list)
    for label, where in found.items():
        age = names.age_group and other_age_of(label, names.age_group)
        if age:
            elsewhere[age].append(f"{label[:100]!r}{where}")
        else:
            problems.append(f"Unknown cause {label[:100]!r}{where}: {names.hint(label)}")
    return [_of_another_age(listed, age, names.age_group) for age, listed in elsewhere.items()] + problems


def _of_another_age(listed: Sequence[str], age: str, age_group: str | None) -> str:
    causes = "These causes belong" if len(listed) > 1 else "This cause belongs"
    return (
        f"{causes} to age_group {age}, not to {age_group}: {', '.join(listed)}; send age_group {age} (on the command "
        f"line: --age {age})."
    )


def _find_all(
    labelled: Iterable[tuple[str, int]], names: CauseNames
) -> tuple[dict[str, str | None], dict[str, list[int]]]:
    found: dict[str, str | None] = {}
    unknown: dict[str, list[int]] = defaultdict(list)
    for label, place in labelled:
        if label in unknown:
            unknown[label].append(place)
        elif label not in found:
            try:
                found[label] = names.find(label)
            except KeyError:
                unknown[label].append(place)
    return found, unknown


def _repeated(deaths: Labelled) -> Iterable[str]:
    seen: dict[str, list[int]] = defaultdict(list)
    for identity, place in zip(deaths.ids, deaths.places, strict=True):
        seen[identity].append(place)
    blank = seen.pop("", [])
    if blank:
        yield f"No ID on {numbered(blank, deaths.word)}."
    twice = {identity: places for identity, places in seen.items() if len(places) > 1}
    for identity, places in _first(twice):
        yield f"ID {identity[:50]!r} comes on {numbered(places, deaths.word)}; each death counts once."


def _first(found: Mapping[str, list[int]]) -> list[tuple[str, list[int]]]:
    return sorted(found.items(), key=lambda entry: entry[1])[:_MOST_NAMED]


def _columns(labels: Sequence[str], names: CauseNames) -> list[str]:
    problems = []
    causes = []
    unknown: dict[str, str] = {}
    for label in labels:
        try:
            cause = names.find(label)
        except KeyError:
            unknown[label] = ""
            continue
        if cause is None:
            problems.append(f"{label[:100]!r} is no cause: leave such deaths out.")
        else:
            causes.append(cause)
    problems += _unknown(unknown, names)
    if problems:
        raise DeathsRefused(problems[:_MOST_NAMED])
    return causes


def _count_shares(deaths: Shares, names: CauseNames) -> Tally:
    causes = _columns(deaths.labels, names)
    bad: dict[str, list[tuple[int, tuple[float, ...]]]] = defaultdict(list)
    counts: Counter[str] = Counter(dict.fromkeys(causes, 0))
    empty = 0
    for row, place in zip(deaths.rows, deaths.places, strict=True):
        if len(row) != len(causes):
            bad[_LENGTH].append((place, row))
        elif not all(math.isfinite(value) and 0 <= value <= 1 for value in row):
            bad[_RANGE].append((place, row))
        elif not any(row):
            empty += 1
        elif abs(sum(row) - 1) > _SUM_TOLERANCE:
            bad[_SUM].append((place, row))
        elif row.count(max(row)) > 1:
            bad[_TIE].append((place, row))
        else:
            counts[causes[row.index(max(row))]] += 1
    if bad:
        raise DeathsRefused([_bad_rows(what, found, deaths) for what, found in sorted(bad.items())])
    return Tally(counts, names_all=True, dropped={"unspecified": empty} if empty else {})


_LENGTH, _RANGE, _SUM, _TIE = "length", "range", "sum", "tie"


def _bad_rows(what: str, found: Sequence[tuple[int, tuple[float, ...]]], deaths: Shares) -> str:
    """Say what is wrong with rows, by the first of them, and what helps."""
    where = numbered([place for place, _ in found], deaths.word)
    row = found[0][1]
    if what == _LENGTH:
        return f"There are {len(deaths.labels)} causes, but {len(row)} values in {where}."
    if what == _RANGE:
        value, label = next(
            (value, label) for value, label in zip(row, deaths.labels, strict=True) if not 0 <= value <= 1
        )
        return f"{value:g} for {label[:100]!r} in {where} is outside of 0 to 1: send 0 and 1, or probabilities."
    if what == _SUM:
        return (
            f"The values in {where} do not sum to 1 (the first to {sum(row):g}): one cause a death, or probabilities."
        )
    tied = [repr(label[:100]) for value, label in zip(row, deaths.labels, strict=True) if value == max(row)]
    names = " and ".join(tied[:3])
    return f"There is no one cause in {where}: {names} have {max(row):g} each; settle it, or leave the death out."


def _count_totals(deaths: Totals, names: CauseNames) -> Tally:
    dropped = {label: n for label, n in deaths.counts.items() if normalised(label) in UNASSIGNED}
    kept = {label: n for label, n in deaths.counts.items() if label not in dropped}
    causes = _columns(list(kept), names)
    wrong = [label for label, n in deaths.counts.items() if not 0 <= n <= MAX_COUNT]
    if wrong:
        raise DeathsRefused(
            [
                f"The count of {label[:100]!r} is {deaths.counts[label]}: it must be 0 to {MAX_COUNT:,}."
                for label in wrong
            ]
        )
    counts: Counter[str] = Counter(dict.fromkeys(causes, 0))
    for cause, n in zip(causes, kept.values(), strict=True):
        counts[cause] += n
    unassigned = sum(dropped.values())
    return Tally(counts, names_all=True, dropped={"unspecified": unassigned} if unassigned else {})


def age_doubt(deaths: Deaths, age_group: str) -> str | None:
    """Say that deaths seem to be of another age group than ``age_group``, whose table knows their names as well."""
    if isinstance(deaths, Shares):
        return None
    counts = Counter(deaths.labels) if isinstance(deaths, Labelled) else deaths.counts
    seems = seeming_age(counts)
    if seems in {None, age_group}:
        return None
    return f"the causes are those of age_group {seems}; if the deaths are, too, send that (--age {seems})."


def advice(deaths: Mapping[str, int]) -> list[str]:
    """Return advice on the sizes of the algorithms' samples, by algorithm."""
    told = [
        f"{name}: {total} deaths are few (under 100); expect wide intervals."
        for name, total in deaths.items()
        if total < 100
    ]
    told += [
        f"{name}: {total:,} deaths are many (over 10,000); uncertainty of the matrix will dominate."
        for name, total in deaths.items()
        if total > 10_000
    ]
    if len(deaths) > 1 and max(deaths.values()) >= 10 * min(deaths.values()):
        told.append("The largest sample is at least ten times the smallest, and dominates the ensemble.")
    return told
