"""R that misbehaves, run exactly as calibrations run R."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tasks.calibration.engine.bridge import CODE, Run
from tasks.calibration.engine.console import Console
from tasks.calibration.engine.embedded import run_embedded
from tasks.calibration.engine.rscript import run_rscript
from tasks.core.job import JobContext
from tests.faulty.contract import ActResult, RRequest

# What calibrations do first, up to where they call our package: R's temporary folder moves into the job's.
_BEGIN = CODE[CODE.index("unlink") : CODE.index("loadNamespace")]
_MARK = 'cat("R is at work\\n"); writeLines("left behind", tempfile());'
_ACTS: Mapping[str, str] = {
    "answer": "",
    "loop": "repeat {}",
    "sleep": "Sys.sleep(1000)",
    "system": 'system("exec sleep 1000")',
    "crash": "tools::pskill(Sys.getpid(), 11); Sys.sleep(1000)",
    "gobble": "hoard <- list(); repeat { hoard[[length(hoard) + 1]] <- rep(1, 4e6); Sys.sleep(0.05) }",
    "unmemorable": "numeric(1e15)",
}


@dataclass(frozen=True, slots=True)
class RActs:
    """Leaves a trace of this start, then lets R behave as asked."""

    library: Path

    def __call__(self, request: RRequest, job: JobContext) -> ActResult:
        act = request.act if job.attempt <= request.until_attempt else "answer"
        folder = job.workdir / "r"
        folder.mkdir()
        code = f"function(library, folder) {{ {_BEGIN} {_MARK} {_ACTS[act]} }}"
        run = Run(self.library, folder, Console(_Trace(request, job)), job.checkpoint, code)
        (run_embedded if request.bridge == "rpy2" else run_rscript)(run)
        return ActResult(attempt=job.attempt, fence=job.fence)


@dataclass(frozen=True, slots=True)
class _Trace:
    """Notes the start once R itself has said that it works."""

    request: RRequest
    job: JobContext

    def line(self, line: str, *, is_error: bool) -> None:
        self.job.log(line, level="warning" if is_error else "info")
        if line == "R is at work":
            with Path(self.request.effects).open("a", encoding="utf-8") as effects:
                effects.write(f"{self.job.id} {self.job.attempt} {self.job.fence}\n")

    def progress(self, stage: str, done: int, total: int, fit: str) -> None:
        self.job.report(stage, done, total, fit)
