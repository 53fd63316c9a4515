"""Runs of one tool for its proof: few, each read once, none asked for twice without need."""

import re
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from tasks.core.errors import AppError, EgressRefused, EngineFailed, InputRejected, TooLarge
from tasks.discovery.engine.outcome import Outcome, Run
from tasks.discovery.tool import Tool

MAX_RUNS = 5
MAX_SECONDS = 15.0
# Everything that a run may end in without being the job's end.
RUN_TROUBLE: tuple[type[AppError], ...] = (EgressRefused, EngineFailed, InputRejected, TooLarge)

# What changes from one answer to the next without being another answer: times, tokens, ids of the request itself.
_VOLATILE_NAME = re.compile(
    r"(^|_)(time|timestamp|date|now|took|elapsed|duration|age|ago|nonce|token|csrf\w*|session|request_?id|trace\w*|"
    r"uuid|etag|expires|updated|modified|seen|heartbeat|uptime|ms|load\w*)(_|$)|_at$",
    re.IGNORECASE,
)
_CLOCK = re.compile(
    r"\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?|\b\d+(\.\d+)? ?(ms|seconds?|minutes?|hours?) ?(ago)?\b|\b1[5-9]\d{8}(\.\d+)?\b"
)
_TOKEN = re.compile(r"\b[A-Za-z0-9_-]{32,}\b")
_MAX_COMPARED_CHARS = 20_000


@dataclass(slots=True)
class Trials:
    """Runs a tool with arguments and keeps what came of each; the same arguments again are a new run."""

    tool: Tool
    run: Run
    left: int = MAX_RUNS
    ends_at: float = field(default_factory=lambda: time.monotonic() + MAX_SECONDS)
    failure: str = ""

    def may_go_on(self) -> bool:
        """Whether another run fits into the bounds."""
        return self.left > 0 and time.monotonic() < self.ends_at

    def __call__(self, arguments: dict[str, Any]) -> Outcome | None:
        """Run once; None where it did not end in an answer, or may not run any more. ``failure`` says why."""
        if not self.may_go_on():
            self.failure = "the bound on runs was reached"
            return None
        self.left -= 1
        try:
            return self.run(self.tool, arguments)
        except RUN_TROUBLE as exc:
            self.failure = str(exc).partition("\n")[0][:200]
            return None


def is_success(outcome: Outcome) -> bool:
    """Whether the site answered with what was asked for: neither an error nor its sign-in page instead."""
    if not outcome.is_ok:
        return False
    return not _is_sign_in(outcome)


def _is_sign_in(outcome: Outcome) -> bool:
    asked = urlsplit(outcome.sent.get("url", "")).path if outcome.sent else ""
    path = urlsplit(outcome.url).path.lower()
    is_elsewhere = bool(asked) and asked.rstrip("/").lower() != path.rstrip("/")
    return is_elsewhere and re.search(r"(^|/)(log-?in|sign-?in|auth|sso)(/|$)", path) is not None


def answers_of(outcome: Outcome) -> list[str]:
    """Return what the answer says, piece by piece, without what is new in every answer: its items, else its text."""
    return [_stable(item) for item in outcome.items] or [text_of(outcome)]


def words_of(outcome: Outcome) -> list[str]:
    """Return what ``answers_of`` does, without addresses where there are words.

    What is asked for is in links all over a page: items that differ in nothing else are the same.
    """
    return [_stable(_without_addresses(item)) for item in outcome.items] or [text_of(outcome)]


def _without_addresses(item: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in item.items() if not _is_address(value)} or item


def _is_address(value: Any) -> bool:
    if isinstance(value, list):
        return bool(value) and all(map(_is_address, value))
    return isinstance(value, str) and value.startswith(("http://", "https://", "/", "?"))


def text_of(outcome: Outcome, *, without: tuple[str, ...] = ()) -> str:
    """Return all that the answer says, without what is new in every answer, and without these words."""
    is_page = isinstance(outcome.value, dict) and "text" in outcome.value
    text = str(outcome.value["text"]) if is_page else outcome.text
    for word in filter(None, without):
        text = text.replace(word, "#")
    return _plain(text)


def _stable(item: dict[str, Any]) -> str:
    kept = {name: _calm(value) for name, value in sorted(item.items()) if not _VOLATILE_NAME.search(name)}
    return _plain(str(kept or item))


def _calm(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _calm(one) for name, one in sorted(value.items()) if not _VOLATILE_NAME.search(str(name))}
    if isinstance(value, list):
        return [_calm(one) for one in value]
    return value


def _plain(text: str) -> str:
    return _TOKEN.sub("#", _CLOCK.sub("#", text[:_MAX_COMPARED_CHARS]))
