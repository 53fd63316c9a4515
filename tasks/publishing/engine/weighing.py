"""What a visitor's browser has to load for a page, as the release serves it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from tasks.publishing.contract import Fault, Finding
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
    return Weight(len(used), sum(smallest(files[path]) for path in used))


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
