"""The blocking client."""

import os
import ssl
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack, overload

from pydantic import BaseModel

from client import address, calls
from client.batches import Batches
from client.blocking import BlockingShell, EventStream, MonitorStream
from client.calibration import Calibration
from client.calls import Call, JobFilters, Needs, SubmitOptions
from client.choosing import Backend, Chooser
from client.connectors import Connectors
from client.control import Control
from client.deaths import calibration_params
from client.discovery import DomainOutcome, discover
from client.domain import LATEST, DomainReading, awaited_event, beginning
from client.downloading import downloaded, named_as, target_path
from client.following import Follower
from client.knowledge import Knowledge
from client.limits import Limits
from client.matrices import Matrices
from client.models import (
    Advice,
    Artifact,
    BackendInfo,
    Chain,
    Change,
    DomainEvent,
    Job,
    Kind,
    LogLine,
    Page,
    Presets,
    QueueInfo,
    Upload,
    WorkerInfo,
)
from client.modes import Choice, Mode
from client.monitoring import MonitorFilters, MonitorReading
from client.pages import PagesFormat
from client.patience import performed, waited
from client.schedules import Schedules
from client.sites import Sites
from client.steps import Notice
from client.tools import Tools
from client.uploading import Content, OnProgress, submitted, uploaded
from client.webhooks import Webhooks

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)

# Between two looks for new log lines of a running job.
LOG_POLL_S = 1.0


