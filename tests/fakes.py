"""A job context without a worker: records what an engine does to its job."""

from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

from tasks.core.domain_events import Emissions
from tasks.core.egress import Egress
from tasks.core.errors import InputRejected, JobCancelled


@dataclass
class FakeResume:
    """Keeps the state in memory."""

    state: dict[str, object] | None = None

    def load(self) -> dict[str, object] | None:
        return self.state

    def save(self, state: dict[str, object]) -> None:
        self.state = state


@dataclass(frozen=True)
class Report:
    """One call of ``report``."""

    stage: str
    done: float
    total: float | None
    message: str


@dataclass
class FakeJob:
    """A ``JobContext``. ``cancel_after`` reports, or setting ``is_cancelled`` from any thread, cancels it."""

    workdir: Path
    http: Egress
    browser: Any = None
    id: str = "01890000-0000-7000-8000-000000000000"
    attempt: int = 1
    fence: int = 1
    cancel_after: int | None = None
    is_cancelled: bool = False
    resume: FakeResume = field(default_factory=FakeResume)
    reports: list[Report] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    deltas: list[dict[str, object]] = field(default_factory=list)
    saved: dict[str, bytes] = field(default_factory=dict)
    media_types: dict[str, str] = field(default_factory=dict)
    uploads: dict[str, bytes] = field(default_factory=dict)
    emissions: Emissions = field(default_factory=Emissions)
    checkpoints: int = 0

    @property
    def keepdir(self) -> Path:
        folder = self.workdir / "kept"
        folder.mkdir(exist_ok=True)
        return folder

    @property
    def sharedir(self) -> Path:
        folder = self.workdir / "shared"
        folder.mkdir(exist_ok=True)
        return folder

    def report(self, stage: str, done: float, total: float | None = None, message: str = "") -> None:
        self.reports.append(Report(stage, done, total, message))
        if self.cancel_after is not None and len(self.reports) >= self.cancel_after:
            self.is_cancelled = True
        self.checkpoint()

    def log(self, line: str, *, level: str = "info", stream: str = "engine") -> None:
        self.lines.append(f"{level} {line}")

    def delta(self, data: dict[str, object]) -> None:
        self.deltas.append(data)

    def save(self, name: str, content: bytes | Path, media_type: str) -> None:
        if name.startswith("/") or ".." in name.split("/") or not 0 < len(name) <= 200:
            raise InputRejected(f"{name!r} is no plain relative path", field="name")
        self.saved[name] = content.read_bytes() if isinstance(content, Path) else content
        self.media_types[name] = media_type

    def open(self, upload_id: str) -> BinaryIO:
        return BytesIO(self.uploads[upload_id])

    def emit(self, type_: str, data: dict[str, object]) -> None:
        self.emissions.add(type_, data)

    def checkpoint(self) -> None:
        self.checkpoints += 1
        if self.is_cancelled:
            raise JobCancelled
