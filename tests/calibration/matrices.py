"""Small sets of matrices for tests: as tables and as what is kept of them."""

from collections.abc import Iterable

from tasks.calibration.causes import BROAD_CAUSES
from tasks.calibration.inventory import Inventory, Names
from tasks.calibration.matrix_table import read_matrices

HEADER = "age_group,algorithm,country,true_cause,va_cause,dirichlet,postmean"


def table(
    countries: Iterable[str] = ("Kenya", "other"),
    *,
    algorithms: Iterable[str] = ("eava", "insilicova"),
    age_group: str = "neonate",
    own: float = 20.0,
    with_prior: bool = True,
) -> str:
    """A CSV of invented matrices in which each algorithm is mostly right; ``own`` says how much."""
    causes = BROAD_CAUSES[age_group]
    lines = [HEADER]
    for algorithm in algorithms:
        for country in countries:
            for i, true in enumerate(causes):
                row = [own + i if true == va else 1.5 for va in causes]
                lines += [
                    f"{age_group},{algorithm},{country},{true},{va},{value if with_prior else ''},{value / sum(row)!r}"
                    for va, value in zip(causes, row, strict=True)
                ]
    return "\n".join(lines) + "\n"


def inventory(**options: object) -> Inventory:
    """What is kept of ``table``."""
    return read_matrices(table(**options), Names())  # type: ignore[arg-type]
