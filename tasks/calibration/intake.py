"""From what was sent to what can be calibrated: causes agreed on, deaths counted, names resolved."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tasks.calibration.causes import normalised
from tasks.calibration.deaths import CauseNames, Deaths, DeathsRefused, Tally, advice, age_doubt, count_deaths

MAX_CAUSES = 25
Place = tuple[str, ...]


class IntakeRefused(ValueError):
    """The request cannot be calibrated; ``problems`` says everything found, with the field it concerns."""

    def __init__(self, problems: Sequence[tuple[Place, str]]) -> None:
        super().__init__("; ".join(message for _, message in problems))
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class Matrix:
    """A misclassification matrix: ``draws`` holds one or more of them, each true cause x VA cause."""

    causes: tuple[str, ...]
    draws: tuple[tuple[tuple[float, ...], ...], ...]


@dataclass(frozen=True, slots=True)
class Intake:
    """What a calibration is of.

    Args:
        counts: deaths by algorithm, in the order of ``causes``.
        broad: the matrix's cause that each of ``causes`` belongs to; None where they are the matrix's own.
        excluded: causes that each algorithm leaves uncalibrated whatever its matrix says.
        excludes_by_default: nobody asked for that: these are the ones named other.
        dropped: deaths that were left out, by algorithm and reason.
        notes: advice for whoever reads the result.
    """

    causes: tuple[str, ...]
    counts: Mapping[str, tuple[int, ...]]
    matrices: Mapping[str, Matrix]
    broad: tuple[str, ...] | None
    excluded: Mapping[str, tuple[str, ...]]
    excludes_by_default: bool
    dropped: Mapping[str, Mapping[str, int]]
    notes: tuple[str, ...]


def take_in(
    deaths: Mapping[str, Deaths],
    matrices: Mapping[str, Matrix],
    *,
    age_group: str | None = None,
    cause_map: Mapping[str, str] | None = None,
    studycause_map: Mapping[str, str] | None = None,
    donotcalib: Mapping[str, Sequence[str]] | None = None,
) -> Intake:
    """Count the deaths of each algorithm over causes that all of them share.

    Raises:
        IntakeRefused: something does not fit; everything found is listed at once.
    """
    problems = _missing_matrices(deaths, matrices)
    if problems:
        raise IntakeRefused(problems)
    targets = {name: _targets(matrices[name], studycause_map) for name in deaths}
    problems = _bad_maps(matrices, targets, cause_map or {}, studycause_map)
    if problems:
        raise IntakeRefused(problems)
    tallies, problems = _tally_all(deaths, targets, age_group=age_group, cause_map=cause_map or {})
    if problems:
        raise IntakeRefused(problems)
    causes, problems = _shared_causes(deaths, tallies, targets)
    excluded, more = _excluded(causes, deaths, donotcalib)
    if problems or more:
        raise IntakeRefused([*problems, *more])
    counts = {name: _ordered(tally.counts, causes) for name, tally in tallies.items()}
    return Intake(
        causes=causes,
        counts=counts,
        matrices={name: _respelled(matrices[name], causes, studycause_map) for name in deaths},
        broad=_broad(causes, studycause_map),
        excluded=excluded,
        excludes_by_default=donotcalib is None,
        dropped={name: dict(tally.dropped) for name, tally in tallies.items() if tally.dropped},
        notes=(*_notes(counts, tallies), *_age_doubts(deaths, age_group)),
    )


def _missing_matrices(deaths: Mapping[str, Deaths], matrices: Mapping[str, Matrix]) -> list[tuple[Place, str]]:
    problems: list[tuple[Place, str]] = [
        (("missmat",), f"There is no matrix for {name!r}: name a country, or send one.")
        for name in deaths
        if name not in matrices
    ]
    return problems + [
        (("missmat", name), f"There are no deaths for {name!r} in va_data.") for name in matrices if name not in deaths
    ]


def _targets(matrix: Matrix, studycause_map: Mapping[str, str] | None) -> tuple[str, ...]:
    return tuple(studycause_map) if studycause_map else matrix.causes


def _bad_maps(
    matrices: Mapping[str, Matrix],
    targets: Mapping[str, tuple[str, ...]],
    cause_map: Mapping[str, str],
    studycause_map: Mapping[str, str] | None,
) -> list[tuple[Place, str]]:
    problems: list[tuple[Place, str]] = []
    for name, matrix in matrices.items():
        known = {normalised(cause) for cause in matrix.causes}
        for study, broad in (studycause_map or {}).items():
            if normalised(broad) not in known:
                problems.append((("studycause_map", study), f"{broad!r} is no cause of the matrix of {name!r}."))
    known = {normalised(cause) for causes in targets.values() for cause in causes}
    problems += [
        (("cause_map", label), f"{cause!r} is none of the causes to calibrate.")
        for label, cause in cause_map.items()
        if normalised(cause) not in known
    ]
    return problems


def _tally_all(
    deaths: Mapping[str, Deaths],
    targets: Mapping[str, tuple[str, ...]],
    *,
    age_group: str | None,
    cause_map: Mapping[str, str],
) -> tuple[dict[str, Tally], list[tuple[Place, str]]]:
    tallies: dict[str, Tally] = {}
    problems: list[tuple[Place, str]] = []
    for name, sent in deaths.items():
        own = {label: cause for label, cause in cause_map.items() if _has(targets[name], cause)}
        try:
            tallies[name] = count_deaths(sent, CauseNames(targets[name], own=own, age_group=age_group))
        except DeathsRefused as exc:
            problems += [(("va_data", name), problem) for problem in exc.problems]
    return tallies, problems


def _has(causes: Sequence[str], cause: str) -> bool:
    return normalised(cause) in {normalised(one) for one in causes}


def _shared_causes(
    deaths: Mapping[str, Deaths], tallies: Mapping[str, Tally], targets: Mapping[str, tuple[str, ...]]
) -> tuple[tuple[str, ...], list[tuple[Place, str]]]:
    """Return the causes of the first algorithm, in its order and spelling; the others must have the same."""
    named = {
        name: tuple(cause for cause in targets[name] if not tallies[name].names_all or cause in tallies[name].counts)
        for name in deaths
    }
    first, causes = next(iter(named.items()))
    wanted = {normalised(cause) for cause in causes}
    problems: list[tuple[Place, str]] = []
    for name, own in named.items():
        have = {normalised(cause) for cause in own}
        if have != wanted:
            odd = ", ".join(repr(cause) for cause in sorted(have ^ wanted)[:10])
            problems.append((("va_data", name), f"Its causes differ from those of {first!r}: {odd}."))
    if not 2 <= len(causes) <= MAX_CAUSES:
        problems.append((("va_data",), f"There are {len(causes)} causes; 2 to {MAX_CAUSES} can be calibrated."))
    return causes, problems


def _excluded(
    causes: tuple[str, ...], deaths: Mapping[str, Deaths], donotcalib: Mapping[str, Sequence[str]] | None
) -> tuple[dict[str, tuple[str, ...]], list[tuple[Place, str]]]:
    spelled = {normalised(cause): cause for cause in causes}
    if donotcalib is None:
        return {name: tuple(spelled[cause] for cause in ("other",) if cause in spelled) for name in deaths}, []
    problems: list[tuple[Place, str]] = []
    excluded: dict[str, tuple[str, ...]] = dict.fromkeys(deaths, ())
    for name, asked in donotcalib.items():
        unknown = [cause for cause in asked if normalised(cause) not in spelled]
        if name not in deaths:
            problems.append((("donotcalib", name), f"There are no deaths for {name!r} in va_data."))
        elif unknown:
            listed = ", ".join(causes)
            problems.append((("donotcalib", name), f"{unknown[0]!r} is none of the causes: {listed}."))
        else:
            excluded[name] = tuple(dict.fromkeys(spelled[normalised(cause)] for cause in asked))
    return excluded, problems


def _ordered(counts: Mapping[str, int], causes: tuple[str, ...]) -> tuple[int, ...]:
    by_name = {normalised(cause): n for cause, n in counts.items()}
    return tuple(by_name.get(normalised(cause), 0) for cause in causes)


def _respelled(matrix: Matrix, causes: tuple[str, ...], studycause_map: Mapping[str, str] | None) -> Matrix:
    names = _first_spelling(studycause_map.values()) if studycause_map else _first_spelling(causes)
    return Matrix(tuple(names.get(normalised(cause), cause) for cause in matrix.causes), matrix.draws)


def _broad(causes: tuple[str, ...], studycause_map: Mapping[str, str] | None) -> tuple[str, ...] | None:
    if not studycause_map:
        return None
    names = _first_spelling(studycause_map.values())
    return tuple(names[normalised(studycause_map[cause])] for cause in causes)


def _first_spelling(names: Iterable[str]) -> dict[str, str]:
    first: dict[str, str] = {}
    for name in names:
        first.setdefault(normalised(name), name)
    return first


def _age_doubts(deaths: Mapping[str, Deaths], age_group: str | None) -> list[str]:
    if age_group is None:
        return []
    return [f"{name}: {doubt}" for name, sent in deaths.items() if (doubt := age_doubt(sent, age_group))]


def _notes(counts: Mapping[str, tuple[int, ...]], tallies: Mapping[str, Tally]) -> list[str]:
    notes = advice({name: sum(row) for name, row in counts.items()})
    for name, tally in tallies.items():
        left_out = sum(tally.dropped.values())
        if left_out:
            notes.append(f"{name}: {left_out} deaths without a cause were left out.")
    return notes
