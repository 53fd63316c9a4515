"""What a stored sign-in holds is told to nobody: not in logs, results, files, events or tools, even where the site
itself repeats it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

from pydantic import BaseModel

from tasks.core.hidden import Hidden
from tasks.core.job import JobContext, Resume
from tasks.discovery.engine.running.sessions import StorageState
from tasks.discovery.engine.sources.form_calls import looks_random

if TYPE_CHECKING:
    from tasks.core.browser import JobBrowser
    from tasks.core.egress import Egress

ModelT = TypeVar("ModelT", bound=BaseModel)

# What is shorter is a choice ("dark", "en-GB"), which would be struck from where it means something else.
_LEAST_CHARS = 8
_MOST_SECRETS = 200


def secrets_of(state: StorageState | None) -> Hidden:
    """Return what of a sign-in identifies its holder, in every way in which a page or a request may write it.

    That is what no script may read, and whatever looks drawn by lot.
    """
    found = list(dict.fromkeys(_secrets(state or {})))[:_MOST_SECRETS]
    return Hidden.of(found)


def struck(model: ModelT, hidden: Hidden) -> ModelT:
    """Return the model without what is hidden."""
    if not hidden.spellings:
        return model
    text = model.model_dump_json()
    told = hidden.struck_from(text)
    return model if told == text else type(model).model_validate_json(told)


@dataclass(frozen=True, slots=True)
class DiscreetJob:
    """A job's context that keeps what is hidden to itself. Implements ``JobContext``."""

    job: JobContext
    hidden: Hidden

    @property
    def id(self) -> str:
        """See ``JobContext``."""
        return self.job.id

    @property
    def attempt(self) -> int:
        """See ``JobContext``."""
        return self.job.attempt

    @property
    def fence(self) -> int:
        """See ``JobContext``."""
        return self.job.fence

    @property
    def workdir(self) -> Path:
        """See ``JobContext``."""
        return self.job.workdir

    @property
    def keepdir(self) -> Path:
        """See ``JobContext``."""
        return self.job.keepdir

    @property
    def sharedir(self) -> Path:
        """See ``JobContext``."""
        return self.job.sharedir

    @property
    def http(self) -> "Egress":
        """See ``JobContext``."""
        return self.job.http

    @property
    def browser(self) -> "JobBrowser":
        """See ``JobContext``."""
        return self.job.browser

    @property
    def resume(self) -> Resume:
        """See ``JobContext``."""
        return self.job.resume

    def report(self, stage: str, done: float, total: float | None = None, message: str = "") -> None:
        """See ``JobContext``."""
        self.job.report(stage, done, total, self.hidden.struck_from(message))

    def log(self, line: str, *, level: str = "info", stream: str = "engine") -> None:
        """See ``JobContext``."""
        self.job.log(self.hidden.struck_from(line), level=level, stream=stream)

    def delta(self, data: dict[str, object]) -> None:
        """See ``JobContext``."""
        self.job.delta(json.loads(self.hidden.struck_from(json.dumps(data))))

    def save(self, name: str, content: bytes | Path, media_type: str) -> None:
        """See ``JobContext``."""
        if isinstance(content, bytes) and media_type.startswith(("application/json", "text/")):
            content = self.hidden.struck_from(content.decode()).encode()
        self.job.save(name, content, media_type)

    def open(self, upload_id: str) -> BinaryIO:
        """See ``JobContext``."""
        return self.job.open(upload_id)

    def emit(self, type_: str, data: dict[str, object]) -> None:
        """See ``JobContext``."""
        self.job.emit(type_, json.loads(self.hidden.struck_from(json.dumps(data))))

    def checkpoint(self) -> None:
        """See ``JobContext``."""
        self.job.checkpoint()


def _secrets(state: StorageState) -> Iterator[str]:
    for cookie in state.get("cookies", ()):
        value = str(cookie.get("value", ""))
        if (cookie.get("httpOnly") and len(value) >= _LEAST_CHARS) or looks_random(value):
            yield value
    for origin in state.get("origins", ()):
        for entry in origin.get("localStorage", ()):
            yield from filter(looks_random, _strings(str(entry.get("value", ""))))


def _strings(text: str) -> Iterator[str]:
    """Give a stored value, and the texts in it where it is JSON, as scripts like to store their tokens."""
    yield text
    try:
        left: list[Any] = [json.loads(text)]
    except (ValueError, RecursionError):
        return
    while left:
        value = left.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict | list):
            left += value.values() if isinstance(value, dict) else value
