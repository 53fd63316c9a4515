"""Tools from OpenSearch descriptions: a site's search and its suggestions.

Source: OpenSearch 1.1 draft 6; its Suggestions and Parameter extensions; Mozilla's ``Param`` elements.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from lxml import etree

from tasks.discovery.engine.effects import effect_of, is_idempotent
from tasks.discovery.engine.names import Names
from tasks.discovery.engine.page import Link
from tasks.discovery.engine.schema import DIALECT
from tasks.discovery.engine.site import Site
from tasks.discovery.engine.sources.reach import is_expected, is_other_host, path_of, resolved
from tasks.discovery.engine.sources.url_template import Placeholder, URLTemplate, read_template
from tasks.discovery.tool import MAX_DESCRIPTION_CHARS, JSONSchema, Place, RequestCall, Slot, Source, Tool

USUAL_PATHS = ("/opensearch.xml", "/osd.xml", "/opensearch_desc.php")
MAX_DESCRIPTIONS = 5
MAX_URLS = 10

_MEDIA_TYPE = "application/opensearchdescription+xml"
_NAMESPACES = ("{http://a9.com/-/spec/opensearch/1.1/}", "{http://a9.com/-/spec/opensearch/1.0/}")
_MOZILLA = "{http://www.mozilla.org/2006/browser/search/}"
_PARAMETERS = "{http://a9.com/-/spec/opensearch/extensions/parameters/1.0/}"
_MAX_XML_CHARS = 200_000
_PRIOR = 0.97
_SUGGESTING = ("application/x-suggestions+json", "application/x-suggestions+xml")
# What reads best as records first; the page for people always works.
_ORDER = ("application/json", "application/atom+xml", "application/rss+xml", "text/html", "application/xhtml+xml")
_FIXED = {"inputEncoding": "UTF-8", "outputEncoding": "UTF-8"}


def find_tools(site: Site) -> list[Tool]:
    """Return a tool for each way to search that the site's descriptions offer."""
    names = Names()
    return [tool for description in _descriptions(site) for tool in _tools(description, site=site, names=names)]


@dataclass(frozen=True, slots=True)
class _Description:
    root: Any
    url: str

    def text(self, name: str) -> str:
        """Return the text of the first element of this name, in one line."""
        found = next(self.elements(name), None)
        return " ".join((found.text or "")[:1000].split()) if found is not None else ""

    def elements(self, name: str) -> Iterator[Any]:
        """Return the elements of this name."""
        return (child for child in self.root if _local(child) == name)


@dataclass(frozen=True, slots=True)
class _Offer:
    """One ``Url`` element, its template read. ``offsets`` are the first numbers of results and pages."""

    media_type: str
    method: str
    template: URLTemplate
    offsets: dict[str, int]
    is_suggesting: bool

    @property
    def key(self) -> tuple[bool, str]:
        """What makes it a tool of its own."""
        return self.is_suggesting, self.media_type


def _descriptions(site: Site) -> list[_Description]:
    linked = [
        link.href
        for snapshot in site.snapshots
        for link in (*snapshot.page.head_links, *snapshot.page.links)
        if "search" in link.rel and _is_description(link)
    ]
    found: dict[bytes, _Description] = {}
    for url in list(dict.fromkeys(linked))[:MAX_DESCRIPTIONS]:
        _take(url, site, found)
    for path in USUAL_PATHS if not found else ():
        if not found:
            _take(site.origin + path, site, found)
    return list(found.values())


def _is_description(link: Link) -> bool:
    # ``rel=search`` without the media type is a link to a search page.
    return link.media_type == _MEDIA_TYPE and resolved(link.href, base=link.href) is not None


def _take(url: str, site: Site, found: dict[bytes, _Description]) -> None:
    if not is_expected(url, site=site.origin):
        return
    document = site.fetch(url, accept=f"{_MEDIA_TYPE}, application/xml;q=0.8, */*;q=0.5")
    if document is None or document.status >= 400:
        return
    root = _read_xml(document.text)
    if root is not None and _local(root) == "OpenSearchDescription":
        found.setdefault(etree.tostring(root), _Description(root, document.url))


