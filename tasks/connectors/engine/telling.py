"""What a service's documents say of its work: whether it has ended, and how far it is."""

from dataclasses import dataclass
from typing import Any

from tasks.connectors.engine.pointer import MISSING, found_at
from tasks.connectors.service import Telling
from tasks.core.errors import Permanent
from tasks.core.hidden import Hidden
from tasks.core.job import JobContext

MAX_MESSAGE_CHARS = 300
REMOTE_FAILED = "remote_failed"
UNREADABLE = "remote_unreadable"
_MAX_REMOTE_CHARS = 2000


@dataclass(frozen=True, slots=True)
class Teller:
    """Tells a job what a service's documents say, without secrets."""

    job: JobContext
    hidden: Hidden
    telling: Telling

    def word(self, document: Any) -> str | None:
        """Return how the work stands, in small letters; None: the document does not say."""
        state = found_at(self.telling.state, document)
        return str(state).casefold() if isinstance(state, str | int) else None

    def has_ended(self, word: str, document: Any) -> bool:
        """Whether the work has succeeded.

        Raises:
            Permanent: it has failed.
        """
        if word in {failed.casefold() for failed in self.telling.failed}:
            message = self.message(document)
            raise Permanent(f"The service's work ended as {self.told(word)}. {message}".strip(), code=REMOTE_FAILED)
        return word in {succeeded.casefold() for succeeded in self.telling.succeeded}

    def report(self, document: Any, *, step: int, otherwise: str) -> None:
        """Report how far the work is; where that is not said, the ``step``."""
        telling = self.telling
        done = found_at(telling.progress, document) if telling.progress is not None else None
        message = self.message(document) or self.told(otherwise)
        if isinstance(done, int | float) and 0 <= done <= telling.progress_of:
            self.job.report("remote", done, telling.progress_of, message)
        else:
            self.job.report("remote", step, None, message)

    def message(self, document: Any) -> str:
        """Return what the document has to read, or nothing."""
        pointer = self.telling.message
        found = found_at(pointer, document) if pointer is not None else None
        return "" if found is None or found is MISSING else self.told(str(found))

    def told(self, text: str) -> str:
        """Return a service's words as they may be shown."""
        return self.hidden.struck_from(text)[:MAX_MESSAGE_CHARS]

    def shown(self, remote: dict[str, str]) -> str:
        """Return what a service calls the work, to read."""
        return ", ".join(f"{name} {self.told(value)}" for name, value in remote.items())


def is_name(value: object) -> bool:
    """Whether a service can be asked about its work by this value."""
    return isinstance(value, str | int) and not isinstance(value, bool) and 0 < len(str(value)) <= _MAX_REMOTE_CHARS
