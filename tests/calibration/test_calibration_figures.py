"""Figures: what they say, and that they say it in the same bytes each time."""

import re
from io import BytesIO

import pytest
from lxml import etree

from tasks.calibration.figures import MatrixView, misclassification

pytest.importorskip("matplotlib", reason="needs the extra r")

CAUSES = ("malaria", "severe_malnutrition", "other")
VIEW = MatrixView(CAUSES, ((30, 6, 4), (5, 20, 10), (3, 7, 25)), title="as given", excluded=frozenset({"other"}))


def texts(svg: bytes) -> list[str]:
    return ["".join(node.itertext()) for node in etree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


def test_a_matrix_names_its_causes_and_its_title() -> None:
    """Each cause stands on both axes."""
    shown = texts(misclassification(VIEW))
    assert [2, 2, 2] == [shown.count(cause) for cause in CAUSES]
    assert {"as given", "true cause", "VA cause"} <= set(shown)


def test_a_picture_has_the_same_bytes_each_time_and_no_date() -> None:
    """Nothing in a file depends on when it was drawn."""
    for form in ("svg", "png"):
        first, second = (misclassification(VIEW, form=form) for _ in range(2))
        assert first == second
        assert not re.search(rb"20\d\d-\d\d", first)


def test_excluded_causes_are_grey_and_the_diagonal_is_outlined() -> None:
    """Five of nine cells belong to an excluded row or column."""
    svg = misclassification(VIEW).decode()
    assert 5 == svg.count("fill: #d9d9d9")
    assert 3 == svg.count("fill: none; stroke: #1a1a1a")


def test_names_are_shown_as_they_are() -> None:
    """What means something to matplotlib or to XML is text in a name; what cannot be printed is a blank."""
    odd = ("$\\frac{a}$ & <b>", "x\x01y", "\u75a7\u75be")
    svg = misclassification(MatrixView(odd, VIEW.rows))
    assert {"$\\frac{a}$ & <b>", "x y", "\u75a7\u75be"} <= set(texts(svg))
    misclassification(MatrixView(odd, VIEW.rows), form="png")


def test_long_names_are_broken_and_cut() -> None:
    """Two lines at most, broken where words are joined."""
    name = "sepsis_meningitis_and_other_infections_of_the_newborn_child"
    shown = texts(misclassification(MatrixView((name, "b"), ((9, 1), (2, 8)))))
    assert "sepsis_meningitis_and_" in shown
    assert any(text.startswith("other_infections") and text.endswith("…") for text in shown)


@pytest.mark.parametrize("size", [2, 9, 25])
def test_figures_fit_a_page(size: int) -> None:
    """Up to 7.1 inches wide, however many causes and matrices."""
    causes = [f"cause number {number}" for number in range(size)]
    rows = [[1.0] * size] * size
    svg = misclassification(*[MatrixView(causes, rows)] * 3)
    width = etree.fromstring(svg).get("width", "")
    assert float(width.removesuffix("pt")) <= 7.1 * 72 + 0.01


def test_an_empty_row_is_grey() -> None:
    """A cell without a value has no number."""
    from matplotlib.image import imread

    view = MatrixView(("a", "b"), ((None, None), (2, 8)))
    assert 2 == misclassification(view).decode().count("fill: #d9d9d9")
    assert 3 == imread(BytesIO(misclassification(view, form="png"))).ndim
