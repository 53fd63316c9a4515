"""``knowledge.update``: documents and crawled pages become chunks with vectors; what is the same is not made again."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing
from dataclasses import dataclass, field
from typing import BinaryIO

from tasks.core.errors import InputRejected
from tasks.core.job import JobContext
from tasks.knowledge.contract import KNOWLEDGE_UPDATED, MAX_SITE_CHARS, UpdateRequest, UpdateResult
from tasks.knowledge.engine.chunking import RECIPE
from tasks.knowledge.engine.documents import crawled_in, documents_in, page_of
from tasks.knowledge.engine.embedding import Embedder
from tasks.knowledge.engine.erasing import erase
from tasks.knowledge.engine.indexing import in_batches, with_chunks
from tasks.knowledge.engine.reindex import bring_to_model
from tasks.knowledge.records import Crawl, Keeper, OpenSite, Origin, PageWrite, Source, Written

# Pages of one transaction: enough that its price is shared, few enough that nobody waits for the ledger.
_PAGES, _CHARS = 100, 200_000

OpenEmbedder = Callable[[JobContext], AbstractContextManager[Embedder]]


@dataclass(frozen=True, slots=True)
class Updater:
    """Implements ``knowledge.update``.

    Args:
        keeper: the store, for an attempt.
        embedder: what makes vectors, for an attempt.
        open_crawl: looks up a crawl of the job's tenant and opens its pages, which the caller closes.
    """

    keeper: Callable[[JobContext], Keeper]
    embedder: OpenEmbedder
    open_crawl: Callable[[JobContext, str], tuple[Crawl, BinaryIO]]

    def __call__(self, request: UpdateRequest, job: JobContext) -> UpdateResult:
        """Take everything in, in batches; a second attempt finds what the first has kept, and skips it.

        Raises:
            InputRejected: a line of the file is no document; a newer crawl was taken in; a crawl that did not see the
                whole site is to replace it.
            NotFound: the tenant has no such crawl, or no such site to erase.
            Permanent: the site was erased under it.
            Transient: another job changed the site's model meanwhile.
        """
        if request.erase:
            return erase(self.keeper(job), request.site or "", job)
        with ExitStack() as stack:
            crawl: Crawl | None = None
            pages: Iterator[PageWrite] = iter(())
            if request.crawl_job_id is not None:
                crawl, stream = self.open_crawl(job, request.crawl_job_id)
                pages = crawled_in(stack.enter_context(closing(stream)))
            elif request.file is not None:
                _check_file(request, job, request.file.upload)
                pages = documents_in(stack.enter_context(closing(job.open(request.file.upload))))
            else:
                pages = map(page_of, request.documents)
            name = request.site or _named_after(crawl)
            return self._update(request, job, _Given(name, crawl, pages))

    def _update(self, request: UpdateRequest, job: JobContext, given: "_Given") -> UpdateResult:
        if given.crawl is not None and request.replace and not request.force:
            _check_is_all(given.crawl)
        keeper = self.keeper(job)
        with self.embedder(job) as embedder:
            site = _opened(keeper, job, given.name, embedder)
            if given.crawl is not None:
                keeper.note_crawl(site, given.crawl, force=request.force)
            site, _ = bring_to_model(keeper, job, site, embedder)
            taking = _Taking(keeper, job, site, given.source(job), embedder, force=request.force)
            taking.take_in(given.pages)
        deleted, missed = _let_go(keeper, site, request, given, job)
        version = keeper.version(site)
        if version > taking.first_version or taking.written.added + taking.written.changed + deleted:
            counts = {"added": taking.written.added, "changed": taking.written.changed, "deleted": deleted}
            job.emit(KNOWLEDGE_UPDATED, {"site": site.site, "version": version, "job_id": job.id, **counts})
        return UpdateResult(
            site=site.site,
            version=version,
            model=embedder.model.name,
            added=taking.written.added,
            changed=taking.written.changed,
            unchanged=taking.written.unchanged,
            deleted=deleted,
            missed=missed,
            chunks=taking.written.chunks,
            is_flagged=given.crawl is not None and given.crawl.is_mostly_failed,
        )


def _opened(keeper: Keeper, job: JobContext, name: str, embedder: Embedder) -> OpenSite:
    """Return the site. A later attempt has the one that the first one had, or none: who erased it meant it to go."""
    before = (job.resume.load() or {}).get("site_id")
    site = keeper.open_site(name, embedder.model, known_as=None if before is None else str(before))
    if before is None:
        job.resume.save({"site_id": site.id})
    return site


@dataclass(frozen=True, slots=True)
class _Given:
    """What is to be taken in."""

    name: str
    crawl: Crawl | None
    pages: Iterator[PageWrite]

    def source(self, job: JobContext) -> Source:
        if self.crawl is None:
            return Source(Origin.CALLER, job.id)
        return Source(Origin.CRAWL, self.crawl.job_id, self.crawl.finished_at)


def _check_file(request: UpdateRequest, job: JobContext, upload: str) -> None:
    """Read the file to its end, so that nothing of one with a bad line is kept."""
    with closing(job.open(upload)) as stream:
        deleted = frozenset(request.delete)
        for page in _once(documents_in(stream)):
            job.checkpoint()
            if page.key in deleted:
                raise InputRejected(f"The id {page.key[:200]!r} is in the file, too: it may come once.", field="delete")


def _named_after(crawl: Crawl | None) -> str:
    """Return the name that a crawl's host gives its site."""
    name = crawl.site if crawl else ""
    if len(name) > MAX_SITE_CHARS:
        raise InputRejected(
            f"The crawl's host {name!r} has {len(name)} characters, and the name of a site at most {MAX_SITE_CHARS}: "
            "give it another one as site.",
            field="site",
        )
    return name


