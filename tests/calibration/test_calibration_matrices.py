"""Files of matrices: read whatever their form, and refused with the place and the remedy."""

import bz2
import gzip
import lzma
import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tasks.calibration.causes import BROAD_CAUSES
from tasks.calibration.inventory import MAX_KEPT_SAMPLES, InventoryRefused, Names
from tasks.calibration.matrix_file import read_matrix_file
from tasks.calibration.matrix_table import read_matrices
from tasks.calibration.rdata import RDataRefused, read_rdata
from tests.calibration.matrices import HEADER, table
from tests.calibration.r_library import shared_va

# Makes the package's nested list of a table, in each form that R saves.
_MAKE = """
d <- read.csv("matrices.csv"); list_of <- list()
for (age in unique(d$age_group)) for (algorithm in unique(d$algorithm)) for (country in unique(d$country)) {
  s <- d[d$age_group == age & d$algorithm == algorithm & d$country == country, ]
  causes <- unique(s$true_cause); at <- cbind(match(s$true_cause, causes), match(s$va_cause, causes))
  square <- matrix(NA_real_, length(causes), length(causes), dimnames = list(causes, causes))
  for (column in c("dirichlet", "postmean")) {
    square[at] <- s[[column]]
    list_of[[age]][[algorithm]][[c(dirichlet = "asDirich", postmean = "postmean")[[column]]]][[country]] <- square
  }
  samples <- aperm(replicate(1000, square), c(3, 1, 2)); dimnames(samples) <- list(NULL, causes, causes)
  if (SAMPLES) list_of[[age]][[algorithm]][["postsamples"]][[country]] <- samples
  list_of[[age]][[algorithm]][["postsumm"]][[country]] <- array(1:2, c(2, 1, 1))
}
list_of$version <- "20300101"
CCVA_missmat <- list_of; Mmat_champs <- list_of
"""
_SAVES = {
    "gzip.rda": 'save(CCVA_missmat, file = "out")',
    "older.rda": 'save(Mmat_champs, file = "out", version = 2, compress = "xz")',
    "bzip2.rda": 'save(CCVA_missmat, file = "out", compress = "bzip2")',
    "plain.rds": 'saveRDS(list_of, "out", compress = FALSE)',
}


@pytest.fixture
def by_r(tmp_path: Path) -> Callable[..., bytes]:
    """A file that R makes of a small table; skipped, visibly, without R."""
    if shutil.which("Rscript") is None:
        pytest.skip("needs R (r-base-core)")

    def make(save: str, *, samples: bool = False, make: str = _MAKE) -> bytes:
        (tmp_path / "matrices.csv").write_text(table())
        code = f"SAMPLES <- {'TRUE' if samples else 'FALSE'}\n{make}\n{save}"
        subprocess.run(["Rscript", "--vanilla", "-e", code], cwd=tmp_path, check=True, capture_output=True)
        return (tmp_path / "out").read_bytes()

    return make


def refusals(content: bytes | str, names: Names | None = None) -> tuple[str, ...]:
    with pytest.raises(InventoryRefused) as refused:
        read_matrix_file(content.encode() if isinstance(content, str) else content, names or Names())
    return refused.value.problems


def test_a_table_becomes_matrices() -> None:
    """Rows true causes, columns what the algorithm says, both in the age group's order."""
    found = read_matrices(table(), Names())
    assert [
        ("neonate", "eava", "Kenya"),
        ("neonate", "eava", "other"),
        ("neonate", "insilicova", "Kenya"),
        ("neonate", "insilicova", "other"),
    ] == [one.key for one in found.matrices]
    first = found.matrices[0]
    assert BROAD_CAUSES["neonate"] == first.causes
    assert first.prior is not None
    assert (20.0, 1.5, 1.5, 1.5, 1.5, 1.5) == first.prior[0]
    assert [1.0] * 6 == pytest.approx([sum(row) for row in first.fixed])


def test_the_published_table_is_read_as_shipped() -> None:
    """48 matrices, each with Dirichlet parameters."""
    found = read_matrix_file((shared_va() / "matrices.csv").read_bytes(), Names())
    assert 48 == len(found.matrices)
    assert all(one.prior is not None for one in found.matrices)


