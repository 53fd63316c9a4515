"""Where a site keeps its API descriptions: what pages link to and configure, the catalogue, and usual paths.

Source: RFC 8631 (``service-desc``), in pages, ``Link`` headers (RFC 8288) and JSON; RFC 9727
(``/.well-known/api-catalog``); RFC 9264 (link sets); the documented options of Swagger UI, Redoc, Scalar, RapiDoc and
Stoplight Elements.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from tasks.discovery.engine.document_links import json_links
from tasks.discovery.engine.html_page import read_page
from tasks.discovery.engine.page import Link, Page
from tasks.discovery.engine.site import Document, Site
from tasks.discovery.engine.sources.html_tree import parse_html
from tasks.discovery.engine.sources.openapi.specification import Specification, is_specification, list_of
from tasks.discovery.engine.sources.reach import is_expected, is_other_host, resolved
from tasks.discovery.engine.sources.structured_text import read_json, read_object

MAX_SPECIFICATIONS = 5
MAX_FETCHES = 30
_MAX_LINKED = 8
_MAX_DOCS_PAGES = 3
_MAX_HTML = 2_000_000

CATALOG_PATH = "/.well-known/api-catalog"
# Most common first; each framework's own default.
USUAL_PATHS = (
    *("/openapi.json", "/swagger.json", "/v3/api-docs", "/api/openapi.json", "/swagger/v1/swagger.json"),
    *("/openapi.yaml", "/api/swagger.json", "/openapi/openapi.json", "/api-docs", "/api/schema/"),
    *("/apispec_1.json", "/api/v1/openapi.json"),
)
_ACCEPT = "application/openapi+json, application/json, application/yaml;q=0.9, text/yaml;q=0.9, */*;q=0.5"
_ACCEPT_CATALOG = "application/linkset+json, application/json;q=0.5"
_ACCEPT_PAGE = "text/html, */*;q=0.5"

_DOCUMENT_NAME = re.compile(
    r"(?:openapi|swagger|api-?docs?|apispec|api[-_.]?spec|spec|schema|api)[\w.-]{0,40}\.(?:json|ya?ml)$"
    r"|/(?:v\d/)?api-docs$|/openapi$",
    re.IGNORECASE,
)
_DOCS_PATH = re.compile(
    r"/(?:swagger(?:-ui)?|redoc|scalar|rapidoc|apidocs?|api-docs?|openapi|docs/api|api/docs|api/v?\d*/?docs?|api)"
    r"(?:/|/index\.html|\.html)?$|/(?:docs|documentation|developers?)/?$",
    re.IGNORECASE,
)
_DOCS_TOOL = re.compile(r"swagger|redoc|scalar|rapi-?doc|elements-api|openapi|api-reference", re.IGNORECASE)
# How documentation tools are told where the description is.
_CONFIGURED = re.compile(
    r"""(?:\b(?:url|spec-?url|data-url|configUrl|apiDescriptionUrl|openapi|spec)["']?\s{0,5}[:=]\s{0,5}"""
    r"""|\b(?:Redoc\.init|fetch)\(\s{0,5})["']([^"'<>\s]{1,500})["']""",
    re.IGNORECASE,
)
_INITIALIZER = re.compile(r"swagger-init\w{0,20}\.js")
# Attributes of Redoc, RapiDoc, Stoplight Elements and Scalar; the last holds a configuration as JSON.
_ATTRIBUTES = ("spec-url", "apidescriptionurl", "data-url", "data-spec-url", "data-configuration")
_ASSET = re.compile(r"\.(?:js|css|png|svg|ico|html?)(?:\?|$)", re.IGNORECASE)
_MAX_SCRIPTS = 100


def find_specifications(site: Site) -> list[Specification]:
    """Return the descriptions of the site's APIs: all that it links to, else the first at a usual path."""
    return _Search(site).specifications()


class _Search:
    """One search of a site; counts what it asks for."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._left = MAX_FETCHES
        self._tried: set[str] = set()
        self._found: dict[str, Specification] = {}

    def specifications(self) -> list[Specification]:
        for snapshot in self._site.snapshots:
            self._look_into(snapshot.html, page=snapshot.page)
        self._take_catalog()
        if not self._found:
            self._visit_docs()
        for path in USUAL_PATHS:
            if self._found:
                break
            self._take(self._site.origin + path)
        return list(self._found.values())

    def _look_into(self, text: str, *, page: Page) -> None:
        """Take what a page links to, what it configures a documentation tool with, and what it holds itself."""
        linked = [link.href for link in (*page.head_links, *page.links) if _is_description(link)]
        docs = _DocsPage.read(text) if _DOCS_TOOL.search(text) else _DocsPage()
        configured = [*docs.configured, *self._initialized(docs, page=page)]
        for reference in list(dict.fromkeys([*linked, *configured]))[:_MAX_LINKED]:
            url = resolved(reference, base=page.base_url or page.url)
            if url is not None:
                self._take(url, is_config_allowed=True)
        for raw in docs.held:
            self._add(raw, url=page.url)

    def _initialized(self, docs: "_DocsPage", *, page: Page) -> Iterator[str]:
        """Return what Swagger UI's separate script configures."""
        for source in docs.initializers[:2]:
            url = resolved(source, base=page.base_url or page.url)
            script = self._fetch(url, accept="*/*") if url and not is_other_host(url, site=page.url) else None
            if script is not None:
                yield from _configured(script.text[:_MAX_HTML])

    def _visit_docs(self) -> None:
        pages = [link.href for snapshot in self._site.snapshots for link in snapshot.page.links if _is_docs_page(link)]
        seen = {snapshot.page.url for snapshot in self._site.snapshots}
        own = [
            url for url in dict.fromkeys(pages) if url not in seen and not is_other_host(url, site=self._site.origin)
        ]
        for url in own[:_MAX_DOCS_PAGES]:
            document = self._fetch(url, accept=_ACCEPT_PAGE)
            if document is None or self._add(read_object(document.text), url=document.url):
                continue
            self._follow(document)
            self._look_into(document.text, page=read_page(document.text, url=document.url))

    def _follow(self, document: Document) -> None:
        """Take what an answer links to as a description: in its header, or in its JSON."""
        linked = (*document.links, *json_links(document.text, base=document.url))
        for link in [link for link in linked if "service-desc" in link.rel][:_MAX_LINKED]:
            if resolved(link.href, base=document.url) is not None:
                self._take(link.href)

    def _take_catalog(self) -> None:
        url = self._site.origin + CATALOG_PATH
        document = self._fetch(url, accept=_ACCEPT_CATALOG)
        if document is None:
            return
        for reference in _catalogued(read_json(document.text)):
            target = resolved(reference, base=document.url)
            if target is not None:
                self._take(target)

    def _take(self, url: str, *, is_config_allowed: bool = False) -> None:
        if len(self._found) >= MAX_SPECIFICATIONS or not is_expected(url, site=self._site.origin):
            return
        document = self._fetch(url, accept=_ACCEPT)
        raw = read_object(document.text) if document is not None else None
        if document is None or raw is None or self._add(raw, url=document.url) or not is_config_allowed:
            return
        self._follow(document)
        # Swagger UI's configuration by ``configUrl`` is itself a document that names descriptions.
        entries = [raw, *list_of(raw, "urls")][:MAX_SPECIFICATIONS]
        for reference in (entry.get("url") for entry in entries if isinstance(entry, dict)):
            target = resolved(reference, base=document.url) if isinstance(reference, str) else None
            if target is not None:
                self._take(target)

    def _add(self, raw: dict[str, Any] | None, *, url: str) -> bool:
        if raw is None or not is_specification(raw) or len(self._found) >= MAX_SPECIFICATIONS:
            return False
        if not any(raw == other.raw for other in self._found.values()):
            self._found.setdefault(url, Specification(raw, url=url, load=self._load))
        return True

    def _load(self, url: str) -> dict[str, Any] | None:
        document = self._fetch(url, accept=_ACCEPT)
        return read_object(document.text) if document is not None else None

    def _fetch(self, url: str, *, accept: str) -> Document | None:
        if self._left <= 0 or url in self._tried:
            return None
        self._left -= 1
        self._tried.add(url)
        document = self._site.fetch(url, accept=accept)
        return document if document is not None and document.status < 400 else None


def _is_description(link: Link) -> bool:
    if "service-desc" in link.rel:
        return True
    return bool(_DOCUMENT_NAME.search(urlsplit(link.href[:2000]).path)) if _is_web(link.href) else False


def _is_docs_page(link: Link) -> bool:
    return "service-doc" in link.rel or (_is_web(link.href) and bool(_DOCS_PATH.search(link.href[:2000])))


def _is_web(url: str) -> bool:
    return url.startswith(("http://", "https://")) and resolved(url, base=url) is not None


@dataclass(slots=True)
class _DocsPage:
    """What a page of a documentation tool says: addresses, scripts that say more, and descriptions that it holds."""

    configured: list[str] = field(default_factory=list)
    initializers: list[str] = field(default_factory=list)
    held: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def read(cls, text: str) -> "_DocsPage":
        """Return what the HTML says."""
        found = cls()
        root = parse_html(text[:_MAX_HTML])
        if root is None:
            return found
        for name in _ATTRIBUTES:
            for value in root.xpath("//@*[local-name() = $name]", name=name)[:_MAX_LINKED]:
                found.configured += _configured(value) if value.lstrip().startswith("{") else [value]
        for script in list(root.iter("script"))[:_MAX_SCRIPTS]:
            source = script.get("src", "")
            if _INITIALIZER.search(source[:1000]):
                found.initializers.append(source)
            content = script.text or ""
            found.configured += _configured(content)
            if "json" in script.get("type", ""):
                found.held += _held(read_json(content))
        return found


def _configured(text: str) -> list[str]:
    found = dict.fromkeys(match[1].replace("\\/", "/") for match in _CONFIGURED.finditer(text))
    return [name for name in found if not _ASSET.search(name)]


def _held(raw: Any) -> list[dict[str, Any]]:
    values = (raw, raw.get("content"), raw.get("spec")) if isinstance(raw, dict) else ()
    return [value for value in values if isinstance(value, dict)]


def _catalogued(raw: Any) -> list[str]:
    """Return the addresses of descriptions in a link set, then of its further items."""
    sets = [entry for entry in list_of(raw, "linkset") if isinstance(entry, dict)] if isinstance(raw, dict) else []
    targets = [
        (relation, target.get("href"))
        for entry in sets[:100]
        for relation in ("service-desc", "item")
        for target in list_of(entry, relation)[:20]
        if isinstance(target, dict)
    ]
    ordered = sorted(targets, key=lambda pair: pair[0] != "service-desc")
    return [href for _, href in ordered if isinstance(href, str)][:_MAX_LINKED]