def _read_xml(text: str) -> Any:
    """Return the root element; None for what is malformed, too long, or defines entities."""
    if not text.strip() or len(text) > _MAX_XML_CHARS or "<!DOCTYPE" in text or "<!ENTITY" in text:
        return None
    parser = etree.XMLParser(encoding="utf-8", resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        return etree.fromstring(text.lstrip("\ufeff \t\r\n").encode("utf-8", "replace"), parser)
    except (etree.XMLSyntaxError, ValueError):
        return None


def _local(element: Any) -> str:
    """Return the name of an element of OpenSearch, empty for others. Old descriptions have no namespace."""
    if not isinstance(element.tag, str):
        return ""
    for namespace in (*_NAMESPACES, _MOZILLA):
        if element.tag.startswith(namespace):
            return str(element.tag.removeprefix(namespace))
    return element.tag if not element.tag.startswith("{") else ""


def _tools(description: _Description, *, site: Site, names: Names) -> Iterator[Tool]:
    offers: dict[tuple[bool, str], _Offer] = {}
    for element in list(description.elements("Url"))[:MAX_URLS]:
        offer = _offer(element, base=description.url)
        if offer is not None and is_expected(offer.template.url, site=site.origin):
            offers.setdefault(offer.key, offer)
    rank = {media_type: position for position, media_type in enumerate(_ORDER)}
    for offer in sorted(offers.values(), key=lambda each: (each.is_suggesting, rank.get(each.media_type, len(rank)))):
        yield _tool(offer, description, site=site, names=names)


def _offer(element: Any, *, base: str) -> _Offer | None:
    media_type = element.get("type", "").partition(";")[0].strip().lower()
    is_suggesting = media_type in _SUGGESTING or "suggestions" in element.get("rel", "").split()
    is_results = "results" in (element.get("rel") or "results").split()
    method = (element.get("method") or element.get(f"{_PARAMETERS}method") or "GET").upper()
    template = read_template(element.get("template", ""), base=base)
    if template is None or method not in ("GET", "POST") or not (is_suggesting or is_results):
        return None
    template = _with_parameters(template, element)
    known = [_known(placeholder) for placeholder in template.placeholders]
    if not any(each and each.name == "searchTerms" for each in known):
        return None
    unknown = (given for each, given in zip(known, template.placeholders, strict=True) if each is None)
    if any(not given.is_optional or not given.query_name for given in unknown):
        # The specification: who does not know a required parameter must not use the template.
        return None
    offsets = {name: _whole(element.get(name), default=1) for name in ("indexOffset", "pageOffset")}
    return _Offer(media_type, method, template, offsets, is_suggesting)


def _with_parameters(template: URLTemplate, element: Any) -> URLTemplate:
    """Return the template with the pairs of its ``Param`` (Mozilla) or ``Parameter`` elements."""
    fixed, placeholders = list(template.query), list(template.placeholders)
    for child in list(element)[:50]:
        is_parameter = isinstance(child.tag, str) and etree.QName(child).localname in ("Param", "Parameter")
        name, value = child.get("name", ""), child.get("value", "")
        if not is_parameter or not name:
            continue
        if value.startswith("{") and value.endswith("}"):
            inner = value[1:-1]
            placeholders.append(Placeholder(inner.removesuffix("?"), name, is_optional=inner.endswith("?")))
        else:
            fixed.append((name[:200], value[:500]))
    unique = {placeholder.name: placeholder for placeholder in reversed(placeholders)}
    return replace(template, query=tuple(fixed), placeholders=tuple(reversed(unique.values())))


@dataclass(frozen=True, slots=True)
class _Parameter:
    name: str
    input: str
    description: str


_PARAMETER_LIST = (
    _Parameter("searchTerms", "query", "What to search for."),
    _Parameter("count", "count", "How many results a page has."),
    _Parameter("startIndex", "start_index", "The number of the first result."),
    _Parameter("startPage", "start_page", "The number of the page of results."),
    _Parameter("language", "language", "The language of the results, as in RFC 5646, or *."),
    _Parameter("inputEncoding", "", ""),
    _Parameter("outputEncoding", "", ""),
)
_PARAMETERS_BY_NAME = {parameter.name: parameter for parameter in _PARAMETER_LIST}


def _known(placeholder: Placeholder) -> _Parameter | None:
    # Extensions write prefixes of their own; OpenSearch's own names have none.
    return _PARAMETERS_BY_NAME.get(placeholder.name)


def _tool(offer: _Offer, description: _Description, *, site: Site, names: Names) -> Tool:
    slots, fixed, properties, required = [], list(offer.template.query), {}, []
    in_query = Place.QUERY if offer.method == "GET" else Place.FORM
    for placeholder in offer.template.placeholders:
        parameter = _known(placeholder)
        if parameter is None:
            continue
        if not parameter.input:
            fixed.append((placeholder.query_name or placeholder.name, _FIXED[parameter.name]))
            continue
        place = in_query if placeholder.query_name else Place.PATH
        slots.append(Slot(input=parameter.input, place=place, name=placeholder.query_name or placeholder.name))
        properties[parameter.input] = _rules(parameter, offer)
        if parameter.name == "searchTerms" or place is Place.PATH or not placeholder.is_optional:
            required.append(parameter.input)
    label = description.text("LongName") or description.text("ShortName") or site.origin.partition("://")[2]
    kind = "suggestions" if offer.is_suggesting else "results"
    effect = effect_of(offer.method, "search", path_of(offer.template.url))
    schema: JSONSchema = {"$schema": DIALECT, "type": "object", "properties": properties, "required": required}
    return Tool(
        name=names.take(_name(offer)),
        title=f"{'Suggestions of' if offer.is_suggesting else 'Search'} {label}"[:200],
        description=_described(offer, description.text("Description")),
        site=site.origin,
        found_on=description.url,
        source=Source.OPENSEARCH,
        purpose="suggestions" if offer.is_suggesting else "search",
        effect=effect,
        is_idempotent=is_idempotent(offer.method, effect),
        call=_call(offer, slots, fixed),
        input_schema={**schema, "additionalProperties": False},
        prior=_PRIOR if not is_other_host(offer.template.url, site=site.origin) else _PRIOR / 2,
        evidence=_evidence(offer, kind, site=site.origin),
        examples=_examples(description) if required == ["query"] else (),
    )


def _call(offer: _Offer, slots: list[Slot], fixed: list[tuple[str, str]]) -> RequestCall:
    headers = (("accept", offer.media_type),) if offer.media_type and "html" not in offer.media_type else ()
    if offer.method == "GET":
        return RequestCall(url=offer.template.url, query=tuple(fixed), headers=headers, slots=tuple(slots))
    return RequestCall(
        method="POST",
        url=offer.template.url,
        headers=headers,
        slots=tuple(slots),
        body=dict(fixed),
        media_type="application/x-www-form-urlencoded",
    )


def _rules(parameter: _Parameter, offer: _Offer) -> JSONSchema:
    described = {"description": parameter.description}
    match parameter.name:
        case "searchTerms":
            return {"type": "string", "minLength": 1, **described}
        case "language":
            return {"type": "string", "pattern": r"^(\*|[A-Za-z]{2,8}([-_][A-Za-z0-9]{1,8}){0,5})$", **described}
        case "count":
            return {"type": "integer", "minimum": 1, **described}
        case "startIndex":
            return {"type": "integer", "minimum": offer.offsets["indexOffset"], **described}
    return {"type": "integer", "minimum": offer.offsets["pageOffset"], **described}


def _name(offer: _Offer) -> str:
    if offer.is_suggesting:
        return "search_suggestions"
    short = offer.media_type.rpartition("/")[2].partition("+")[0]
    return "search" if "html" in offer.media_type or not short else f"search_{short}"


def _described(offer: _Offer, text: str) -> str:
    what = "Suggestions for a beginning of a search." if offer.is_suggesting else text or "Searches the site."
    form = offer.media_type if offer.media_type and "html" not in offer.media_type else ""
    return f"{what} {f'Answers with {form}.' if form else ''}".strip()[:MAX_DESCRIPTION_CHARS]


def _evidence(offer: _Offer, kind: str, *, site: str) -> tuple[str, ...]:
    lines = [f"OpenSearch description with a template for {kind} as {offer.media_type[:60] or 'any type'}"]
    if is_other_host(offer.template.url, site=site):
        lines.append(f"Calls another host: {offer.template.url.partition('://')[2].partition('/')[0][:100]}")
    return tuple(lines)


def _examples(description: _Description) -> tuple[dict[str, Any], ...]:
    terms = (query.get("searchTerms", "") for query in description.elements("Query") if query.get("role") == "example")
    return tuple({"query": text} for text in dict.fromkeys(text[:200] for text in terms if text))[:3]


def _whole(text: str | None, *, default: int) -> int:
    return int(text) if text and len(text) < 7 and text.isascii() and text.isdecimal() else default
