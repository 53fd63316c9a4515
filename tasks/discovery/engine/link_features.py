"""What the pagination classifier looks at: the words, signs and target of a link, and its neighbours.

As with forms, no word of a page becomes a feature; only concepts, shapes and a few structural words do.
"""

import re
from bisect import bisect
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote, urlsplit

from tasks.discovery.engine.lexicon import arrow_in, link_concepts
from tasks.discovery.engine.page import Link, Page

_NUMBER = re.compile(r"[0-9]+")
_PLACES = re.compile(
    r"calend|datepick|comment|thread|topic|menu|sidebar|footer|archive|slider|\btag|nav", re.IGNORECASE
)
_PLACE_TAGS = frozenset({"td", "th", "table", "li", "nav", "p", "center", "h1", "h2", "h3", "h4"})
# Names of parameters that count pages or items.
PAGE_KEY = re.compile(
    r"page|p|pg|paged|pagina|pageno|pagenum|page_?number|page_?index|start|offset|from|skip|pagen_\d+|cpage|st|sayfa|seite|"
    r"strana|currentpage|curpage|pn|begin|idx|_?next|cursor|after|before|page_?token",
    re.IGNORECASE,
)
_PAGE_PATH = re.compile(
    r"(?:page|pag|p|seite|pagina|strana|sayfa|index|start|offset)[-_/=]?\d+|/\d+(?:\.html?|/)?$|-\d+\.html?",
    re.IGNORECASE,
)
_PAGE_END = re.compile(r"\W*(page|pag|p)?\W*\d+\W*$", re.IGNORECASE)
_OF = re.compile(r"\d\s*(/|of|von|de|из|sur|di|van)\s*\d", re.IGNORECASE)
_FRAME = " \t[]()|·•-\u2013\u2014"
_LISTED = ("word:", "sign:", "number", "rel:", "own:", "parent:", "target:page", "target:same_form", "around:page")

_TOLD = (
    *("target:page", "target:same_form", "target:same_host", "target:page_key", "target:page_path"),
    *("around:page", "parent:page", "own:page"),
)


@dataclass(frozen=True, slots=True)
class _Target:
    """An address in the parts that tell pages of a list apart."""

    host: str
    path: str
    query: dict[str, str]
    stem: str
    form: str


def link_features(page: Page) -> list[set[str]]:
    """Return the features of each of ``page.links``."""
    here = _target(page.url)
    own = [_own_features(link, page_url=page.url, here=here) for link in page.links]
    numbers = [_number(link) for link in page.links]
    runs = _runs(numbers)
    rows = []
    for position, link in enumerate(page.links):
        row = set(own[position])
        row.update(_pairs(own[position]))
        row.update(_of_neighbours(page.links, own, position))
        row.update(_of_gaps(link, numbers[position]))
        if runs[position]:
            row.add(f"run={_length(runs[position])}")
        row |= {f"beside_run{step:+d}" for step in (-1, 1) if _at(runs, position + step) >= 2}
        rows.append(row)
    return rows


def _own_features(link: Link, *, page_url: str, here: _Target) -> set[str]:
    features = set(_of_text(link)) | set(_of_target(link, page_url=page_url, here=here))
    parent, around = link.ancestors[:1], link.ancestors[1:4]
    features |= {f"own:{concept}" for concept in link_concepts(_names(link))}
    features |= {f"parent:{concept}" for ancestor in parent for concept in link_concepts(_names(ancestor))}
    if any("page" in link_concepts(_names(ancestor)) for ancestor in around):
        features.add("around:page")
    for ancestor in link.ancestors[:4]:
        features |= {f"place:{word.lower()}" for word in _PLACES.findall(_names(ancestor))}
    features |= {f"in:{ancestor.tag}" for ancestor in link.ancestors[:3] if ancestor.tag in _PLACE_TAGS}
    features |= {f"rel:{word}" for word in link.rel if word in ("next", "prev", "previous", "nofollow")}
    return features


def _of_text(link: Link) -> Iterator[str]:
    text = _shown(link)
    number = _number(link)
    if number is not None:
        yield "number"
        yield f"number={_magnitude(number)}"
    elif _NUMBER.search(text) and len(text) <= 12:
        yield "sign:with_number"
    if not re.search(r"\w", text):
        yield f"sign:{arrow_in(text) or ('other' if text else 'none')}"
        if text in ("...", "…", ".."):
            yield "sign:dots"
    elif arrow_in(text[-1:]):
        yield "sign:word>"
    elif arrow_in(text[:1]):
        yield "sign:<word"
    yield f"length={bisect((0, 3, 12, 25), len(text) - 1)}"
    for concept in link_concepts(text):
        yield f"word:{concept}" if len(text.split()) <= 3 and len(text) <= 24 else f"words:{concept}"
    for concept in link_concepts(f"{link.label} {link.title} {link.image_text}"):
        yield f"hint:{concept}"


