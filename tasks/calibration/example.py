"""A small invented data set, for demonstrations only: no study, country or algorithm stands behind its numbers."""

from tasks.calibration.deaths import Deaths, Totals
from tasks.calibration.intake import Matrix

NOTE = "Invented data: the deaths and the matrices of the example describe no real population."

_CAUSES = ("congenital_malformation", "pneumonia", "sepsis_meningitis_inf", "ipre", "other", "prematurity")

EXAMPLE_DEATHS: dict[str, Deaths] = {
    "insilicova": Totals(dict(zip(_CAUSES, (34, 90, 118, 152, 26, 160), strict=True))),
    "interva": Totals(dict(zip(_CAUSES, (30, 72, 130, 158, 20, 170), strict=True))),
}

# Dirichlet parameters, rows true causes, columns what the algorithm says.
EXAMPLE_MATRICES: dict[str, Matrix] = {
    "insilicova": Matrix(
        _CAUSES,
        (
            (
                (14.0, 2.0, 3.0, 2.0, 1.0, 4.0),
                (0.6, 19.0, 9.0, 2.0, 2.0, 3.0),
                (0.8, 7.0, 24.0, 3.0, 2.0, 5.0),
                (0.7, 3.0, 4.0, 31.0, 1.0, 5.0),
                (2.0, 3.0, 4.0, 3.0, 8.0, 3.0),
                (0.9, 3.0, 5.0, 4.0, 1.0, 33.0),
            ),
        ),
    ),
    "interva": Matrix(
        _CAUSES,
        (
            (
                (11.0, 3.0, 4.0, 3.0, 1.0, 5.0),
                (0.5, 16.0, 10.0, 3.0, 1.0, 4.0),
                (0.6, 8.0, 22.0, 3.0, 1.0, 6.0),
                (0.4, 2.0, 5.0, 28.0, 1.0, 6.0),
                (1.0, 3.0, 5.0, 3.0, 6.0, 4.0),
                (0.5, 2.0, 6.0, 4.0, 1.0, 30.0),
            ),
        ),
    ),
}
