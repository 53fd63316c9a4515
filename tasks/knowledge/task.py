"""Celery tasks of the knowledge kinds; they only delegate."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO

from celery import shared_task

from tasks.core.errors import EngineUnavailable
from tasks.core.job import Engine, JobContext
from tasks.core.kernel import Kernel
from tasks.core.run import JobTask, Returned, run_job
from tasks.knowledge.contract import ANSWER, EMBED, REINDEX, SPECS, UPDATE, AnswerRequest
from tasks.knowledge.records import ENDPOINT, MINILM, OpenSite, unknown_site

if TYPE_CHECKING:
    from tasks.knowledge.engine.embedding import Embedder
    from tasks.knowledge.engine.writing import Writer
    from tasks.knowledge.records import Crawl
    from tasks.knowledge.store.reindexing import JobKeeper

_SPECS = {spec.kind: spec for spec in SPECS}


@shared_task(name=UPDATE, bind=True, base=JobTask)  # type: ignore[untyped-decorator]  # Celery has no types
def update(self: JobTask, _job_id: str) -> Returned:
    """Run ``knowledge.update``."""
    kernel: Kernel = self.app.kernel
    return run_job(self, _SPECS[UPDATE], lambda: load_update(kernel))


@shared_task(name=EMBED, bind=True, base=JobTask)  # type: ignore[untyped-decorator]  # Celery has no types
def embed(self: JobTask, _job_id: str) -> Returned:
    """Run ``knowledge.embed``."""
    kernel: Kernel = self.app.kernel
    return run_job(self, _SPECS[EMBED], lambda: load_embed(kernel))


@shared_task(name=REINDEX, bind=True, base=JobTask)  # type: ignore[untyped-decorator]  # Celery has no types
def reindex(self: JobTask, _job_id: str) -> Returned:
    """Run ``knowledge.reindex``."""
    kernel: Kernel = self.app.kernel
    return run_job(self, _SPECS[REINDEX], lambda: load_reindex(kernel))


@shared_task(name=ANSWER, bind=True, base=JobTask)  # type: ignore[untyped-decorator]  # Celery has no types
def answer(self: JobTask, _job_id: str) -> Returned:
    """Run ``knowledge.answer``."""
    kernel: Kernel = self.app.kernel
    return run_job(self, _SPECS[ANSWER], lambda: load_answer(kernel))


def load_update(kernel: Kernel) -> Engine[Any]:
    """Return the engine of ``knowledge.update``."""
    from tasks.knowledge.engine.update import Updater  # noqa: PLC0415  # engines load on the first job

    return Updater(partial(_keeper, kernel), partial(_embedder, kernel), partial(_crawl, kernel))


def load_embed(kernel: Kernel) -> Engine[Any]:
    """Return the engine of ``knowledge.embed``."""
    from tasks.knowledge.engine.embed import Embedding  # noqa: PLC0415  # as above

    return Embedding(partial(_embedder, kernel))


def load_reindex(kernel: Kernel) -> Engine[Any]:
    """Return the engine of ``knowledge.reindex``."""
    from tasks.knowledge.engine.reindex import Reindexer  # noqa: PLC0415  # as above

    return Reindexer(partial(_keeper, kernel), partial(_embedder, kernel), partial(_site, kernel))


def load_answer(kernel: Kernel) -> Engine[Any]:
    """Return the engine of ``knowledge.answer``."""
    from tasks.knowledge.engine.answer import Answerer  # noqa: PLC0415  # as above
    from tasks.knowledge.search.shelf import IndexShelf  # noqa: PLC0415  # as above
    from tasks.knowledge.store.reading import LedgerLibrary, tenant_of_job  # noqa: PLC0415  # as above

    library = LedgerLibrary(kernel.ledger)
    most_bytes = kernel.settings.knowledge_index_mb * 2**20
    shelf = kernel.warm.get("knowledge", lambda: IndexShelf(library, most_bytes=most_bytes))
    return Answerer(
        library,
        shelf,
        partial(_embedder, kernel, is_awaited=True),
        lambda job: tenant_of_job(kernel.ledger, job.id),
        partial(_writer, kernel),
    )


def _keeper(kernel: Kernel, job: JobContext) -> "JobKeeper":
    from tasks.knowledge.store.reindexing import JobKeeper  # noqa: PLC0415  # stores load on the first job

    return JobKeeper(kernel.ledger, job.id, job.fence, job.checkpoint)


@contextmanager
def _embedder(kernel: Kernel, job: JobContext, *, is_awaited: bool = False) -> "Iterator[Embedder]":
    """Give what the settings name: warm where it has weights, for this attempt where it needs the way out.

    An endpoint that is busy is not waited for where somebody waits for what would be done without it (``is_awaited``).
    """
    settings = kernel.settings
    name = settings.knowledge_model
    if name.startswith(ENDPOINT):
        from tasks.knowledge.engine.endpoint import PATIENT, PROMPT, Endpoint  # noqa: PLC0415  # only where it is used

        secret = settings.knowledge_key
        with closing(
            Endpoint(
                job.http,
                url=settings.knowledge_url or "",
                model=name.removeprefix(ENDPOINT),
                key=secret.get_secret_value() if secret else None,
                checkpoint=job.checkpoint,
                patience=PROMPT if is_awaited else PATIENT,
            )
        ) as endpoint:
            yield endpoint
    elif name == MINILM:
        from tasks.knowledge.engine.minilm import MiniLM  # noqa: PLC0415  # as above

        yield kernel.warm.get("minilm", MiniLM)
    else:
        from tasks.knowledge.engine.embedding import HashedNgrams  # noqa: PLC0415  # as above

        yield HashedNgrams()


@contextmanager
def _writer(kernel: Kernel, job: JobContext, request: AnswerRequest) -> "Iterator[Writer | None]":
    """Give the model that writes answers, where the settings name one and the request does not decline it."""
    settings = kernel.settings
    if request.written is False or (request.written is None and settings.knowledge_writer is None):
        yield None
        return
    if settings.knowledge_writer is None:
        raise EngineUnavailable(
            "No model writes answers here: set SWITCHYARD_KNOWLEDGE_WRITER, or leave `written` out."
        )
    from tasks.knowledge.engine.writing import Writer  # noqa: PLC0415  # only where it is used

    secret = settings.knowledge_key
    key = secret.get_secret_value() if secret else None
    with closing(
        Writer(job.http, url=settings.knowledge_url or "", model=settings.knowledge_writer, key=key)
    ) as writer:
        yield writer


def _crawl(kernel: Kernel, job: JobContext, crawl_job_id: str) -> "tuple[Crawl, BinaryIO]":
    from tasks.knowledge.crawled import open_crawl  # noqa: PLC0415  # as above

    return open_crawl(kernel, job.id, crawl_job_id)


def _site(kernel: Kernel, job: JobContext, site: str) -> OpenSite:
    from tasks.knowledge.store.reading import LedgerLibrary, tenant_of_job  # noqa: PLC0415  # as above

    found = LedgerLibrary(kernel.ledger).standing(tenant_of_job(kernel.ledger, job.id), site)
    if found is None:
        raise unknown_site(site)
    return OpenSite(found.site_id, site, found.version, found.model)
