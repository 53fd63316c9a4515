"""The asyncio client: ``Switchyard`` with ``await``."""

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack, overload

from pydantic import BaseModel

from client import address, calls
from client.async_batches import AsyncBatches
from client.async_connectors import AsyncConnectors
from client.async_control import AsyncControl
from client.async_knowledge import AsyncKnowledge
from client.async_schedules import AsyncSchedules
from client.async_sites import AsyncSites
from client.async_tools import AsyncTools
from client.async_webhooks import AsyncWebhooks
from client.calibration import AsyncCalibration
from client.calls import Call, JobFilters, Needs, SubmitOptions
from client.choosing import Backend, Chooser
from client.deaths import calibration_params, large_files
from client.discovery import DomainOutcome, discover_async
from client.domain import LATEST, DomainReading, awaited_event, beginning
from client.downloading import downloaded, named_as, target_path
from client.following import Follower
from client.limits import Limits
from client.matrices import AsyncMatrices
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
from client.nonblocking import AsyncEventStream, AsyncMonitorStream, AsyncShell
from client.pages import PagesFormat
from client.patience import performed, waited
from client.steps import Notice
from client.switchyard import LOG_POLL_S
from client.uploading import Content, OnProgress, submitted, uploaded

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)


class AsyncSwitchyard:
    """A Switchyard server, over HTTP, for one event loop. An async context manager, or ``await close()``.

    Takes the arguments of ``Switchyard``, and each method does the same: lists and records are awaited, ``events()``,
    ``jobs()`` and ``logs()`` are async iterators. Cancelling a task that awaits leaves no request behind.
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
        self._shell = AsyncShell(address.resolve(url, api_key), tls=tls, on_notice=on_notice, chooser=chooser)

    @property
    def url(self) -> str:
        """The server's address; with a ``backend`` of ``auto`` or ``local``, known for good after the first call."""
        return self._shell.address.url

    @property
    def mode(self) -> str:
        """What carries events: ``sse``, ``websocket`` or ``polling``; before the first one, what was asked for."""
        return self._mode.now

    async def close(self) -> None:
        """Close every connection."""
        await self._shell.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def submit(
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
        return await self._shell.run(submitted(kind, params, files or {}, self._options(options), limits=self._limits))

    def _options(self, options: SubmitOptions) -> SubmitOptions:
        return {"backend": "queue", **options} if self._backend == "queue" else options

    async def run(
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
        job = await self.submit(kind, params, files=files, **options)
        return await self.wait(job.id, timeout_s=run_timeout_s, check=check)

    async def calibrate(
        self,
        data: object,
        *,
        algorithm: str | None = None,
        age_group: str | None = None,
        country: str | None = None,
        options: SubmitOptions | None = None,
        **params: Any,
    ) -> AsyncCalibration:
        """Submit a calibration of causes of death; what asks the object returned for its outcome is awaited.

        Takes and raises what ``Switchyard.calibrate`` does.
        """
        refs = await self._sent(data, algorithm)
        given = calibration_params(
            data, algorithm=algorithm, age_group=age_group, country=country, send=refs.__getitem__, **params
        )
        return AsyncCalibration(self, await self.submit("calibration.va", given, **(options or {})))

    async def preview_calibration(self, data: object, *, algorithm: str | None = None, **params: Any) -> dict[str, Any]:
        """Tell at once what ``calibrate`` with the same arguments would do: counts, what is left out, warnings."""
        refs = await self._sent(data, algorithm)
        given = calibration_params(data, algorithm=algorithm, send=refs.__getitem__, **params)
        return await self._perform(calls.preview_calibration(given))

    async def _sent(self, data: object, algorithm: str | None) -> dict[Path, Mapping[str, str]]:
        return {path: (await self.upload(path)).ref for path in large_files(data, algorithm=algorithm)}

    @property
    def batches(self) -> AsyncBatches:
        """Many jobs in one request, watched and cancelled as one."""
        return AsyncBatches(self._shell.run, self._limits)

    @property
    def knowledge(self) -> AsyncKnowledge:
        """Documents and crawled pages that are known."""
        return AsyncKnowledge(self._perform)

    @property
    def tools(self) -> AsyncTools:
        """The tools that discoveries found on websites."""
        return AsyncTools(self._perform, self.wait, backend="queue" if self._backend == "queue" else "auto")

    @property
    def sites(self) -> AsyncSites:
        """The sites that were published."""
        return AsyncSites(self._shell.run, self._limits, self._options)

    @property
    def schedules(self) -> AsyncSchedules:
        """Your schedules: jobs that come again and again."""
        return AsyncSchedules(self._perform)

    @property
    def connectors(self) -> AsyncConnectors:
        """How services of others are spoken to."""
        return AsyncConnectors(self._perform, self.run)

    @property
    def webhooks(self) -> AsyncWebhooks:
        """Your webhooks, and what was sent to them."""
        return AsyncWebhooks(self._perform)

    @property
    def control(self) -> AsyncControl:
        """Pauses, purges, limits and who changed what: for operators."""
        return AsyncControl(self._perform)

    @property
    def matrices(self) -> AsyncMatrices:
        """The sets of misclassification matrices that calibrations may name."""
        return AsyncMatrices(self._perform)

    async def wait(self, job_id: str, timeout_s: float | None = None, *, check: bool = True) -> Job:
        """Wait for a job's end; return its final record.

        Raises:
            WaitTimedOut: the time is over. The job goes on, and nothing of the waiting is left behind.
            JobFailed, JobCancelled: it ended so, and ``check`` is true.
        """
        return await self._shell.run(waited(job_id, timeout_s=timeout_s, check=check, limits=self._limits))

    @overload
    async def result(self, job_id: str, *, timeout_s: float | None = None) -> dict[str, Any]: ...

    @overload
    async def result(self, job_id: str, *, timeout_s: float | None = None, model: type[M]) -> M: ...

    async def result(
        self, job_id: str, *, timeout_s: float | None = None, model: type[M] | None = None
    ) -> dict[str, Any] | M:
        """Wait for a job's result; return it as a dict, or as the given pydantic model. Raises what ``wait`` does."""
        job = await self.wait(job_id, timeout_s)
        return job.result_as(model) if model else dict(job.result or {})

    def events(self, job_id: str, after: str | None = None, *, transport: Choice | None = None) -> AsyncEventStream:
        """Follow a job: an iterator of its events, without gap or repeat, until the one that ends it.

        Args:
            after: an event's id to go on from, or ``"0"`` for everything that is kept; else a snapshot comes first.
            transport: instead of the client's ``mode``; ``stream.transport`` tells which it is.
        """
        mode = self._mode if transport is None else Mode(transport, self._limits)
        return AsyncEventStream(self._shell, Follower(job_id, after=after, mode=mode, limits=self._limits))

    def monitor(self, **wanted: Unpack[MonitorFilters]) -> AsyncMonitorStream:
        """Iterate over what goes on: a ``snapshot`` first, then each change, for ever; it reconnects by itself.

        After a lost connection comes what was missed (``resumed``), or another ``snapshot``.
        """
        return AsyncMonitorStream(self._shell, MonitorReading(wanted, self._limits))

    async def domain_events(
        self,
        types: str | Iterable[str] = (),
        *,
        job_id: str | None = None,
        after: str | None = None,
        follow: bool = True,
    ) -> AsyncIterator[DomainEvent]:
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
            for event in await self._shell.run(reading.next_events(wait_s=self._limits.long_poll_s if follow else 0.0)):
                yield event
            if not follow and not reading.is_full:
                return

    async def wait_for_event(
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
        return await self._shell.run(flow)

    async def event_cursor(self) -> str:
        """Return the present end of your domain events: what comes from now on is after it."""
        reading = DomainReading(after=LATEST, limits=self._limits)
        await self._shell.run(reading.next_events())
        return reading.cursor or LATEST

    async def job(self, job_id: str) -> Job:
        """Read a job's record now."""
        return await self._perform(calls.job(job_id))

    async def jobs(self, **filters: Unpack[JobFilters]) -> AsyncIterator[Job]:
        """Iterate over all jobs that match, newest first; pages are read as needed."""
        cursor: str | None = None
        while True:
            page = await self.page(limit=200, cursor=cursor, **filters)
            for job in page.jobs:
                yield job
            cursor = page.next_cursor
            if not cursor:
                return

    async def page(self, *, limit: int = 50, cursor: str | None = None, **filters: Unpack[JobFilters]) -> Page:
        """Read one page of jobs, with the true total."""
        return await self._perform(calls.page(filters, limit=limit, cursor=cursor))

    async def cancel(self, job_id: str) -> Job:
        """Ask for a job to be cancelled; a running one stops within seconds.

        Raises:
            Conflict: it has ended otherwise.
        """
        return await self._perform(calls.cancel(job_id))

    async def chain(self, job_id: str) -> Chain:
        """Read a job, what it follows and what followed it."""
        return await self._perform(calls.chain(job_id))

    async def cancel_chain(self, job_id: str) -> Chain:
        """Cancel a whole chain, at whichever of its jobs: what runs stops within seconds, and nothing follows."""
        return await self._perform(calls.cancel_chain(job_id))

    async def retry(self, job_id: str) -> Job:
        """Run a failed or cancelled job again: the same id, a new attempt, as many attempts as it had at first.

        Raises:
            Conflict: it is queued or running already, or it has succeeded.
        """
        return await self._perform(calls.retry(job_id))

    async def retry_many(
        self, *, confirm: bool = False, limit: int | None = None, **filters: Unpack[JobFilters]
    ) -> Change:
        """Run failed and cancelled jobs again.

        Args:
            confirm: without it nothing is done, and ``InputRejected`` says how many jobs it would be.
            limit: at most so many, the oldest first; the server's own is 1,000.
            filters: as for ``page``; without any, all of your jobs are meant.
        """
        return await self._perform(calls.change("retry", filters, limit=limit, confirm=confirm))

    async def cancel_many(
        self, *, confirm: bool = False, limit: int | None = None, **filters: Unpack[JobFilters]
    ) -> Change:
        """Cancel queued jobs, and tell running ones to stop. See ``retry_many``."""
        return await self._perform(calls.change("cancel", filters, limit=limit, confirm=confirm))

    async def erase_many(
        self, *, confirm: bool = False, limit: int | None = None, **filters: Unpack[JobFilters]
    ) -> Change:
        """Erase finished jobs with all they left. See ``retry_many``."""
        return await self._perform(calls.change("erase", filters, limit=limit, confirm=confirm))

    async def delete(self, job_id: str) -> Job | None:
        """Erase a finished job with all it left (None), or cancel an active one (its record)."""
        return await self._perform(calls.delete(job_id))

    async def logs(self, job_id: str, *, level: str | None = None, follow: bool = False) -> AsyncIterator[LogLine]:
        """Iterate over a job's log lines from ``level`` up; with ``follow``, until the job ends."""
        offset, is_last_look = 0, not follow
        while True:
            page = await self._perform(calls.log_page(job_id, level=level, offset=offset))
            for line in page.lines:
                yield line
            offset = page.next_offset or offset + len(page.lines)
            if page.next_offset is not None:
                continue
            if is_last_look:
                return
            is_last_look = (await self.job(job_id)).is_terminal
            if not is_last_look:
                await asyncio.sleep(LOG_POLL_S)

    async def artifacts(self, job_id: str) -> list[Artifact]:
        """List the files that a job left."""
        return await self._perform(calls.artifacts(job_id))

    async def download(
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
        return await self._shell.run(downloaded(request, target, self._limits))

    async def upload(
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
        return await self._shell.run(flow)

    async def kinds(self) -> list[Kind]:
        """List the kinds of job that the server offers."""
        return await self._perform(calls.kinds())

    async def kind(self, name: str) -> Kind:
        """Read one kind, with its schemas and an example."""
        return await self._perform(calls.kind(name))

    async def queues(self) -> list[QueueInfo]:
        """List the queues and how busy they are."""
        return await self._perform(calls.queues())

    async def backends(self) -> list[BackendInfo]:
        """List what runs jobs, which of it is live, and what each is good for."""
        return await self._perform(calls.backends())

    async def advice(self, **needs: Unpack[Needs]) -> Advice:
        """Tell which backend, how many workers and which ledger a purpose needs."""
        return await self._perform(calls.advice(needs))

    async def workers(self) -> list[WorkerInfo]:
        """List the live workers."""
        return await self._perform(calls.workers())

    async def presets(self, *, force: bool = False) -> Presets:
        """List the domains of sites that the server knows; with ``force`` their requests look past its cache."""
        return await self._perform(calls.presets(force=force))

    async def discover_domain(self, name: str, *, force: bool = False, parallel: int | None = None) -> DomainOutcome:
        """Discover the tools of a domain's sites and wait for all of them; a site that fails fails alone.

        Args:
            parallel: how many sites at a time; as many as the server wants if absent.
        Raises:
            NotFound: the server knows no such domain.
        """
        known = await self.presets(force=force)
        return await discover_async(self, known.named(name), parallel=parallel or known.parallel_limit)

    async def _perform(self, call: Call[T]) -> T:
        return await self._shell.run(performed(call, self._limits))
