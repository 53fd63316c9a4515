"""Publishing without a worker: the real engine, ledger and folder, and a job that is running in that ledger."""

import hashlib
import io
import json
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tasks.core.egress import Egress, EgressPolicy
from tasks.core.ids import new_id
from tasks.core.ledger import Ledger, transitions
from tasks.core.ledger.tenants import Tenant
from tasks.core.publishing_file import DEFAULT_TARGET
from tasks.core.records import Cause, Job, JobState
from tasks.publishing.bucket import Bucket
from tasks.publishing.contract import RollbackRequest, RollbackResult, SiteRequest, SiteResult
from tasks.publishing.engine.homes import Home, TargetUnknown
from tasks.publishing.engine.memo import Memo
from tasks.publishing.engine.places.bucket import BucketPlace
from tasks.publishing.engine.places.folder import FolderPlace
from tasks.publishing.engine.places.place import Turn
from tasks.publishing.engine.publish import Publisher
from tasks.publishing.engine.purging import Caches
from tasks.publishing.engine.rollback import Rollback
from tasks.publishing.sources import SourceStore
from tasks.publishing.store.records import LedgerRecords
from tests.fakes import FakeJob
from tests.samples import running

UPLOAD = "01890000-0000-7000-8000-00000000000{}"
PAGE = (
    '<!DOCTYPE html>\n<html>\n<head>\n  <title>{0}</title>\n  <link rel="stylesheet" href="style.css">\n</head>\n'
    '<body>\n  <h1>{0}</h1>\n  <a href="other.html">other</a>\n  <p>A paragraph that is long enough to be '
    "compressed, since what is shorter than its own header is left as it is, and so is what no compression helps."
    "</p>\n</body>\n</html>\n"
)
SITE = {
    "index.html": PAGE.format("First"),
    "other.html": PAGE.format("Other").replace("other.html", "index.html"),
    "style.css": "body {\n  color : black ;\n}\n",
}


def tarred(files: Mapping[str, str | bytes]) -> bytes:
    """An archive of these files."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, content in files.items():
            raw = content.encode() if isinstance(content, str) else content
            info = tarfile.TarInfo(name)
            info.size = len(raw)
            tar.addfile(info, io.BytesIO(raw))
    return packed.getvalue()


def listed(files: Mapping[str, str]) -> bytes:
    """A list of these files, as clients send it."""
    entries = {path: [hashlib.sha256(text.encode()).hexdigest(), len(text.encode())] for path, text in files.items()}
    return json.dumps({"files": entries}).encode()


@dataclass
class Bench:
    """One tenant's publishing."""

    folder: Path
    ledger: Ledger
    tenant: Tenant
    policy: EgressPolicy = field(default_factory=EgressPolicy)
    keep: int = 10
    folders: tuple[Path, ...] = ()
    place_type: type[FolderPlace] = FolderPlace
    bucket: Bucket | None = None
    caches: Caches = field(default_factory=Caches)
    actions: list[dict[str, Any]] = field(default_factory=list)
    target: str = DEFAULT_TARGET
    """Where sites go from now on."""
    gone: set[str] = field(default_factory=set)
    """Targets that are not declared any more."""

    @property
    def ledger_url(self) -> str:
        """Where a process that is forked from this one opens the ledger anew."""
        return str(self.ledger._engine.url)

    @property
    def records(self) -> LedgerRecords:
        return LedgerRecords(self.ledger)

    @property
    def live(self) -> Path:
        """What visitors of ``docs`` get."""
        return self.folder / "places" / "docs" / "live"

    def place(self, _job: object = None, site: str = "docs") -> Any:
        if self.bucket is not None:
            return BucketPlace(self.bucket.below("tenant", site))
        return self.place_type(self.folder / "places", site)

    def sources(self, _job: object = None, site: str = "docs") -> SourceStore:
        return SourceStore(self.folder / "places", site)

    def memo(self, _job: object = None, site: str = "docs") -> Memo:
        return Memo(self.folder / "places" / ".made" / site)

    def wanted(self, job: object, site: str) -> Home:
        """As ``Homes``: by ``target``."""
        return self.named(job, site, self.target)

    def named(self, job: object, site: str, target: str) -> Home:
        """As ``Homes``: the place of ``default`` is the bench's own, others lie in folders by their names."""
        if target == DEFAULT_TARGET:
            return Home(self.place(job, site), self.caches)
        if target in self.gone:
            raise TargetUnknown(f"{site} lies in the target {target!r}", field="site")
        return Home(self.place_type(self.folder / f"target-{target}", site), self.caches, target)

    def publisher(self, **more: Any) -> Publisher:
        return Publisher(
            records=self.records,
            homes=self,
            open_sources=self.sources,
            open_memo=self.memo,
            actions=lambda _job, _origin: self.actions,
            folders=self.folders,
            keep=self.keep,
            **more,
        )

    def job(self, row: Job | None = None, *, make: type[FakeJob] = FakeJob, **uploads: bytes) -> FakeJob:
        """A job that runs; ``uploads`` by names that end with their numbers."""
        row = row or running(self.ledger, self.tenant)
        self.folder.mkdir(exist_ok=True)
        workdir = Path(tempfile.mkdtemp(prefix="work-", dir=self.folder))
        made = make(workdir, Egress(self.policy), id=row.id, fence=row.fence, attempt=row.attempt)
        made.uploads = {UPLOAD.format(name[-1]): content for name, content in uploads.items()}
        return made

    def publish(
        self, files: Mapping[str, str | bytes] = SITE, job: FakeJob | None = None, **request: Any
    ) -> SiteResult:
        """Publish these files as ``docs`` from an archive."""
        job = job or self.job()
        job.uploads[UPLOAD.format(1)] = tarred(files)
        values = {"site": "docs", "source": {"upload": UPLOAD.format(1)}} | request
        result = self.publisher()(SiteRequest.model_validate(values), job)
        self.end(job)
        return result

    def roll_back(self, job: FakeJob | None = None, **request: Any) -> RollbackResult:
        """Roll ``docs`` back."""
        job = job or self.job()
        result = Rollback(self.records, self, self.memo)(
            RollbackRequest.model_validate({"site": "docs"} | request), job
        )
        self.end(job)
        return result

    def end(self, job: FakeJob) -> None:
        """Let the job succeed in the ledger."""
        job.http.close()
        ended = transitions.finish(
            self.ledger, job.id, fence=job.fence, state=JobState.SUCCEEDED, cause=Cause.COMPLETED, result={}
        )
        assert ended is not None

    def turn(self) -> Turn:
        """The turn of a job that comes after all others."""
        return Turn(new_id(), 1)

    def tree(self) -> dict[str, bytes]:
        """The live release, by paths; in a bucket without compressed forms."""
        if self.bucket is not None:
            place = self.place()
            release = place.pointer().release
            return {path: place.live_content(path) for path in place.manifest(release).files} if release else {}
        return {
            path.relative_to(self.live).as_posix(): path.read_bytes()
            for path in sorted(self.live.rglob("*"))
            if path.is_file()
        }
