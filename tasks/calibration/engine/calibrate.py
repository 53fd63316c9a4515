"""One calibration from request to result."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tasks.calibration.contract import CalibrationRequest
from tasks.calibration.engine.bridge import Run
from tasks.calibration.engine.calls import Calls
from tasks.calibration.engine.console import Console
from tasks.calibration.engine.embedded import run_embedded
from tasks.calibration.engine.exchange import Answer, has_ensemble, read_answer, write_request
from tasks.calibration.engine.fits import ENSEMBLE
from tasks.calibration.engine.outputs import Outputs, check_outputs, output_names
from tasks.calibration.engine.report import build_result
from tasks.calibration.engine.rscript import run_rscript
from tasks.calibration.intake import Intake
from tasks.calibration.results import CalibrationResult
from tasks.core.job import JobContext

Bridge = Literal["rpy2", "rscript"]
# Shares of the whole work, in percent: R prepares, corrects paths and fits, then Python writes tables and draws.
_PREPARED_AT, _CORRECTED_AT, _FITTED_AT = 2.0, 5.0, 85.0


@dataclass(frozen=True, slots=True)
class Calibrator:
    """The engine, with what the operator decides about it.

    Args:
        bridge: how R runs: inside this process by rpy2, or as a process of its own. The published package always
            gets a process: it may load Java, which R inside Python does not find, and keeps hundreds of megabytes.
        library: the R library that holds our package.
    """

    bridge: Bridge
    library: Path

    def __call__(self, request: CalibrationRequest, job: JobContext) -> CalibrationResult:
        """Calibrate, and keep the tables as artifacts.

        Raises:
            EngineUnavailable: R, rpy2, our R package or a library for the artifacts is missing.
            EngineFailed: R failed.
        """
        check_outputs(request)
        intake = request.take_in(job.open)
        cores = 1 if _is_published(request) else request.cores or min(request.chains, len(os.sched_getaffinity(0)))
        answer = self.run(request, intake, job, cores=cores)
        names = output_names(request, intake, answer)
        bridge = self._bridge_for(request)
        result = build_result(request, intake, answer, bridge=bridge, artifacts=names, cores=cores)
        Outputs(request, result, answer).save(job, begin=_FITTED_AT, end=99.0)
        for note in result.notes:
            job.log(note, level="warning")
        job.report("done", 100.0, 100.0)
        return result

    def run(self, request: CalibrationRequest, intake: Intake, job: JobContext, *, cores: int) -> Answer:
        """Let R do the numbers, in a folder of this job's own."""
        folder = job.workdir / "r"
        folder.mkdir()
        tokens = write_request(folder, request, intake, cores=cores)
        fits = len(intake.counts) + has_ensemble(request)
        console = Console(_Viewers(job, fits))
        run = Run(self.library, folder, console, job.checkpoint)
        if self._bridge_for(request) == "rpy2":
            run_embedded(run)
        else:
            run_rscript(run)
        return read_answer(folder, intake, tokens)

    def _bridge_for(self, request: CalibrationRequest) -> Bridge:
        return "rscript" if _is_published(request) else self.bridge


def _is_published(request: CalibrationRequest) -> bool:
    return request.engine == "vacalibration"


def _fitted(share: float) -> float:
    return _CORRECTED_AT + (_FITTED_AT - _CORRECTED_AT) * share


class _Viewers:
    """Tells a job's viewers what R says. Fits count alike, and a fit that goes on never goes back."""

    def __init__(self, job: JobContext, fits: int) -> None:
        self._job = job
        self._fits = fits
        self._begun: list[str] = []
        self._percent = 0.0
        self._calls = Calls(fits)

    def line(self, line: str, *, is_error: bool) -> None:
        """Take one line that R printed."""
        if self._calls.hear(line):
            self._tell_calls()
        self._job.log(line, level="warning" if is_error else "info", stream="r-stderr" if is_error else "r-stdout")

    def progress(self, stage: str, done: int, total: int, fit: str) -> None:
        """Take word of how far R is."""
        share = done / total if total else 1.0
        match stage:
            case "prepare":
                self._tell(stage, _PREPARED_AT * share, "matrices")
            case "path_correction":
                percent = _PREPARED_AT + (_CORRECTED_AT - _PREPARED_AT) * share
                self._tell(stage, percent, f"path correction: {fit}")
            case "chain":
                self._calls.begin(done, total)
                self._tell_calls()
            case _:
                stage, step = self._step(fit)
                message = "all algorithms together" if stage == ENSEMBLE else f"fit {step} of {self._fits}: {fit}"
                self._tell(stage, _fitted((step - 1 + share) / self._fits), message)

    def _tell_calls(self) -> None:
        self._tell("fit", _fitted(self._calls.share), self._calls.message)

    def _tell(self, stage: str, percent: float, message: str) -> None:
        self._percent = max(self._percent, percent)
        self._job.report(stage, self._percent, 100.0, message)

    def _step(self, fit: str) -> tuple[str, int]:
        if fit not in self._begun:
            self._begun.append(fit)
        return ENSEMBLE if fit == ENSEMBLE else "fit", len(self._begun)
