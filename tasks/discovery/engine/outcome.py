"""What came of running a tool once."""

from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from tasks.discovery.tool import Tool


@dataclass(frozen=True, slots=True)
class Outcome:
    """The site's answer, read.

    Attributes:
        url: where the run ended, redirects followed.
        text: the answer's body as text, bounded; a browser gives the page as it stands.
        value: the typed output: parsed JSON, or ``{"items": [...], "text": ..., "title": ..., "url": ...}`` of a page.
        items: the repeated records in it, where there are any.
        sent: method, URL and body as they went out, for comparing; empty where a browser ran.
        selectors: those that found their element, in order; only a browser needs any.
        lost_selectors: better ones that found nothing any more.
    """

    status: int
    url: str
    media_type: str
    text: str
    value: Any
    backend: Literal["http", "browser"]
    took_s: float
    items: tuple[dict[str, Any], ...] = ()
    sent: dict[str, str] = field(default_factory=dict)
    selectors: tuple[str, ...] = ()
    lost_selectors: tuple[str, ...] = ()

    @property
    def is_ok(self) -> bool:
        """Whether the site answered with success."""
        return 200 <= self.status < 400


class Run(Protocol):
    """Runs tools for proof; the discovery passes one in."""

    def __call__(self, tool: Tool, arguments: dict[str, Any]) -> Outcome:
        """Check ``arguments`` against the tool's schema and run it once.

        Raises:
            InputRejected: the arguments do not fit; nothing was sent.
            Transient, Permanent: the run failed; the message names the step.
        """