def test_the_hash_is_of_the_numbers() -> None:
    """Neither the order of lines and columns nor spelling matters; one number does."""
    head, *lines = table().splitlines()
    same = "\ufeff" + "\r\n".join([head.replace(",", ";"), *(line.replace(",", ";") for line in reversed(lines))])
    shouted = table().replace("Kenya", " KENYA ").replace("neonate", "Neonate")
    hashes = [read_matrix_file(text.encode(), Names()).sha256 for text in (table(), same, shouted)]
    assert 1 == len(set(hashes))
    other = table(own=20.001)
    assert hashes[0] != read_matrix_file(other.encode(), Names()).sha256


def test_probabilities_alone_have_no_prior() -> None:
    """And Dirichlet parameters alone give their means."""
    only_fixed = read_matrices(table(with_prior=False), Names()).matrices[0]
    assert only_fixed.prior is None
    lines = [line.rpartition(",")[0] for line in table().splitlines()]
    only_prior = read_matrices("\n".join(lines), Names()).matrices[0]
    assert [value for row in only_fixed.fixed for value in row] == pytest.approx(
        [value for row in only_prior.fixed for value in row]
    )


_ROW = "neonate,eava,Kenya,pneumonia,pneumonia,"


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("neonate,eava,Kenya,ipre,ipre", "neonat,eava,Kenya,ipre,ipre", "Line 23, column age_group: 'neonat' is no"),
        (
            "eava,Kenya,ipre,ipre",
            "evaa,Kenya,ipre,ipre",
            "column algorithm: 'evaa' is no algorithm: did you mean 'eava'",
        ),
        (
            "eava,Kenya,ipre,ipre",
            "eava,Kenia,ipre,ipre",
            "column country: 'Kenia' is no country: did you mean 'Kenya'?",
        ),
        (
            "Kenya,ipre,ipre",
            "Kenya,malaria,ipre",
            "column true_cause: 'malaria' is no broad cause of age group neonate",
        ),
        (
            "Kenya,ipre,ipre",
            "Kenya,ipre,iper",
            "column va_cause: 'iper' is no broad cause of age group neonate: did you",
        ),
        (_ROW + "21.0", _ROW + "-1", "dirichlet of true cause pneumonia, VA cause pneumonia is -1, not a Dirichlet"),
        (_ROW + "21.0", _ROW + "x", "Line 9, column dirichlet: 'x' is no number"),
        (_ROW + "21.0,", _ROW + ",", "dirichlet is missing for true cause pneumonia, VA cause pneumonia: add what"),
        (_ROW + "21.0,0.7", _ROW + "21.0,0.6", "postmean of true cause pneumonia sums to"),
        (_ROW + "21.0,0.7", _ROW + "21.0,1.7", "is 1.73684, not a probability, 0 to 1"),
        ("dirichlet,postmean", "prior,mean", "There is no column dirichlet or postmean"),
        ("true_cause", "truth", "There is no column true_cause: the columns are age_group"),
    ],
)
def test_each_fault_is_told_with_its_place_and_remedy(old: str, new: str, told: str) -> None:
    """Line and column where there is one line, the matrix where there is none."""
    changed = table().replace(old, new, 1)
    assert changed != table()
    assert any(told in problem for problem in refusals(changed)), refusals(changed)


def test_a_cell_that_comes_twice_is_refused() -> None:
    """With both lines."""
    line = table().splitlines()[1]
    (told, *_) = refusals(table() + line)
    assert "Line 146: repeats line 2 (neonate, eava, Kenya, congenital_malformation, congenital_malformation)" in told


def test_a_missing_cell_is_named() -> None:
    """The matrix, the row, the column."""
    lines = table().splitlines()
    del lines[3]
    assert (
        "neonate, eava, Kenya: dirichlet is missing for true cause congenital_malformation, VA cause "
        "sepsis_meningitis_inf: add what is missing."
    ) in refusals("\n".join(lines))


