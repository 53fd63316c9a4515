"""Looks at a site's files before anything is live: do links and assets resolve, what is too large, what is secret."""

from collections.abc import Callable, Iterator, Mapping
from urllib.parse import urlsplit

from tasks.core.errors import Permanent
from tasks.publishing.contract import Fault, Finding
from tasks.publishing.engine import references
from tasks.publishing.engine.memo import Memo
from tasks.publishing.engine.pages import Page
from tasks.publishing.engine.references import Use
from tasks.publishing.engine.secrets import secrets_of
from tasks.publishing.engine.tree import Tree

_MAX_FINDINGS = 10_000
_INDEXES = ("index.html", "index.htm")


class CheckFailed(Permanent):
    """A check found what the request says must not be published."""

    code = "check_failed"


def check(
    files: Tree,
    pages: Mapping[str, Page],
    *,
    prefix: str,
    max_file_bytes: int,
    memo: Memo,
    checkpoint: Callable[[], None],
) -> list[Finding]:
    """Look at every file.

    Args:
        pages: what is known of those among them.
        prefix: the path under which the site is found, such as ``/`` or ``/docs/``.
        memo: what was found in contents before.
    """
    found: list[Finding] = []
    for path, file in files.items():
        checkpoint()
        if file.size > max_file_bytes:
            found.append(_finding(Fault.TOO_LARGE, path, f"{file.size:,} bytes, over {max_file_bytes:,}."))
        found += [_finding(Fault.SECRET, path, why) for why in secrets_of(path, file, memo)]
        if path in pages:
            found += _page(path, pages[path], files, prefix=prefix)
    return found[:_MAX_FINDINGS]


def demand(found: list[Finding], refused: tuple[Fault, ...]) -> None:
    """Go on only where nothing was found that ends a publication.

    Raises:
        CheckFailed: something was; the message has the first, and how many there are.
    """
    bad = [one for one in found if one.fault in refused]
    if bad:
        more = f" There are {len(bad)} such findings." if len(bad) > 1 else ""
        raise CheckFailed(f"{bad[0].fault}: {bad[0].path}: {bad[0].message}{more}"[:500], field="source")


def resolves(path: str, files: Mapping[str, object]) -> bool:
    """Tell whether a web server finds something under the path: a file, or a folder with an index."""
    folder = path.rstrip("/")
    return path in files or any(f"{folder}/{name}".lstrip("/") in files for name in _INDEXES)


def _page(path: str, page: Page, files: Tree, *, prefix: str) -> Iterator[Finding]:
    if not page.is_html:
        yield _finding(Fault.BAD_HTML, path, "There is no element of HTML in it.")
        return
    if not page.is_text:
        if page.charset in (None, "utf-8", "utf8"):
            yield _finding(Fault.BAD_HTML, path, "It is not in UTF-8, and says no other encoding.")
        return
    told: set[str] = set()
    for url, use in page.targets:
        target = _local(url, path, prefix)
        if target is None or target in told or resolves(target, files) or use is Use.OTHER:
            continue
        told.add(target)
        fault = Fault.BROKEN_LINK if use is Use.PAGE else Fault.MISSING_ASSET
        yield _finding(fault, path, f"{url[:300]} is not there.")


def _local(url: str, page: str, prefix: str) -> str | None:
    """The path of a file of this site that the URL names; where the site is below a path, ``/`` leads out of it."""
    if not urlsplit(f"//host{prefix}").path.strip("/"):
        return references.local_path(url, page=page)
    inside = prefix.strip("/") + "/"
    path = references.local_path(url, page=inside + page)
    return path.removeprefix(inside) if path is not None and path.startswith(inside) else None


def _finding(fault: Fault, path: str, message: str) -> Finding:
    return Finding(fault=fault, path=path, message=message)
