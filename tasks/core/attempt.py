"""One attempt as its engine sees it: the ``JobContext`` that ``core.run`` passes in."""

import json
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from tasks.core.domain_events import Emissions
from tasks.core.errors import InputRejected, JobCancelled, JobSuperseded, LedgerUnavailable
from tasks.core.job import JobContext
from tasks.core.kernel import Kernel
from tasks.core.ledger import queries, transitions
from tasks.core.narrator import Narrator
from tasks.core.places import keepdir_of, sharedir_of
from tasks.core.records import Job, JobState
from tasks.core.relay import Opening
from tasks.core.storable import storable

if TYPE_CHECKING:
    from tasks.core.browser import JobBrowser
    from tasks.core.egress import Egress

# How often a checkpoint really looks into the ledger; the calls between cost a clock read.
_PULSE_S = 0.5
# How often the newest report is kept in the ledger, besides the live stream.
_KEEP_PROGRESS_S = 5.0
# An attempt shows that it lives four times in what its kind allows it to be silent, and at least this often.
_LONGEST_SIGN_PAUSE_S = 5.0
_RESUME_LIMIT_BYTES = 64 * 1024


class ResumeState:
    """Small state kept across attempts, in the job's row."""

    def __init__(self, kernel: Kernel, job: Job) -> None:
        self._kernel = kernel
        self._job = job

    def load(self) -> dict[str, object] | None:
        """Return what the newest earlier attempt saved, or None."""
        return self._job.resume

    def save(self, state: dict[str, object]) -> None:
        """Keep ``state``; see ``tasks.core.job.Resume``."""
        size = len(json.dumps(state))
        if size > _RESUME_LIMIT_BYTES:
            raise InputRejected(f"Resume state is {size} bytes; keep it under {_RESUME_LIMIT_BYTES}.", field="state")
        if not transitions.keep_resume_state(self._kernel.ledger, self._job.id, fence=self._job.fence, resume=state):
            raise JobSuperseded


