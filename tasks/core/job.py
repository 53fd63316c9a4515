"""What an engine sees of the job it works for. Pure types: importing this loads no broker and no database."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol, TypeVar

from pydantic import BaseModel

if TYPE_CHECKING:  # the HTTP library behind it takes half a second to import
    from tasks.core.browser import JobBrowser
    from tasks.core.egress import Egress


class Resume(Protocol):
    """Small state kept across attempts (at most 64 KiB of JSON), refused from a superseded attempt."""

    def load(self) -> dict[str, object] | None:
        """Return what the newest earlier attempt saved, or None."""

    def save(self, state: dict[str, object]) -> None:
        """Keep ``state`` for the next attempt.

        Raises:
            JobSuperseded: another claim owns the job.
        """


class JobContext(Protocol):
    """Passed to every engine as ``job``."""

    @property
    def id(self) -> str:
        """The job's id, a UUIDv7."""

    @property
    def attempt(self) -> int:
        """Which try this is, from 1."""

    @property
    def fence(self) -> int:
        """Grows with each claim; pass it to whatever is written outside, so that a late writer is refused."""

    @property
    def workdir(self) -> Path:
        """An empty folder of this attempt only; removed when the attempt ends, even by a kill."""

    @property
    def keepdir(self) -> Path:
        """A folder that all attempts of this job on this machine share; removed once the job has ended.

        An older attempt may still be writing there: fence what must not be mixed up. Another machine has its own,
        so what it holds is of use only where ``resume`` says that it is the newest.
        """

    @property
    def sharedir(self) -> Path:
        """A folder that all jobs on this machine share, and that stays; whoever writes there takes a lock."""

    @property
    def http(self) -> "Egress":
        """Makes HTTP clients that refuse forbidden addresses. With ``browser``, the only way out."""

    @property
    def browser(self) -> "JobBrowser":
        """A warm Chromium whose connections obey the same rules; launched when it is first used."""

    @property
    def resume(self) -> Resume:
        """Small state kept across attempts."""

    def report(self, stage: str, done: float, total: float | None = None, message: str = "") -> None:
        """Tell viewers how far the work is; at most ten reports a second are sent, the last one always.

        Also a cancellation point (see ``checkpoint``).
        """

    def log(self, line: str, *, level: str = "info", stream: str = "engine") -> None:
        """Add one line to the job's log."""

    def delta(self, data: dict[str, object]) -> None:
        """Show viewers a piece of the result as soon as there is one, as a ``delta`` event; pieces keep their order.

        A later attempt begins anew: its pieces have its number. The whole is in the result.
        """

    def save(self, name: str, content: bytes | Path, media_type: str) -> None:
        """Keep ``content`` as the artifact ``name``; it becomes visible at once and replaces an older one.

        Raises:
            InputRejected: the name is not a plain relative path of at most 200 characters.
            JobSuperseded: another claim owns the job.
        """

    def open(self, upload_id: str) -> BinaryIO:
        """Open the content of an upload that the request names; whoever asks closes it.

        Raises:
            NotFound: it is gone, which the job itself prevents, or is another tenant's. Permanent.
        """

    def emit(self, type_: str, data: dict[str, object]) -> None:
        """Tell the tenant what this job has brought about, as a domain event: ``emit("site.crawled", {...})``.

        It is written with the job's successful end and never otherwise, hence exactly once.

        Raises:
            InputRejected: the type is not ``noun.verb`` in lower case, or is ``job.*``; the data is no JSON of at most
                16 KiB; this is the job's 101st event.
        """

    def checkpoint(self) -> None:
        """Stop here if the attempt must not go on. Call it in every loop; it is cheap.

        Raises:
            JobCancelled, JobSuperseded: control flow, not to be caught.
        """


RequestT = TypeVar("RequestT", bound=BaseModel)
Engine = Callable[[RequestT, JobContext], BaseModel]
