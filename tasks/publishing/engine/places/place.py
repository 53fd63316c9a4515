"""What every place can do, and what its callers may rely on."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tasks.core.errors import Permanent
from tasks.publishing.failures import PlaceFailed, PlaceRefused
from tasks.publishing.manifest import Manifest, Stored

__all__ = ["ActivationRefused", "Place", "PlaceFailed", "PlaceRefused", "Pointer", "Turn"]


class ActivationRefused(Permanent):
    """A later job or attempt has written the pointer: this one is superseded and changes nothing."""

    code = "activation_refused"


@dataclass(frozen=True, slots=True, order=True)
class Turn:
    """Whose turn it is to write the pointer: later jobs come after earlier ones, and later attempts after earlier.

    Args:
        job_id: a UUIDv7, so that ids are ordered as the jobs were accepted.
        fence: grows with each claim of the job.
        step: grows where one attempt writes it again, to take back what it has made live.
    """

    job_id: str
    fence: int
    step: int = 0


@dataclass(frozen=True, slots=True)
class Pointer:
    """Which release is live, and whose turn it was; None before the first."""

    release: str | None = None
    turn: Turn | None = None


class Place(Protocol):
    """Holds content by its hash, releases as lists of it, and one pointer per site.

    The order of a publication is ``lacks`` and ``put`` for the content, ``prepare``, then ``activate``. A process that
    dies in between leaves the live release as it was; what it had put is used by the next attempt or swept.
    """

    def lacks(self, wanted: Iterable[Stored]) -> set[Stored]:
        """Return what is not here yet, whole."""

    def put(self, stored: Stored, content: Path) -> None:
        """Keep the file's bytes; again is harmless.

        Raises:
            PlaceFailed: it is not kept.
        """

    def prepare(self, manifest: Manifest) -> None:
        """Make the release servable without serving it; again is harmless.

        Raises:
            PlaceFailed: some of its content is not here, or there is no room.
        """

    def pointer(self) -> Pointer:
        """Return what is live."""

    def activate(self, release: str, turn: Turn) -> Pointer:
        """Make a prepared release live in one step; return what was live before.
        The same turn may come again with the same release: it was cut off, and does not know how far it got.

        Raises:
            ActivationRefused: the pointer was written in a later turn, or in this one for another release.
            PlaceFailed: the release is not prepared here.
        """

    def live_content(self, path: str) -> bytes:
        """Return the bytes that a visitor of the live release gets for the path.

        Raises:
            PlaceFailed: nothing is live, or has no such file.
        """

    def content(self, stored: Stored) -> Iterable[bytes]:
        """Return the bytes of a content, in pieces; ``put`` proves them by their hash.

        Raises:
            PlaceFailed: it is not here.
        """

    def manifest(self, release: str) -> Manifest:
        """Return the manifest of a release that is prepared here.

        Raises:
            PlaceFailed: it is not, or is not what its name says.
        """

    def releases(self) -> list[str]:
        """Return the releases that are prepared here, in no order."""

    def sweep(self, keep: Iterable[str]) -> int:
        """Remove all releases but these and the live one, and content that none of the rest has; return bytes freed."""