def _magnitude(number: int) -> str:
    if number <= 2:
        return str(number)
    if number <= 10:
        return "3-10"
    return "year" if 1900 <= number <= 2100 else "11+"


def _of_target(link: Link, *, page_url: str, here: _Target) -> Iterator[str]:
    target = _target(link.href)
    is_here = link.href.partition("#")[0] == page_url.partition("#")[0]
    if is_here or link.href.startswith("javascript:"):
        yield "target:self"
    if target.host != here.host:
        yield "target:other_host"
        return
    yield "target:same_host"
    has_key = any(PAGE_KEY.fullmatch(key) and _NUMBER.search(value) for key, value in target.query.items())
    has_path = bool(_PAGE_PATH.search(target.path))
    is_near = {
        "same_form": target.form == here.form,
        "query": target.path == here.path and target.query != here.query,
        "below": here.path != target.path
        and target.path.startswith(f"{here.path.rstrip('/')}/")
        and len(target.path) - len(here.path) < 24,
        "stem": target.stem == here.stem,
    }
    yield from (f"target:{name}" for name, holds in is_near.items() if holds)
    if has_key:
        yield "target:page_key"
    if has_path:
        yield "target:page_path"
    if (has_key or has_path) and any(is_near.values()) and not is_here:
        yield "target:page"
    number = _number(link)
    if number is not None:
        found = {int(digits) for digits in _NUMBER.findall(" ".join((target.path, *target.query.values())))}
        if number in found:
            yield "target:has_number"
        if number - 1 in found:
            yield "target:has_number-1"


def _pairs(own: set[str]) -> Iterator[str]:
    """Yield what a link says together with whether its target and place look like a list's."""
    says = [feature for feature in own if feature == "number" or feature.startswith(("word:", "sign:"))]
    for told in _TOLD:
        yield from (f"{said}&{'' if told in own else '!'}{told}" for said in says)


def _of_neighbours(links: tuple[Link, ...], own: list[set[str]], position: int) -> Iterator[str]:
    for step in (-2, -1, 1, 2):
        if not 0 <= position + step < len(links):
            yield f"{step:+d}edge"
            continue
        yield from (f"{step:+d}{name}" for name in own[position + step] if name.startswith(_LISTED))
        here, there = links[position].ancestors[1:3], links[position + step].ancestors[1:3]
        if here and here == there:
            yield f"{step:+d}same_list"


def _of_gaps(link: Link, number: int | None) -> Iterator[str]:
    for side, text in (("before", link.text_before.strip(_FRAME)), ("after", link.text_after.strip(_FRAME))):
        if re.fullmatch(r"[0-9]{1,4}", text):
            yield f"{side}:number"
            if number is not None and abs(number - int(text)) == 1:
                yield f"{side}:number_next_to_it"
        if not text or len(text) > 20:
            yield f"{side}:{'long' if text else 'nothing'}"
        if "page" in link_concepts(text):
            yield f"{side}:page"
        if _OF.search(text):
            yield f"{side}:of"


def _runs(numbers: list[int | None]) -> list[int]:
    """Return, for each link, how many neighbouring links count upwards with it."""
    lengths = [0] * len(numbers)
    start = 0
    while start < len(numbers):
        end = start
        while end < len(numbers) and _follows(numbers, start, end):
            end += 1
        lengths[start:end] = [end - start] * (end - start)
        start = max(end, start + 1)
    return lengths


def _follows(numbers: list[int | None], start: int, at: int) -> bool:
    number, before = numbers[at], numbers[at - 1] if at > start else -1
    return number is not None and before is not None and number > before


def _number(link: Link) -> int | None:
    text = link.text.strip(_FRAME).replace(",", "")
    return int(text) if re.fullmatch(r"[0-9]{1,5}", text) else None


def _shown(link: Link) -> str:
    return (link.text or link.image_text or link.label or link.title).strip(_FRAME)


def _names(element: object) -> str:
    """Return ids, classes and label of a link or ancestor, as words."""
    tokens = (*getattr(element, "class_tokens", ()), getattr(element, "id", ""), getattr(element, "label", ""))
    return " ".join(tokens)


def _target(url: str) -> _Target:
    try:
        parts = urlsplit(url)
    except ValueError:
        return _Target("", url, {}, url, url)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    host = parts.netloc.removeprefix("www.")
    path = _NUMBER.sub("0", unquote(parts.path)).rstrip("/")
    form = f"{host}{path}?{'&'.join(sorted(_NUMBER.sub('0', key) for key in query))}"
    return _Target(host, parts.path, query, _PAGE_END.sub("", parts.path.rstrip("/")), form)


def _at(values: list[int], position: int) -> int:
    return values[position] if 0 <= position < len(values) else 0


def _length(run: int) -> str:
    return str(run) if run < 3 else "3-19" if run < 20 else "20+"
