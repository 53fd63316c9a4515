"""The same calibration again is answered from the earlier one, and says so."""

import hashlib
import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tasks.calibration.contract import CalibrationRequest
from tasks.calibration.engine.exchange import has_ensemble, shrinkage_of
from tasks.calibration.intake import Intake
from tasks.calibration.results import CacheMark, CalibrationResult
from tasks.core.errors import EngineUnavailable
from tasks.core.job import Engine, JobContext
from tasks.core.known_results import KnownResult, KnownResults, carried_over
from tasks.core.version import VERSION

# Its library may be one that R does not know of.
_VERSIONS = """
.libPaths(c(commandArgs(TRUE)[1], .libPaths()))
cat(paste(c("vacalibration", "rstan"), vapply(c("vacalibration", "rstan"), function(name) {
  tryCatch(as.character(utils::packageVersion(name)), error = function(e) "absent")
}, "")), sep = ", ")
"""
_R_LIMIT_S = 60.0
# The intake stands for what was sent, however it was spelled; the rest changes no number.
_NOT_IN_KEY = frozenset({"va_data", "missmat", "cores", "use_cache"})


def key_of(request: CalibrationRequest, intake: Intake, *, engine: str) -> str:
    """Return what two requests share exactly when they have the same answer, as SHA-256 in hexadecimal.

    Args:
        engine: everything about the installation that the numbers may depend on.
    """
    same = {
        "engine": engine,
        "parameters": request.model_dump(mode="json", exclude=set(_NOT_IN_KEY))
        | {"ensemble": has_ensemble(request), "pshrink_strength": shrinkage_of(request)},
        "causes": intake.causes,
        "broad": intake.broad,
        # Lists, because the order of algorithms is that of the fits, and so of their random numbers.
        "counts": list(intake.counts.items()),
        "matrices": [(name, matrix.causes, matrix.draws) for name, matrix in intake.matrices.items()],
        "excluded": sorted(intake.excluded.items()),
        "dropped": sorted((name, sorted(reasons.items())) for name, reasons in intake.dropped.items()),
        "notes": intake.notes,
    }
    return hashlib.sha256(json.dumps(same, sort_keys=True).encode()).hexdigest()


def engine_stamp(library: Path, request: CalibrationRequest, *, bridge: str) -> str:
    """Return what tells one installation of the engine from another: versions, and the R package as it was built.

    Raises:
        EngineUnavailable: the request is for the published package, and R cannot be asked for its version.
    """
    description = library / "switchyardcalib" / "DESCRIPTION"
    built = hashlib.sha256(description.read_bytes()).hexdigest() if description.is_file() else "absent"
    published = f", {_published_versions(library)}" if request.engine == "vacalibration" else ""
    return f"switchyard {VERSION}, {bridge}, switchyardcalib {built}{published}"


def _published_versions(library: Path) -> str:
    command = ["Rscript", "--vanilla", "-e", _VERSIONS, str(library)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_R_LIMIT_S, check=True)
    except (OSError, subprocess.SubprocessError) as exc:
        raise EngineUnavailable(f"R cannot tell which vacalibration is installed: {exc}") from exc
    return done.stdout.strip()


@dataclass(frozen=True, slots=True)
class CachingCalibrator:
    """A calibrator that looks before it works.

    Args:
        calibrate: does the work.
        known: where earlier answers are.
        stamp: see ``engine_stamp``; told the request.
    """

    calibrate: Engine[CalibrationRequest]
    known: KnownResults
    stamp: Callable[[CalibrationRequest], str]

    def __call__(self, request: CalibrationRequest, job: JobContext) -> CalibrationResult:
        """Calibrate, unless an earlier job of the same tenant has the answer; then carry over what that one left."""
        key = key_of(request, request.take_in(job.open), engine=self.stamp(request))
        if request.use_cache:
            earlier = self.known.find(job.id, key=key)
            answer = None if earlier is None else _carried_over(earlier, job)
            self.known.count(job.id, key=key, hit=answer is not None)
            if answer is not None:
                return answer
        result = self.calibrate(request, job)
        assert isinstance(result, CalibrationResult)  # noqa: S101  # engines are typed by their requests alone
        self.known.remember(job.id, fence=job.fence, key=key)
        return result


def _carried_over(earlier: KnownResult, job: JobContext) -> CalibrationResult | None:
    """Make the earlier answer this job's own, files included; None when it cannot be had whole any more."""
    result = carried_over(earlier, job, model=CalibrationResult, needs=lambda answer: answer.artifacts)
    if result is None:
        return None
    job.log(f"Answered from the earlier result of job {earlier.job_id}; use_cache: false computes it again.")
    job.report("cache", 100.0, 100.0, f"from job {earlier.job_id}")
    return result.model_copy(update={"cache": CacheMark(hit=True, job=earlier.job_id, at=earlier.at)})
