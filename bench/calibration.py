"""Hold the engine of `calibration.va` against published numbers, and time it.

    python -m bench.calibration --data ../shared/data/va

`--data` names a folder with `cases.json` (cases with expected means, intervals and tolerances) and `matrices.csv`.
Prints one JSON document: {"cases": [{"case", "engine", "worst_ratio", "seconds", "ess_min", "rhat_max", "ess_per_s"}],
"engines": [the same, and "peak_mb"]}. `worst_ratio` is the largest error of a mean or of a bound of an interval, as a
multiple of its tolerance. `engines` has every engine there is (the sampler in C and in plain R, and the published
package where it is installed) on the case with the most deaths, each in an R process of its own, whose start counts.
"""

import argparse
import csv
import json
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from pydantic import ValidationError

from tasks.calibration.contract import CalibrationRequest
from tasks.calibration.engine.calibrate import Bridge, Calibrator
from tasks.calibration.engine.exchange import Answer
from tasks.core.errors import AppError
from workers.preflight import find_capabilities

Case = dict[str, Any]


@dataclass
class QuietJob:
    """A job that nobody watches."""

    workdir: Path
    saved: dict[str, bytes] = field(default_factory=dict)

    def report(self, stage: str, done: float, total: float | None = None, message: str = "") -> None:
        """Forget it."""

    def log(self, line: str, *, level: str = "info", stream: str = "engine") -> None:  # noqa: ARG002  # the protocol's signature
        """Show what R complains of."""
        if stream == "r-stderr":
            sys.stderr.write(line + "\n")

    def save(self, name: str, content: bytes | Path, media_type: str) -> None:  # noqa: ARG002  # the protocol's signature
        """Keep it in memory."""
        self.saved[name] = content if isinstance(content, bytes) else content.read_bytes()

    def checkpoint(self) -> None:
        """Go on."""


def request_of(case: Case, data: Path, **knobs: object) -> CalibrationRequest:
    """Make the request of one case."""
    given = case["input"]
    names = list(given["va_data"])
    wanted: dict[str, Any] = {
        "va_data": {name: {"counts": counts} for name, counts in given["va_data"].items()},
        "missmat": matrices_of(case, data),
        "missmat_type": given["missmat_type"],
        "donotcalib_type": given["donotcalib_type"],
        "nocalib_threshold": given["nocalib_threshold"],
        "path_correction": given["path_correction"],
        "pshrink_strength": None if given["path_correction"] else given["pshrink_strength"],
    }
    if isinstance(given["donotcalib"], dict):
        wanted["donotcalib"] = {
            name: [causes] if isinstance(causes, str) else list(causes) for name, causes in given["donotcalib"].items()
        }
    if given.get("studycause_map"):
        wanted["studycause_map"] = given["studycause_map"]
    if given.get("ensemble") is not None and len(names) > 1:
        wanted["ensemble"] = given["ensemble"]
    return CalibrationRequest.model_validate(wanted | knobs)


def matrices_of(case: Case, data: Path) -> dict[str, Any]:
    """Return the case's own matrices, or those of the inventory that it names."""
    given = case["input"]
    if isinstance(given["missmat"], dict):
        kind = "samples" if given["missmat_type"] == "samples" else "rows"
        return {name: {"causes": case["causes"], kind: rows} for name, rows in given["missmat"].items()}
    column = "postmean" if given["missmat_type"] == "fixed" else "dirichlet"
    inventory: dict[tuple[str, str], dict[tuple[str, str], float]] = {}
    with (data / "matrices.csv").open() as file:
        for row in csv.DictReader(file):
            if row["age_group"] == given["age_group"]:
                cells = inventory.setdefault((row["algorithm"], row["country"]), {})
                cells[row["true_cause"], row["va_cause"]] = float(row[column])
    found = {}
    for name in given["va_data"]:
        country = given["country"] if (name, given["country"]) in inventory else "other"
        cells = inventory[name, country]
        causes = list(dict.fromkeys(true for true, _ in cells))
        found[name] = {"causes": causes, "rows": [[cells[true, va] for va in causes] for true in causes]}
    return found