class Attempt:
    """Implements ``tasks.core.job.JobContext`` on the kernel."""

    def __init__(
        self,
        kernel: Kernel,
        job: Job,
        *,
        workdir: Path,
        open_http: "Callable[[], Egress]",
        open_browser: "Callable[[JobContext], JobBrowser]",
        opening: Opening | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.id = job.id
        self.attempt = job.attempt
        self.fence = job.fence
        self.resume = ResumeState(kernel, job)
        self.emissions = Emissions()
        self.last_progress: dict[str, Any] | None = None
        self._kernel = kernel
        self._tenant_id = job.tenant_id
        self._clock = clock
        self._workdir = workdir
        self._open_http = open_http
        self._http: Egress | None = None
        self._open_browser = open_browser
        self._browser: JobBrowser | None = None
        folder = partial(kernel.artifacts.folder, job.id, job.fence)
        self._narrator = Narrator(kernel.events, job, folder, opening=opening, clock=clock)
        self._looked_at = clock()
        self._kept_at = clock()
        self._signed_at = clock()
        self._sign_every_s = None if job.silence_s is None else min(_LONGEST_SIGN_PAUSE_S, job.silence_s / 4)
        self._stage: tuple[str, float, float] | None = None

    @property
    def workdir(self) -> Path:
        """The attempt's private folder, made when it is first asked for."""
        self._workdir.mkdir(parents=True, exist_ok=True)
        return self._workdir

    @property
    def keepdir(self) -> Path:
        """The folder that the job's attempts on this machine share, made when it is first asked for."""
        folder = keepdir_of(self._kernel.settings.state_dir, self.id)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    @property
    def sharedir(self) -> Path:
        """The folder that all jobs on this machine share, made when it is first asked for."""
        folder = sharedir_of(self._kernel.settings.state_dir)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    @property
    def http(self) -> "Egress":
        """The way out, opened when it is first asked for."""
        if self._http is None:
            self._http = self._open_http()
        return self._http

    @property
    def browser(self) -> "JobBrowser":
        """The worker child's browser, for this attempt."""
        if self._browser is None:
            self._browser = self._open_browser(self)
        return self._browser

    def report(self, stage: str, done: float, total: float | None = None, message: str = "") -> None:
        """Tell viewers how far the work is; see ``tasks.core.job.JobContext``."""
        at = self._clock()
        if self._stage is None or self._stage[0] != stage:
            self._stage = (stage, at, done)
        progress = {
            "percent": round(min(100.0, max(0.0, 100.0 * done / total)), 2) if total else None,
            "stage": storable(stage)[:100],
            "step": done,
            "total": total,
            "message": storable(message)[:500],
            "eta_s": self._eta_s(at, done, total),
        }
        self.last_progress = progress
        self._narrator.progress(progress)
        if at - self._kept_at >= _KEEP_PROGRESS_S:
            self._kept_at = at
            self._keep(progress)
        self.checkpoint()

    def _keep(self, progress: dict[str, Any]) -> None:
        try:
            owned = transitions.note_progress(self._kernel.ledger, self.id, fence=self.fence, progress=progress)
        except LedgerUnavailable:
            return  # the next report is kept, or the last one with the end
        self._signed_at = self._clock()
        if not owned:
            raise JobSuperseded

    def _show_life(self, at: float) -> None:
        """Let the job's ``signs`` grow, where its kind may not be silent for long."""
        if self._sign_every_s is None or at - self._signed_at < self._sign_every_s:
            return
        self._signed_at = at
        # Who is superseded hears of it at the next checkpoint. Without a ledger nobody is taken for silent either.
        with suppress(LedgerUnavailable):
            transitions.note_sign(self._kernel.ledger, self.id, fence=self.fence)

    def _eta_s(self, at: float, done: float, total: float | None) -> float | None:
        assert self._stage is not None  # noqa: S101  # set by report
        _, began_at, began_done = self._stage
        if not total or done <= began_done or at <= began_at:
            return None
        return round((total - done) * (at - began_at) / (done - began_done), 1)

    def log(self, line: str, *, level: str = "info", stream: str = "engine") -> None:
        """Add one line to the job's log."""
        self._narrator.log(storable(line), level=level, stream=stream)
        self._show_life(self._clock())

    def delta(self, data: dict[str, Any]) -> None:
        """Show viewers a piece of the result; see ``tasks.core.job.JobContext``."""
        self._narrator.delta(data)
        self._show_life(self._clock())

    def save(self, name: str, content: bytes | Path, media_type: str) -> None:
        """Keep an artifact; see ``tasks.core.job.JobContext``."""
        record = self._kernel.artifacts.save(
            self.id, name, content, fence=self.fence, attempt=self.attempt, media_type=media_type
        )
        self._narrator.artifact(
            {"name": name, "size_bytes": record.size_bytes, "media_type": media_type, "href": record.href}
        )

    def open(self, upload_id: str) -> BinaryIO:
        """Open an upload; see ``tasks.core.job.JobContext``."""
        return self._kernel.uploads.open(self._tenant_id, upload_id)

    def emit(self, type_: str, data: dict[str, Any]) -> None:
        """Keep a domain event for the end; see ``tasks.core.job.JobContext``."""
        self.emissions.add(type_, data)

    def checkpoint(self) -> None:
        """Stop here if the attempt must not go on; see ``tasks.core.job.JobContext``."""
        at = self._clock()
        self._show_life(at)
        if at - self._looked_at < _PULSE_S:
            return
        self._looked_at = at
        try:
            pulse = queries.pulse(self._kernel.ledger, self.id)
        except LedgerUnavailable:
            return  # the work goes on; nobody can cancel it or take it over while the ledger is away
        if pulse is None or pulse.state != JobState.RUNNING or pulse.fence != self.fence:
            raise JobSuperseded
        if pulse.cancel_requested:
            raise JobCancelled

    def close(self) -> None:
        """Send what is still to be told, the last report and every log line, and give back what was opened."""
        self._narrator.close()
        if self._http is not None:
            self._http.close()