def _check_is_all(crawl: Crawl) -> None:
    if crawl.is_whole and not crawl.is_mostly_failed:
        return
    why = "over half of its pages failed" if crawl.is_mostly_failed else "it did not see the whole site"
    raise InputRejected(
        f"replace is true, and crawl {crawl.job_id} is not all of its site: {why}. Leave replace out, give a whole "
        "crawl, or say force to let everything else go.",
        field="replace",
        code="crawl_not_whole",
    )


def _let_go(keeper: Keeper, site: OpenSite, request: UpdateRequest, given: _Given, job: JobContext) -> tuple[int, int]:
    deleted = keeper.remove(site, request.delete) if request.delete else 0
    if request.replace:
        return deleted + keeper.remove_unseen(site, given.source(job)), 0
    crawl = given.crawl
    # Where most pages fail, the site is ill: not even its 404s are believed.
    if crawl is None or crawl.is_mostly_failed:
        return deleted, 0
    missed, gone = keeper.miss(site, crawl)
    return deleted + gone, missed


@dataclass(slots=True)
class _Taking:
    keeper: Keeper
    job: JobContext
    site: OpenSite
    source: Source
    embedder: Embedder
    force: bool
    written: Written = field(default_factory=Written)
    first_version: int = field(init=False)

    def __post_init__(self) -> None:
        self.first_version = self.site.version

    def take_in(self, pages: Iterator[PageWrite]) -> None:
        done = 0
        for batch in in_batches(_once(pages), most=_PAGES, most_chars=_CHARS):
            self._take_batch(batch)
            done += len(batch)
            self.job.report("pages", done, message=f"{self.written.chunks} chunks embedded")

    def _take_batch(self, batch: list[PageWrite]) -> None:
        known = {} if self.force else self.keeper.known(self.site, [page.key for page in batch], recipe=RECIPE)
        same = [page for page in batch if known.get(page.key) == page.hash]
        new = [page for page in batch if known.get(page.key) != page.hash]
        written = self._keep([*same, *self._cut(new)])
        if written.to_cut:  # unchanged when it was looked at, and not any more
            self._keep(self._cut([page for page in same if page.key in written.to_cut]))

    def _keep(self, pages: list[PageWrite]) -> Written:
        written = self.keeper.write(self.site, self.source, pages, recipe=RECIPE, force=self.force)
        was = self.written
        self.written = Written(
            was.added + written.added,
            was.changed + written.changed,
            was.unchanged + written.unchanged,
            was.chunks + written.chunks,
        )
        return written

    def _cut(self, pages: list[PageWrite]) -> list[PageWrite]:
        # A slow model takes its time over a batch: page by page, so that a cancel is heard.
        found: list[PageWrite] = []
        for page in pages:
            self.job.checkpoint()
            found += with_chunks([page], self.embedder)
        return found


def _once(pages: Iterator[PageWrite]) -> Iterator[PageWrite]:
    seen: set[bytes] = set()
    for page in pages:
        key = page.key.encode()
        if key in seen:
            raise InputRejected(f"The id {page.key[:200]!r} comes twice.", field="file")
        seen.add(key)
        yield page