def worst_ratio(case: Case, answer: Answer) -> float:
    """Return the largest error over its tolerance, over all fits, causes, means and bounds."""
    ratios = []
    for fit, expected in case["expected"].items():
        rows = {row["cause"]: row for row in answer.summary if row["fit"] == fit}
        for index, cause in enumerate(case["causes"]):
            row = rows[cause]
            found = {name: float(row[name] or row["mean"]) for name in ("mean", "lower", "upper")}
            pairs = (
                ("mean", "mean", "tol_mean"),
                ("lower", "lower95", "tol_bounds"),
                ("upper", "upper95", "tol_bounds"),
            )
            for name, theirs, tolerance in pairs:
                ratios.append(abs(found[name] - expected[theirs][index]) / expected[tolerance][index])
    return float(np.max(ratios))


def run_case(case: Case, data: Path, calibrator: Calibrator, **knobs: object) -> dict[str, object]:
    """Run one case and tell how near it came."""
    request = request_of(case, data, **knobs)
    intake = request.take_in()
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        answer = calibrator.run(request, intake, QuietJob(Path(folder)), cores=min(request.chains, 2))  # type: ignore[arg-type]
        seconds = time.perf_counter() - began
    sizes = [float(row["ess_bulk_min"]) for row in answer.fits if row["ess_bulk_min"]]
    rhats = [float(row["rhat_max"]) for row in answer.fits if row["rhat_max"]]
    return {
        "case": case["case"],
        "engine": f"{request.engine}/{answer.versions['sampler']}",
        "worst_ratio": round(worst_ratio(case, answer), 3),
        "seconds": round(seconds, 3),
        "ess_min": round(min(sizes)) if sizes else None,
        "rhat_max": round(max(rhats), 4) if rhats else None,
        "ess_per_s": round(min(sizes) / seconds) if sizes else None,
    }


def measured(case: Case, data: Path, library: Path, knobs: dict[str, object]) -> dict[str, object]:
    """Run one case by an R process of its own, and tell its peak memory."""
    is_over = threading.Event()
    with ThreadPoolExecutor(1) as watcher:
        peak_kb = watcher.submit(peak_of_children_kb, is_over)
        try:
            told = told_of(case, data, Calibrator("rscript", library), **knobs)
        finally:
            is_over.set()
        return told | {"peak_mb": peak_kb.result() // 1024}


def peak_of_children_kb(is_over: threading.Event) -> int:
    """Return the largest resident memory of a child; what the system counts at its end has this process's in it."""
    most = 0
    while not is_over.wait(0.01):
        for child in psutil.Process().children(recursive=True):
            with suppress(OSError, psutil.Error):
                if child.name() != "R":  # not yet; until then it is a copy of this process
                    continue
                status = Path(f"/proc/{child.pid}/status").read_text()
                most = max([most, *(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))])
    return most


def compared(case: Case, data: Path, library: Path) -> list[dict[str, object]]:
    """Run one case by every engine there is."""
    engines: list[dict[str, object]] = [{"sampler": "c"}, {"sampler": "r"}]
    if "vacalibration" in find_capabilities(library):
        engines.append({"engine": "vacalibration"})
    return [measured(case, data, library, knobs) for knobs in engines]


def deaths_of(case: Case) -> int:
    """Count the deaths of all algorithms."""
    return sum(sum(counts.values()) for counts in case["input"]["va_data"].values())


def told_of(case: Case, data: Path, calibrator: Calibrator, **knobs: object) -> dict[str, object]:
    """Run one case; one that is refused or fails is told of, and the others still run."""
    try:
        return run_case(case, data, calibrator, **knobs)
    except (ValidationError, AppError) as exc:
        return {"case": case["case"], "error": str(exc)}


def main() -> None:
    """Run every case and print the document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with cases.json and matrices.csv")
    parser.add_argument("--bridge", choices=("rpy2", "rscript"), default="rpy2")
    parser.add_argument("--sampler", choices=("c", "r"), default="c")
    parser.add_argument(
        "--no-engines", action="store_true", help="leave out the comparison, of which plain R takes most"
    )
    parser.add_argument("--library", type=Path, default=Path(sys.prefix) / "r-library")
    parser.add_argument("--case", action="append", help="only this case; may be given several times")
    chosen = parser.parse_args()
    bridge: Bridge = chosen.bridge
    calibrator = Calibrator(bridge=bridge, library=chosen.library)
    cases = json.loads((chosen.data / "cases.json").read_text())["cases"]
    told = [
        told_of(case, chosen.data, calibrator, sampler=chosen.sampler)
        for case in cases
        if chosen.case is None or case["case"] in chosen.case
    ]
    document = {"cases": told}
    if not chosen.no_engines:
        document["engines"] = compared(max(cases, key=deaths_of), chosen.data, chosen.library)
    print(json.dumps(document, indent=1))


if __name__ == "__main__":
    main()
