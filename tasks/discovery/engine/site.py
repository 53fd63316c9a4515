"""What a source of tools sees of a site: pages as a browser showed them, and a way to fetch documents."""

from dataclasses import dataclass
from typing import Any, Protocol

from tasks.discovery.engine.page import Link, Page

# What had been done before a request that a page makes by itself, as it is opened.
LOAD = "load"
# What would have been done, with nothing reaching the site.
WOULD_PRESS = "would press"


@dataclass(frozen=True, slots=True)
class Document:
    """One answer to a GET, redirects followed. ``text`` is bounded; empty for what is not text. ``links`` are those of
    its header.
    """

    url: str
    status: int
    media_type: str
    text: str
    links: tuple[Link, ...] = ()


class Fetch(Protocol):
    """Fetches a document of the site, once per address and discovery."""

    def __call__(self, url: str, *, accept: str = "*/*") -> Document | None:
        """Return the document, or None where none can be had: refused, out of reach, not in time, too large.

        A status of 400 and above is an answer like any other.
        """


class PostJSON(Protocol):
    """Posts a question as JSON to an address of the site: for protocols whose questions are bodies, such as GraphQL.

    A source may send with it only what changes nothing.
    """

    def __call__(self, url: str, payload: Any, *, accept: str = "application/json") -> Document | None:
        """Return the answer as ``Fetch`` does; redirects are not followed."""


@dataclass(frozen=True, slots=True)
class DeclaredTool:
    """A WebMCP tool as ``document.modelContext`` lists it."""

    name: str
    description: str
    input_schema: dict[str, Any]
    title: str = ""
    annotations: dict[str, Any] | None = None
    # False for one compiled from a form's attributes, which the form source knows better.
    is_imperative: bool = True


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request that a script of the page made (XHR, fetch) and its answer. Bodies are bounded; headers in lower case.

    ``trigger`` says what had been done just before: ``load``, or a safe control in a few words; ``typed`` is the text
    that was being typed then. ``is_sent`` is False for what was stopped before it left, because it might have changed
    something: there is no answer then, and ``status`` is 0. Of headers that carry secrets (``cookie``,
    ``authorization`` …) only the name is kept, with an empty value.
    """

    method: str
    url: str
    request_headers: dict[str, str]
    request_body: str
    status: int
    media_type: str
    response_text: str
    trigger: str = LOAD
    typed: str = ""
    is_sent: bool = True


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A page as a browser showed it, shadow roots and same-origin frames included.

    Attributes:
        html: the document as it stands after scripts, for what is read from text (JSON-LD, links to descriptions).
        selectors: for each form of ``page.forms``, how to find it again; see ``FormSelectors``.
        loose_selectors: the same for each of ``page.loose``, those in frames left out.
        pressed: buttons that were pressed to see what they ask for: id, name and what each says.
        is_cut: whether the page was larger than what is read of one.
    """

    page: Page
    html: str
    status: int = 200
    charset: str = "UTF-8"
    selectors: tuple["FormSelectors", ...] = ()
    loose_selectors: tuple[tuple[str, ...], ...] = ()
    declared: tuple[DeclaredTool, ...] = ()
    exchanges: tuple[Exchange, ...] = ()
    pressed: frozenset[tuple[str, str, str]] = frozenset()
    is_cut: bool = False


@dataclass(frozen=True, slots=True)
class FormSelectors:
    """How to find a form and each of its controls again: ranked selectors of Playwright, best first.

    ``controls`` is parallel to ``Form.controls``. ``frame_url`` is empty in the page itself.
    """

    form: tuple[str, ...] = ()
    controls: tuple[tuple[str, ...], ...] = ()
    frame_url: str = ""


@dataclass(frozen=True, slots=True)
class Site:
    """A site while it is being looked at. ``origin`` is ``scheme://host[:port]``; the first snapshot is the start
    page. ``post_json`` is None where nothing may be posted."""

    origin: str
    snapshots: tuple[Snapshot, ...]
    fetch: Fetch
    post_json: PostJSON | None = None