def test_a_name_that_is_wrong_on_many_lines_is_told_once() -> None:
    """And names that are meant pass."""
    (told,) = refusals(table(countries=("Atlantis",), algorithms=("eava",)))
    assert told.startswith("Lines 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 26 more, column country: 'Atlantis' is no country")
    assert told.endswith("If it is meant, name it in also_countries.")
    names = Names.with_also(countries=["Atlantis"])
    assert ["Atlantis"] == [
        one.country for one in read_matrices(table(countries=("Atlantis",), algorithms=("eava",)), names).matrices
    ]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is empty"),
        (HEADER.encode(), "has a header and no rows"),
        (b"PK\x03\x04\0\0", "holds a zero byte"),
        (gzip.compress(b"hello", mtime=0), "is no R data file"),
        (b"\x1f\x8bxxxx", "is damaged"),
        (lzma.compress(b"RDX3\nX\n\0\0\0\x05" + bytes(8)), "serialisation version 5"),
        (bz2.compress(b"RDX2\nX\n\0\0\0\x02" + bytes(8)), "it ends too early"),
        (b"RDA2\nA\n2\n", "is not in R's binary form"),
    ],
)
def test_other_files_are_told_apart(content: bytes, told: str) -> None:
    """Empty, archives, damaged and foreign ones."""
    assert told in " ".join(refusals(content))


@pytest.mark.parametrize("form", _SAVES)
def test_r_files_are_read_in_each_form(by_r: Callable[..., bytes], form: str) -> None:
    """The same matrices, hence the same hash, as from the table."""
    found = read_matrix_file(by_r(_SAVES[form]), Names())
    assert read_matrices(table(), Names()).sha256 == found.sha256
    assert ("20300101", ()) == (found.version, found.notes)


def test_samples_are_kept_thinned(by_r: Callable[..., bytes]) -> None:
    """In the order of causes that everything has; what was left out is said."""
    found = read_matrix_file(by_r(_SAVES["gzip.rda"], samples=True), Names())
    first = found.matrices[0]
    assert first.samples is not None
    assert (MAX_KEPT_SAMPLES, 6, 6) == np.shape(first.samples)
    assert np.allclose(np.asarray(first.fixed), np.asarray(first.samples[7]))
    assert ("Of 1,000 samples of a matrix, 400 evenly spaced ones are kept.",) == found.notes


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            "CCVA_missmat$neonate$eava$postmean$Kenya[1, 1] <- 0.9",
            "postmean of true cause congenital_malformation sums",
        ),
        ('CCVA_missmat$neonate$eava$asDirich$Kenya <- "a"', "asDirich is no matrix of numbers with named rows"),
        ("CCVA_missmat$neonate$tariff <- CCVA_missmat$neonate$eava", "'tariff' is no algorithm"),
        ("CCVA_missmat <- 1:10", "The file holds CCVA_missmat: expected the list CCVA_missmat or Mmat_champs"),
        ("CCVA_missmat <- list(neonate = function(x) x)", "holds more than data"),
        ("CCVA_missmat <- new.env()", "holds more than data"),
    ],
)
def test_r_files_with_faults_are_refused(by_r: Callable[..., bytes], change: str, told: str) -> None:
    """Nothing that R could run is read, let alone run."""
    assert told in " ".join(refusals(by_r(f"{change}\n{_SAVES['gzip.rda']}")))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("1:5", [1.0, 2.0, 3.0, 4.0, 5.0]),
        ("c(TRUE, NA, FALSE)", [1.0, float("nan"), 0.0]),
        ("c('\\u00e9t\\u00e9', NA)", ["\u00e9t\u00e9", "NA"]),
        ("sort(c(3.5, 1))", [1.0, 3.5]),
    ],
)
def test_vectors_of_r_arrive(by_r: Callable[..., bytes], value: str, expected: list[object]) -> None:
    """Short forms that R keeps vectors in are read, too."""
    content = by_r(f'x <- {value}; saveRDS(x, "out")', make="")
    values = list(read_rdata(content)[""].values)
    assert str(expected) == str([float(one) if not isinstance(one, str) else one for one in values])


def test_a_length_that_lies_is_refused() -> None:
    """No memory is taken for what is not there."""
    header = b"X\n" + struct.pack(">iii", 2, 0, 0)
    for kind in (14, 13, 16, 19):
        with pytest.raises(RDataRefused, match=r"ends too early|too many values"):
            read_rdata(header + struct.pack(">ii", kind, 2**31 - 1))


def test_what_unpacks_too_large_is_refused() -> None:
    """A small file may stand for gigabytes."""
    with pytest.raises(RDataRefused, match="over 1 MiB"):
        read_rdata(gzip.compress(b"RDX2\nX\n" + bytes(2**21)), max_bytes=2**20)
