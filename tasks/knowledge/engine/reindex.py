"""``knowledge.reindex``: chunks and vectors made anew beside those that are searched, then put in their place."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tasks.core.job import JobContext
from tasks.knowledge.contract import KNOWLEDGE_UPDATED, ReindexMode, ReindexRequest, ReindexResult
from tasks.knowledge.engine.chunking import RECIPE
from tasks.knowledge.engine.embedding import Embedder
from tasks.knowledge.engine.indexing import Piece, with_chunks
from tasks.knowledge.records import Keeper, OpenSite

if TYPE_CHECKING:
    from tasks.knowledge.engine.update import OpenEmbedder

_PAGES = 50
_CHUNKS = 64


@dataclass(frozen=True, slots=True)
class Reindexer:
    """Implements ``knowledge.reindex``.

    Args:
        find_site: returns the tenant's site as it stands; raises ``NotFound``.
    """

    keeper: Callable[[JobContext], Keeper]
    embedder: "OpenEmbedder"
    find_site: Callable[[JobContext, str], OpenSite]

    def __call__(self, request: ReindexRequest, job: JobContext) -> ReindexResult:
        """First the vectors of the present model, then the chunks that another recipe cut, or all of them.

        Raises:
            NotFound: the tenant has no such site.
            Transient: another job changed the site's model meanwhile.
        """
        before = self.find_site(job, request.site)
        keeper = self.keeper(job)
        with self.embedder(job) as embedder:
            site, embedded = bring_to_model(keeper, job, before, embedder)
            recipe = None if request.mode is ReindexMode.FULL else RECIPE
            pages, chunks = _cut_anew(keeper, job, site, embedder, recipe=recipe)
        version = keeper.version(site)
        if version > before.version:
            job.emit(KNOWLEDGE_UPDATED, {"site": site.site, "version": version, "job_id": job.id})
        return ReindexResult(
            site=site.site,
            version=version,
            model=site.model.name,
            previous_model=before.model.name,
            pages=pages,
            chunks=embedded + chunks,
        )


def bring_to_model(keeper: Keeper, job: JobContext, site: OpenSite, embedder: Embedder) -> tuple[OpenSite, int]:
    """Return the site with the embedder's model, and how many chunks had to be embedded for that.

    Until the last one is, searches use the vectors that were there before.
    """
    if site.model == embedder.model:
        return site, 0
    count = 0
    while True:
        while found := keeper.chunks_without(site, embedder.model, limit=_CHUNKS):
            vectors = embedder.embed([Piece(one.title, one.heading, one.text) for one in found])
            ids = [one.id for one in found]
            keeper.add_vectors(site, embedder.model, list(zip(ids, vectors, strict=True)))
            count += len(found)
            job.report("vectors", count, message=f"by {embedder.model.name}")
        if keeper.switch_model(site, embedder.model):
            return replace(site, model=embedder.model), count


def _cut_anew(
    keeper: Keeper, job: JobContext, site: OpenSite, embedder: Embedder, *, recipe: int | None
) -> tuple[int, int]:
    pages = chunks = after = 0
    while found := keeper.pages_after(site, after, recipe=recipe, limit=_PAGES):
        after = found[-1].id
        cut = []
        for one in found:
            job.checkpoint()
            cut.append(replace(one, page=with_chunks([one.page], embedder)[0]))
        chunks += keeper.rewrite(site, cut, recipe=RECIPE)
        pages += len(found)
        job.report("pages", pages)
    return pages, chunks