class Switchyard:
    """A Switchyard server, over HTTP. Safe to share between threads; a context manager, or call ``close()``.

    Args:
        url: the server; else ``SWITCHYARD_URL``, else what ``make up`` left in ``var/up.json``, else port 8000 here.
        api_key: sent as a bearer token; else ``SWITCHYARD_API_KEY``, else from the same file.
        limits: how long to wait and how often to try again.
        tls: for a private certificate authority or a client certificate.
        on_notice: called with each ``Notice`` about a connection that was made, lost, found again or refused.
        backend: ``auto`` takes a server of the client's own, started if need be, where nothing answers at the address;
            ``local`` takes that at once; ``queue`` submits every job for Celery's workers alone. See docs/client.md.
        mode: how events travel: ``auto`` tries SSE, then WebSocket, then polling; ``http`` leaves out the WebSocket;
            ``sse``, ``websocket`` and ``polling`` are that alone. Everything else goes over HTTP.
    Raises:
        ConfigurationRefused: the address makes no sense. Nothing is connected before the first call.
    """

    def __init__(
        self,
        url: str | None = None,
        api_key: str | None = None,
        *,
        limits: Limits | None = None,
        tls: ssl.SSLContext | None = None,
        on_notice: Callable[[Notice], object] | None = None,
        backend: Backend | None = None,
        mode: Choice = "auto",
    ) -> None:
        self._limits = limits or Limits()
        self._mode = Mode(mode, self._limits)
        self._backend = backend
        chooser = Chooser(backend, limits=self._limits, tls=tls, on_notice=on_notice)
        self._shell = BlockingShell(address.resolve(url, api_key), tls=tls, on_notice=on_notice, chooser=chooser)

    @property
    def url(self) -> str:
        """The server's address; with a ``backend`` of ``auto`` or ``local``, known for good after the first call."""
        return self._shell.address.url

    @property
    def mode(self) -> str:
        """What carries events: ``sse``, ``websocket`` or ``polling``; before the first one, what was asked for."""
        return self._mode.now

    def close(self) -> None:
        """Close every connection."""
        self._shell.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def submit(
        self,
        kind: str,
        params: Mapping[str, Any] | BaseModel | None = None,
        *,
        files: Mapping[str, Content | Upload] | None = None,
        **options: Unpack[SubmitOptions],
    ) -> Job:
        """Submit a job; return its record as soon as the server has it for good.

        A lost connection or a 503 is tried again: the same idempotency key goes with every try, so one submit makes
        one job.

        Args:
            files: what to upload first (see ``upload``), or has been uploaded, by the place in ``params`` that names
                it: ``{"va_data.insilicova": "deaths.csv"}``.
        Raises:
            InputRejected: a field was refused; ``errors`` names each.
            UnknownKind: there is no such kind.
            IdempotencyKeyReused: your key stands for another request.
            ConnectionFailed, Unavailable: not accepted within the limit.
        """
        return self._shell.run(submitted(kind, params, files or {}, self._options(options), limits=self._limits))

    def _options(self, options: SubmitOptions) -> SubmitOptions:
        return {"backend": "queue", **options} if self._backend == "queue" else options

    def run(
        self,
        kind: str,
        params: Mapping[str, Any] | BaseModel | None = None,
        *,
        files: Mapping[str, Content | Upload] | None = None,
        run_timeout_s: float | None = None,
        check: bool = True,
        **options: Unpack[SubmitOptions],
    ) -> Job:
        """Submit and wait for the end; ``run_timeout_s`` limits the waiting, ``timeout_s`` the job itself."""
        return self.wait(self.submit(kind, params, files=files, **options).id, timeout_s=run_timeout_s, check=check)

    def calibrate(
        self,
        data: object,
        *,
        algorithm: str | None = None,
        age_group: str | None = None,
        country: str | None = None,
        options: SubmitOptions | None = None,
        **params: Any,
    ) -> Calibration:
        """Submit a calibration of causes of death; the object returned waits where its outcome is asked for.

        Args:
            data: the deaths that ``algorithm`` assigned: a path (large files are uploaded), a pandas DataFrame,
                records, or counts by cause.
                Without ``algorithm``, a dict of these by algorithm, which are calibrated together too.
            age_group: ``neonate`` or ``child``.
            country: whose matrices to take from the imported ones; ``other`` for the pooled ones.
            options: what any job may set, such as ``priority``.
            params: any other parameter of ``calibration.va``, such as ``missmat`` or ``draws``.
        Raises:
            InputRejected: something does not fit; ``errors`` names each field, the value and the remedy.
        """
        given = calibration_params(
            data, algorithm=algorithm, age_group=age_group, country=country, send=self._send, **params
        )
        return Calibration(self, self.submit("calibration.va", given, **(options or {})))

    def preview_calibration(self, data: object, *, algorithm: str | None = None, **params: Any) -> dict[str, Any]:
        """Tell at once what ``calibrate`` with the same arguments would do: counts, what is left out, warnings."""
        given = calibration_params(data, algorithm=algorithm, send=self._send, **params)
        return self._perform(calls.preview_calibration(given))

    def _send(self, path: Path) -> Mapping[str, str]:
        return self.upload(path).ref

    @property
    def matrices(self) -> Matrices:
        """The sets of misclassification matrices that calibrations may name."""
        return Matrices(self._perform)

    @property
    def batches(self) -> Batches:
        """Many jobs in one request, watched and cancelled as one."""
        return Batches(self._shell.run, self._limits)

    @property
    def knowledge(self) -> Knowledge:
        """Documents and crawled pages that are known: searched, looked after, indexed anew."""
        return Knowledge(self._perform)

    @property
    def tools(self) -> Tools:
        """The tools that discoveries found on websites."""
        return Tools(self._perform, self.wait, backend="queue" if self._backend == "queue" else "auto")

    @property
    def sites(self) -> Sites:
        """The sites that were published."""
        return Sites(self._shell.run, self._limits, self._options)

    @property
    def schedules(self) -> Schedules:
        """Your schedules: jobs that come again and again."""
        return Schedules(self._perform)

    @property
    def connectors(self) -> Connectors:
        """How services of others are spoken to."""
        return Connectors(self._perform, self.run)

    @property
    def webhooks(self) -> Webhooks:
        """Your webhooks, and what was sent to them."""
        return Webhooks(self._perform)

    @property
    def control(self) -> Control:
        """Pauses, purges, limits and who changed what: for operators."""
        return Control(self._perform)

    def wait(self, job_id: str, timeout_s: float | None = None, *, check: bool = True) -> Job:
        """Wait for a job's end; return its final record.

        Raises:
            WaitTimedOut: the time is over. The job goes on, and nothing of the waiting is left behind.
            JobFailed, JobCancelled: it ended so, and ``check`` is true.
        """
        return self._shell.run(waited(job_id, timeout_s=timeout_s, check=check, limits=self._limits))

    @overload
    def result(self, job_id: str, *, timeout_s: float | None = None) -> dict[str, Any]: ...

    @overload
    def result(self, job_id: str, *, timeout_s: float | None = None, model: type[M]) -> M: ...

    def result(
        self, job_id: str, *, timeout_s: float | None = None, model: type[M] | None = None
    ) -> dict[str, Any] | M:
        """Wait for a job's result; return it as a dict, or as the given pydantic model. Raises what ``wait`` does."""
        job = self.wait(job_id, timeout_s)
        return job.result_as(model) if model else dict(job.result or {})

    def events(self, job_id: str, after: str | None = None, *, transport: Choice | None = None) -> EventStream:
        """Follow a job: an iterator of its events, without gap or repeat, until the one that ends it.

        Args:
            after: an event's id to go on from, or ``"0"`` for everything that is kept; else a snapshot comes first.
            transport: instead of the client's ``mode``; ``stream.transport`` tells which it is.
        """
        mode = self._mode if transport is None else Mode(transport, self._limits)
        return EventStream(self._shell, Follower(job_id, after=after, mode=mode, limits=self._limits))

    def monitor(self, **wanted: Unpack[MonitorFilters]) -> MonitorStream:
        """Iterate over what goes on: a ``snapshot`` first, then each change, for ever; it reconnects by itself.

        After a lost connection comes what was missed (``resumed``), or another ``snapshot``.
        """
        return MonitorStream(self._shell, MonitorReading(wanted, self._limits))

    def domain_events(
        self,
        types: str | Iterable[str] = (),
        *,
        job_id: str | None = None,
        after: str | None = None,
        follow: bool = True,
    ) -> Iterator[DomainEvent]:
        """Iterate over your domain events, without gap or repeat: for ever, or with ``follow=False`` what there is.

        Args:
            types: ``site.crawled``, or ``site.*``; one or several; all when none is given.
            job_id: only what this job has brought about.
            after: an event's id to go on from, or ``"0"`` for all that are kept; else it begins now when it follows,
                and with the oldest kept when it does not.
        """
        begin = beginning(after, job_id) if follow else after
        reading = DomainReading(types, job_id, after=begin, limits=self._limits)
        while True:
            yield from self._shell.run(reading.next_events(wait_s=self._limits.long_poll_s if follow else 0.0))
            if not follow and not reading.is_full:
                return

    def wait_for_event(
        self,
        type_: str,
        match: Callable[[DomainEvent], object] | None = None,
        timeout_s: float | None = None,
        *,
        job_id: str | None = None,
        after: str | None = None,
    ) -> DomainEvent:
        """Wait for an event of this type (``site.*`` for all of a noun) for which ``match`` says yes; return it.

        Args:
            job_id: only of this job; events from before the call count then, too.
            after: where to begin looking: an event's id, or what ``event_cursor`` returned; else now.
        Raises:
            EventNotSeen: the time is over.
        """
        reading = DomainReading(type_, job_id, after=beginning(after, job_id), limits=self._limits)
        flow = awaited_event(reading, match or (lambda _: True), timeout_s=timeout_s, limits=self._limits)
        return self._shell.run(flow)

    def event_cursor(self) -> str:
        """Return the present end of your domain events: what comes from now on is after it."""
        reading = DomainReading(after=LATEST, limits=self._limits)
        self._shell.run(reading.next_events())
        return reading.cursor or LATEST

    def job(self, job_id: str) -> Job:
        """Read a job's record now."""
        return self._perform(calls.job(job_id))

    def jobs(self, **filters: Unpack[JobFilters]) -> Iterator[Job]:
        """Iterate over all jobs that match, newest first; pages are read as needed."""
        cursor: str | None = None
        while True:
            page = self.page(limit=200, cursor=cursor, **filters)
            yield from page.jobs
            cursor = page.next_cursor
            if not cursor:
                return

    def page(self, *, limit: int = 50, cursor: str | None = None, **filters: Unpack[JobFilters]) -> Page:
        """Read one page of jobs, with the true total."""
        return self._perform(calls.page(filters, limit=limit, cursor=cursor))

    def cancel(self, job_id: str) -> Job:
        """Ask for a job to be cancelled; a running one stops within seconds.

        Raises:
            Conflict: it has ended otherwise.
        """
        return self._perform(calls.cancel(job_id))

    def chain(self, job_id: str) -> Chain:
        """Read a job, what it follows and what followed it."""
        return self._perform(calls.chain(job_id))

    def cancel_chain(self, job_id: str) -> Chain:
        """Cancel a whole chain, at whichever of its jobs: what runs stops within seconds, and nothing follows."""
        return self._perform(calls.cancel_chain(job_id))

    def retry(self, job_id: str) -> Job:
        """Run a failed or cancelled job again: the same id, a new attempt, as many attempts as it had at first.

        Raises:
            Conflict: it is queued or running already, or it has succeeded.
        """
        return self._perform(calls.retry(job_id))

    def retry_many(self, *, confirm: bool = False, limit: int | None = None, **filters: Unpack[JobFilters]) -> Change:
        """Run failed and cancelled jobs again.

        Args:
            confirm: without it nothing is done, and ``InputRejected`` says how many jobs it would be.
            limit: at most so many, the oldest first; the server's own is 1,000.
            filters: as for ``page``; without any, all of your jobs are meant.
        """
        return self._perform(calls.change("retry", filters, limit=limit, confirm=confirm))

    def cancel_many(self, *, confirm: bool = False, limit: int | None = None, **filters: Unpack[JobFilters]) -> Change:
        """Cancel queued jobs, and tell running ones to stop. See ``retry_many``."""
        return self._perform(calls.change("cancel", filters, limit=limit, confirm=confirm))

    def erase_many(self, *, confirm: bool = False, limit: int | None = None, **filters: Unpack[JobFilters]) -> Change:
        """Erase finished jobs with all they left. See ``retry_many``."""
        return self._perform(calls.change("erase", filters, limit=limit, confirm=confirm))

    def delete(self, job_id: str) -> Job | None:
        """Erase a finished job with all it left (None), or cancel an active one (its record)."""
        return self._perform(calls.delete(job_id))

    def logs(self, job_id: str, *, level: str | None = None, follow: bool = False) -> Iterator[LogLine]:
        """Iterate over a job's log lines from ``level`` up; with ``follow``, until the job ends."""
        offset, is_last_look = 0, not follow
        while True:
            page = self._perform(calls.log_page(job_id, level=level, offset=offset))
            yield from page.lines
            offset = page.next_offset or offset + len(page.lines)
            if page.next_offset is not None:
                continue
            if is_last_look:
                return
            is_last_look = self.job(job_id).is_terminal
            if not is_last_look:
                time.sleep(LOG_POLL_S)

    def artifacts(self, job_id: str) -> list[Artifact]:
        """List the files that a job left."""
        return self._perform(calls.artifacts(job_id))

    def download(
        self,
        job_id: str,
        name: str,
        path: str | os.PathLike[str] | None = None,
        *,
        as_format: PagesFormat | None = None,
    ) -> Path:
        """Fetch one artifact to ``path`` (a file or a folder; else the current folder); return where it is.

        It appears under its name only when it is whole; a dropped connection is resumed.

        Args:
            as_format: have the server make a zip of Markdown files or a database of a crawl's ``pages.jsonl``; a
                dropped connection then begins again.
        Raises:
            InputRejected: this artifact has no other formats.
        """
        request, target = calls.artifact(job_id, name, as_format), target_path(named_as(name, as_format), path)
        return self._shell.run(downloaded(request, target, self._limits))

    def upload(
        self,
        content: Content,
        *,
        name: str | None = None,
        media_type: str | None = None,
        on_progress: OnProgress | None = None,
    ) -> Upload:
        """Send a file, by its path, or bytes; return the complete upload, whose ``ref`` a request names it by.

        What the server has already, by its SHA-256, is not sent again; a lost connection, or a try that was given up
        before, is gone on from where it ended.

        Args:
            name: what to call it; the file's own name if absent.
            media_type: as its name says if absent.
            on_progress: called with the bytes that the server has and all there are.
        Raises:
            ChecksumMismatch: the file changed while it was sent.
            TooLarge, QuotaExceeded, StorageFull: it may not, or cannot, be kept.
            ConnectionFailed, Unavailable: it was given up; what arrived is kept for the next try.
        """
        flow = uploaded(content, name=name, media_type=media_type, on_progress=on_progress, limits=self._limits)
        return self._shell.run(flow)

    def kinds(self) -> list[Kind]:
        """List the kinds of job that the server offers."""
        return self._perform(calls.kinds())

    def kind(self, name: str) -> Kind:
        """Read one kind, with its schemas and an example."""
        return self._perform(calls.kind(name))

    def queues(self) -> list[QueueInfo]:
        """List the queues and how busy they are."""
        return self._perform(calls.queues())

    def backends(self) -> list[BackendInfo]:
        """List what runs jobs, which of it is live, and what each is good for."""
        return self._perform(calls.backends())

    def advice(self, **needs: Unpack[Needs]) -> Advice:
        """Tell which backend, how many workers and which ledger a purpose needs."""
        return self._perform(calls.advice(needs))

    def workers(self) -> list[WorkerInfo]:
        """List the live workers."""
        return self._perform(calls.workers())

    def presets(self, *, force: bool = False) -> Presets:
        """List the domains of sites that the server knows; with ``force`` their requests look past its cache."""
        return self._perform(calls.presets(force=force))

    def discover_domain(self, name: str, *, force: bool = False, parallel: int | None = None) -> DomainOutcome:
        """Discover the tools of a domain's sites and wait for all of them; a site that fails fails alone.

        Args:
            parallel: how many sites at a time; as many as the server wants if absent.
        Raises:
            NotFound: the server knows no such domain.
        """
        known = self.presets(force=force)
        return discover(self, known.named(name), parallel=parallel or known.parallel_limit)

    def _perform(self, call: Call[T]) -> T:
        return self._shell.run(performed(call, self._limits))
