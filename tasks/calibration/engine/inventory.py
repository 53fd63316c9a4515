"""Matrices from the R package that is installed where this runs, or from an uploaded file."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tasks.calibration.engine.bridge import Run
from tasks.calibration.engine.console import Console
from tasks.calibration.engine.rscript import run_rscript
from tasks.calibration.importing import ImportedMatrices, ImportRequest
from tasks.calibration.inventory import Inventory, InventoryRefused, Names
from tasks.calibration.matrix_file import read_matrix_file
from tasks.calibration.matrix_list import OBJECTS, read_matrix_list
from tasks.core.errors import EngineUnavailable, InputRejected, Permanent
from tasks.core.job import JobContext

PACKAGE = "vacalibration"
_MAX_FILE_BYTES = 128 * 2**20
# The package's data are read without loading its code, which would load Stan. What R leaves here is read in Python.
_CODE = f"""
function(library, folder) {{
  .libPaths(c(library, .libPaths()))
  found <- new.env()
  for (name in c({", ".join(f'"{name}"' for name in OBJECTS)})) {{
    if (nzchar(system.file(package = "{PACKAGE}")) && !length(ls(found))) {{
      suppressWarnings(utils::data(list = name, package = "{PACKAGE}", envir = found))
    }}
  }}
  if (length(ls(found))) {{
    saveRDS(get(ls(found), found), file.path(folder, "matrices.rds"), version = 2)
    writeLines(as.character(utils::packageVersion("{PACKAGE}")), file.path(folder, "version"))
  }}
}}
"""

# Keeps matrices for the tenant of a job, given the job's id and what they are from.
Keep = Callable[[str, Inventory, ImportRequest, str], ImportedMatrices]


@dataclass(frozen=True, slots=True)
class Importer:
    """The engine, with what it is given.

    Args:
        library: an R library that is looked into before R's own.
        keep: where matrices go.
    """

    library: Path
    keep: Keep

    def __call__(self, request: ImportRequest, job: JobContext) -> ImportedMatrices:
        """Read the matrices, and keep them.

        Raises:
            EngineUnavailable: they should come from the package, and it is not installed.
            InputRejected: the file holds no usable matrices.
            Permanent: the package's matrices are not as we know them.
        """
        names = Names.with_also(algorithms=request.also_algorithms, countries=request.also_countries)
        if request.file is None:
            inventory, source = self._of_package(names, job)
        else:
            inventory, source = _of_file(request.file.upload, names, job), request.source
        job.report("keep", 1, 2)
        answer = self.keep(job.id, inventory, request, source)
        job.report("keep", 2, 2)
        return answer

    def _of_package(self, names: Names, job: JobContext) -> tuple[Inventory, str]:
        folder = job.workdir / "r"
        folder.mkdir()
        run_rscript(Run(self.library, folder, Console(_Log(job)), job.checkpoint, _CODE))
        file = folder / "matrices.rds"
        if not file.is_file():
            raise EngineUnavailable(
                f"The R package {PACKAGE}, with its matrices, is not in the worker's R: install it there "
                f"(install.packages({PACKAGE!r})), or import a file."
            )
        try:
            inventory = read_matrix_list(file.read_bytes(), names)
        except InventoryRefused as exc:
            raise Permanent(f"The matrices of {PACKAGE} are not as expected: {' '.join(exc.problems[:3])}") from exc
        return inventory, f"R package {PACKAGE} {(folder / 'version').read_text().strip()}"


def _of_file(upload_id: str, names: Names, job: JobContext) -> Inventory:
    with job.open(upload_id) as file:
        content = file.read(_MAX_FILE_BYTES + 1)
    if len(content) > _MAX_FILE_BYTES:
        raise InputRejected(f"The file has over {_MAX_FILE_BYTES:,} bytes: leave samples out.", field="file")
    try:
        return read_matrix_file(content, names)
    except InventoryRefused as exc:
        raise InputRejected(" ".join(exc.problems[:5]), field="file") from exc


@dataclass(frozen=True, slots=True)
class _Log:
    """Hears what R says while it loads."""

    job: JobContext

    def line(self, line: str, *, is_error: bool) -> None:
        self.job.log(line, level="warning" if is_error else "info", stream="r-stderr" if is_error else "r-stdout")

    def progress(self, stage: str, done: int, total: int, fit: str) -> None:
        """Hear nothing: loading says none."""
