"""The publication of a site, from what was sent to a release that is live, verified and told of.

Everything before ``activating`` only adds; a process that dies there leaves the live release as it was, and what it
left is used by the next attempt or swept by the next publication.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tasks.core.job import JobContext
from tasks.publishing.contract import (
    CHANGES_NAME,
    CHECKS_NAME,
    MAX_FINDINGS,
    MAX_FORM_URLS,
    Fault,
    Finding,
    ImageOptions,
    SiteRequest,
    SiteResult,
    Stage,
)
from tasks.publishing.engine import checking, weighing
from tasks.publishing.engine.announcing import announce, page_urls, sweep
from tasks.publishing.engine.building.build import BuildLimits, build
from tasks.publishing.engine.forms import forms_of, with_other_forms
from tasks.publishing.engine.generating import generate
from tasks.publishing.engine.git.access import NO_ACCESS, Access
from tasks.publishing.engine.git.repository import GitLimits
from tasks.publishing.engine.going_live import Before, go_live, reconciled
from tasks.publishing.engine.homes import Homes, home_before
from tasks.publishing.engine.intake import SourceRefused, lay_out, take_in
from tasks.publishing.engine.memo import Memo
from tasks.publishing.engine.optimising import Options, Release, optimise
from tasks.publishing.engine.pages import Page, is_page, pages_of
from tasks.publishing.engine.smoke import Budget
from tasks.publishing.engine.stages import Stages
from tasks.publishing.engine.tree import Tree
from tasks.publishing.engine.turns import turn_of
from tasks.publishing.engine.verifying import check_url
from tasks.publishing.failures import PlaceFailed, PlaceRefused, full_disk_told
from tasks.publishing.manifest import Difference, Manifest, difference
from tasks.publishing.origins import GitSource, Source
from tasks.publishing.recipes import RECIPES
from tasks.publishing.release import Act, Records, ReleaseFacts
from tasks.publishing.sources import SourceStore

# Contents on their way to the place: each waits for the disk, and a disk writes several in the time of one.
_AT_ONCE = 8
_NOTE_CHARS = 500


@dataclass(frozen=True, slots=True)
class Publisher:
    """Publishes sites.

    Args:
        homes: where sites lie, and the caches that are told what has changed.
        open_sources, open_memo: those of the job's tenant for a site.
        actions: what the registry of tools has for an origin, as MCP tools.
        folders: of the server, below which sites may lie.
        keep: releases of a site that stay besides the live and the previous one.
        git_access: what the operator has stored for a repository, for the job's tenant.
        git, building: what fetching a commit and making a site of its source may take.
    """

    records: Records
    homes: Homes
    open_sources: Callable[[JobContext, str], SourceStore]
    open_memo: Callable[[JobContext, str], Memo]
    actions: Callable[[JobContext, str], Sequence[Mapping[str, Any]]]
    folders: Sequence[Path]
    keep: int
    git_access: Callable[[JobContext, str], Access] = lambda _job, _url: NO_ACCESS
    git: GitLimits = field(default_factory=GitLimits)
    building: BuildLimits = field(default_factory=BuildLimits)

    def __call__(self, request: SiteRequest, job: JobContext) -> SiteResult:
        """Publish a site.

        Raises:
            SourceRefused, ArchiveRefused, NameRefused, CheckFailed: it cannot be published; nothing has changed.
            GitNotFound, GitDenied, GitRefused, GitTooLarge, EgressRefused: neither can what is in the repository.
            GitFailed: the repository's server does not answer. Transient.
            IsolationUnavailable, BuildFailed, BuildOverLimit: the recipe was not run, or made no site.
            VerificationFailed: what visitors got was something else; what was live before is live again.
            PurgeFailed: it is live, but a cache may show what was there before. Transient.
            ActivationRefused: a later job has published the site meanwhile.
            PlaceFailed: no room, or the place does not answer. Transient.
        """
        with full_disk_told(), turn_of(self.records, job, request.site):
            return _Publication(self, request, job).run()


class _Publication:
    def __init__(self, publisher: Publisher, request: SiteRequest, job: JobContext) -> None:
        self._by = publisher
        self._request = request
        self._job = job
        known = publisher.records.site(job, request.site)
        self._home = publisher.homes.wanted(job, request.site)
        # What is live until then: in another target, if the site moves.
        self._old_home = home_before(publisher.homes, job, known, self._home)
        self._place = self._home.place
        self._memo = publisher.open_memo(job, request.site)
        self._stages = Stages(job)
        self._findings: list[Finding] = []
        self._url = request.url or (known.url if known else None)
        self._tree = Tree()
        self._pages: dict[str, Page] = {}
        self._generated: list[str] = []
        self._source_bytes = 0
        self._copies = 0

    def run(self) -> SiteResult:
        job, request, records = self._job, self._request, self._by.records
        before = reconciled(records, job, self._home, request.site)
        old = self._live_manifest(before)
        self._validate()
        self._build()
        made = self._package()
        manifest = made.manifest
        self._demand()
        change = difference(old, manifest)
        uploaded = self._upload(made, change)
        release = manifest.release
        forms = self._other_forms(old, made, change)
        verified = 0
        if request.intent == "production":
            verified = go_live(
                records, job, self._home, self._stages, site=request.site, url=self._url,
                manifest=manifest, before=before, act=Act.PUBLISHED, change=change, opened=self._budget(),
            )  # fmt: skip
        with self._stages.stage(Stage.ANNOUNCING):
            if request.intent == "production":
                announce(
                    job, request.site, release, before.release, url=self._url, change=change,
                    forms_changed=len(forms), cause="publish", target=self._home.target,
                )  # fmt: skip
            kept = sweep(records, job, self._by.homes, self._home, site=request.site, keep=self._by.keep)
            self._by.open_sources(job, request.site).sweep()
            self._memo.sweep()
        took = {str(name): seconds for name, seconds in self._stages.seconds.items()}
        records.note_stages(job, request.site, release, took)
        return self._result(
            manifest, before.release, change, forms=forms, uploaded=uploaded, verified=verified, kept=kept
        )

    def _live_manifest(self, before: Before) -> Manifest | None:
        if before.release is None:
            return None
        if before.target == self._home.target:
            return self._place.manifest(before.release)
        try:
            return None if self._old_home is None else self._old_home.place.manifest(before.release)
        except (PlaceFailed, PlaceRefused) as exc:
            # It is being left, perhaps for this very reason.
            self._job.log(f"{exc.message} All files count as new.", level="warning")
            self._old_home = None
            return None

    def _validate(self) -> None:
        with self._stages.stage(Stage.VALIDATING):
            if self._url is None and self._request.smoke == "browser":
                raise SourceRefused("A browser cannot open a site whose address nobody has told.", field="url")
            if self._url is not None:
                check_url(self._job, self._url)
                self._home.caches.check(self._job)
            self._tree = take_in(
                self._request.source,
                self._folder,
                job=self._job,
                store=self._by.open_sources(self._job, self._request.site),
                allowed=self._by.folders,
                git=self._by.git,
                access_to=partial(self._by.git_access, self._job),
                below="" if self._is_built else self._request.subfolder,
            )
            self._source_bytes = sum(file.size for file in self._tree.values())
            if not self._is_built:
                self._check()

    @property
    def _folder(self) -> Path:
        return self._job.workdir / "site"

    @property
    def _is_built(self) -> bool:
        return bool(RECIPES[self._request.recipe].command)

    def _check(self) -> None:
        self._pages = pages_of(self._tree, self._memo, self._job.checkpoint)
        self._findings += checking.check(
            self._tree,
            self._pages,
            prefix=urlsplit(self._url).path if self._url else "/",
            max_file_bytes=self._request.options.max_file_bytes,
            memo=self._memo,
            checkpoint=self._job.checkpoint,
        )
        self._demand()

    def _build(self) -> None:
        with self._stages.stage(Stage.BUILDING):
            if self._is_built:
                lay_out(self._tree, self._folder)
                self._tree = build(
                    self._request.recipe,
                    self._folder,
                    self._job.workdir / "made-site",
                    inside=self._request.subfolder,
                    job=self._job,
                    limits=self._by.building,
                )
                self._check()
            if (images := self._request.options.images) is not None:
                self._offer(images)
            if self._request.options.generate:
                self._tree, self._generated = generate(
                    self._tree,
                    self._pages,
                    site=self._request.site,
                    url=self._url,
                    actions=self._by.actions(self._job, _origin(self._url)) if self._url else (),
                    memo=self._memo,
                    checkpoint=self._job.checkpoint,
                )
                self._pages |= pages_of({path: self._tree[path] for path in self._generated}, self._memo)

    def _offer(self, images: ImageOptions) -> None:
        from tasks.publishing.engine.images import offered  # noqa: PLC0415  # Pillow, for who asks for it

        self._tree, self._copies = offered(
            self._tree, self._pages, images, memo=self._memo, checkpoint=self._job.checkpoint
        )
        self._pages = pages_of(self._tree, self._memo, self._job.checkpoint)

    def _package(self) -> Release:
        options, out = self._request.options, self._job.workdir / "made"
        out.mkdir()
        with self._stages.stage(Stage.PACKAGING) as report:
            made = optimise(
                self._tree,
                self._pages,
                out,
                Options(minify=options.minify, fingerprint=options.fingerprint, compress=options.compress),
                memo=self._memo,
                has=lambda stored: not self._place.lacks((stored,)),
                checkpoint=self._job.checkpoint,
                report=report,
            )
            self._findings += weighing.heavy_pages(
                made.manifest,
                filter(is_page, made.manifest.files),
                made.content,
                max_bytes=options.max_page_bytes,
                max_requests=options.max_page_requests,
            )
            self._findings += weighing.over_budget(
                made.manifest, filter(is_page, made.manifest.files), made.content, options.budgets
            )
        return made

    def _demand(self) -> None:
        """Keep what was found, and stop where the request says so."""
        found = {"findings": [one.model_dump(mode="json") for one in self._findings]}
        self._job.save(CHECKS_NAME, json.dumps(found).encode(), "application/json")
        checking.demand(self._findings, self._request.options.refuse)

    def _upload(self, made: Release, change: Difference) -> tuple[int, int]:
        """Bring what the place lacks, and prepare the release; return how many contents and bytes that was."""
        job, request, manifest = self._job, self._request, made.manifest
        with self._stages.stage(Stage.UPLOADING) as report:
            missing = sorted(self._place.lacks(manifest.all_stored()), key=lambda one: one.sha256)
            pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="put")
            try:
                putting = pool.map(lambda stored: self._place.put(stored, made.where[stored]), missing)
                for done, _ in enumerate(putting, 1):
                    report(done, len(missing))
            finally:
                pool.shutdown(cancel_futures=True)
            self._place.prepare(manifest)
            facts = ReleaseFacts(
                site=request.site,
                manifest=manifest,
                is_preview=request.intent == "preview",
                url=self._url,
                by=request.by,
                note=request.note or _note_of(request.source),
                added=len(change.added),
                changed=len(change.changed),
                removed=len(change.removed),
                changed_bytes=change.bytes,
                target=self._home.target,
            )
            self._by.records.keep(job, facts)
            job.save(CHANGES_NAME, json.dumps(asdict(change)).encode(), "application/json")
        return len(missing), sum(stored.size for stored in missing)

    def _budget(self) -> Budget | None:
        """What a page may load in the browser; None: none is asked for."""
        if self._request.smoke == "none":
            return None
        options = self._request.options
        is_refused = Fault.HEAVY_PAGE in options.refuse
        return Budget(options.max_page_bytes, options.max_page_requests) if is_refused else Budget()

    def _other_forms(self, old: Manifest | None, made: Release, change: Difference) -> list[str]:
        """The pages whose forms are new, others or gone. What is live is still the old release."""
        place = self._place if self._old_home is None else self._old_home.place
        before = forms_of(old, (*change.changed, *change.removed), memo=self._memo, read=place.live_content)
        after = forms_of(made.manifest, (*change.changed, *change.added), memo=self._memo, read=made.content)
        return list(with_other_forms(before, after))

    def _result(
        self,
        manifest: Manifest,
        before: str | None,
        change: Difference,
        *,
        forms: list[str],
        uploaded: tuple[int, int],
        verified: int,
        kept: int,
    ) -> SiteResult:
        # Nobody finds a preview at the site's address.
        address = self._url if self._request.intent == "production" else None
        return SiteResult(
            site=self._request.site,
            release=manifest.release,
            previous=before,
            url=self._url,
            target=self._home.target,
            live=self._request.intent == "production",
            recipe=self._request.recipe,
            commit=source.commit if isinstance(source := self._request.source, GitSource) else None,
            files=len(manifest.files),
            size_bytes=manifest.size,
            source_bytes=self._source_bytes,
            compressed_bytes=sum(weighing.smallest(file) for file in manifest.files.values()),
            added=len(change.added),
            changed=len(change.changed),
            removed=len(change.removed),
            changed_urls=page_urls(address, (*change.added, *change.changed)),
            removed_urls=page_urls(address, change.removed),
            forms_changed=len(forms),
            form_urls=page_urls(address, forms, most=MAX_FORM_URLS),
            uploaded_files=uploaded[0],
            uploaded_bytes=uploaded[1],
            generated=tuple(self._generated),
            image_copies=self._copies,
            faults=_counted(self._findings),
            findings=tuple(self._findings[:MAX_FINDINGS]),
            verified=verified,
            kept=kept,
            stages=self._stages.seconds,
        )


def _counted(findings: Iterable[Finding]) -> dict[Fault, int]:
    counts: dict[Fault, int] = {}
    for one in findings:
        counts[one.fault] = counts.get(one.fault, 0) + 1
    return counts


def _note_of(source: Source) -> str:
    return f"{source.git} {source.commit[:12]}"[-_NOTE_CHARS:] if isinstance(source, GitSource) else ""


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
