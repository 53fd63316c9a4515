"""What a visitor's browser has to load for a page, as the release serves it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from tasks.publishing.contract import Fault, Finding, PageBudget, Resource
from tasks.publishing.engine import references
from tasks.publishing.engine.references import Use
from tasks.publishing.manifest import File, Manifest


@dataclass(frozen=True, slots=True)
class Weight:
    """A page and the assets that its text and their style sheets name, each once and in its smallest form."""

    requests: int
    size_bytes: int


def weigh(page: str, files: Mapping[str, File], content: Callable[[str], bytes]) -> Weight:
    """Weigh a page of ``files``; ``content`` gives a file's bytes by its path."""
    used = _loaded(page, files, content)
    return Weight(len(used), sum(smallest(files[path]) for path in used))


def over_budget(
    manifest: Manifest, pages: Iterable[str], content: Callable[[str], bytes], budgets: Sequence[PageBudget]
) -> list[Finding]:
    """Return for each page the kinds of files of which it needs more than a budget has."""
    found: list[Finding] = []
    for page in pages:
        held = [budget for budget in budgets if fnmatchcase(page, budget.pages)]
        if not held:
            continue
        needed: dict[Resource, list[int]] = {kind: [] for kind in Resource}
        for path in _loaded(page, manifest.files, content):
            for kind in (resource_of(manifest.files[path]), Resource.TOTAL):
                needed[kind].append(smallest(manifest.files[path]))
        messages = {
            f"{sum(needed[kind]):,} bytes of {kind}, over {most:,}."
            for budget in held
            for kind, most in budget.bytes.items()
            if sum(needed[kind]) > most
        } | {
            f"{len(needed[kind])} requests for {kind}, over {most}."
            for budget in held
            for kind, most in budget.requests.items()
            if len(needed[kind]) > most
        }
        found += [Finding(fault=Fault.OVER_BUDGET, path=page, message=message) for message in sorted(messages)]
    return found


def resource_of(file: File) -> Resource:
    """Return the kind of file that it is, by its media type."""
    plain = file.media_type.partition(";")[0]
    if plain in ("text/html", "application/xhtml+xml"):
        return Resource.HTML
    if plain == "text/css":
        return Resource.STYLE
    if plain in ("text/javascript", "application/javascript", "application/wasm"):
        return Resource.SCRIPT
    if plain.startswith("image/"):
        return Resource.IMAGE
    if plain.startswith(("font/", "application/font-", "application/vnd.ms-fontobject")):
        return Resource.FONT
    return Resource.OTHER


def _loaded(page: str, files: Mapping[str, File], content: Callable[[str], bytes]) -> set[str]:
    """The page and what it needs, by paths."""
    text = content(page).decode(errors="replace")
    used = {page}
    # Of several forms of a picture a browser takes one; `src` is the one that every browser can take.
    found = [one for one in references.in_page(text) if not one.is_in_srcset]
    coming = [one.url for one in found if one.use in (Use.ASSET, Use.MODULE)]
    waiting = [path for url in coming if (path := references.local_path(url, page=page)) in files and path]
    while waiting:
        path = waiting.pop()
        if path in used:
            continue
        used.add(path)
        if path.endswith(".css"):
            urls = references.in_style(content(path).decode(errors="replace"))
            waiting += [one for url in urls if (one := references.local_path(url, page=path)) in files and one]
    return used


def smallest(file: File) -> int:
    """Bytes of the file in its smallest form."""
    return min(stored.size for stored in file.all_stored())


def heavy_pages(
    manifest: Manifest,
    pages: Iterable[str],
    content: Callable[[str], bytes],
    *,
    max_bytes: int | None,
    max_requests: int | None,
) -> list[Finding]:
    """Return the pages that are over a limit."""
    if max_bytes is None and max_requests is None:
        return []
    found = []
    for page in pages:
        weight = weigh(page, manifest.files, content)
        if max_bytes is not None and weight.size_bytes > max_bytes:
            message = f"{weight.size_bytes:,} bytes with what it loads, over {max_bytes:,}."
            found.append(Finding(fault=Fault.HEAVY_PAGE, path=page, message=message))
        if max_requests is not None and weight.requests > max_requests:
            message = f"{weight.requests} requests, over {max_requests}."
            found.append(Finding(fault=Fault.HEAVY_PAGE, path=page, message=message))
    return found
