"""Matrices from a file as somebody sends it: a table, or R's data."""

from tasks.calibration.inventory import Inventory, InventoryRefused, Names
from tasks.calibration.matrix_list import read_matrix_list
from tasks.calibration.matrix_table import read_matrices
from tasks.calibration.rdata import is_rdata
from tasks.calibration.reading import TableRefused, decode


def read_matrix_file(content: bytes, names: Names) -> Inventory:
    """Return the matrices of a file, whichever of the two it is.

    Raises:
        InventoryRefused: it is neither, or something in it is wrong.
    """
    if is_rdata(content):
        return read_matrix_list(content, names)
    try:
        text = decode(content)
    except TableRefused as exc:
        raise InventoryRefused([f"The file {exc}."]) from exc
    return read_matrices(text, names)
