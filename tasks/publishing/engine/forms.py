"""Which pages have other forms than before: what programs can do there may have to be found out anew."""

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator

from tasks.publishing.engine.memo import Memo
from tasks.publishing.engine.pages import is_page
from tasks.publishing.engine.places.place import PlaceFailed
from tasks.publishing.manifest import Manifest

_STEP = "forms"
# Those in comments and scripts count as well: a script may write them into the page.
_CONTROL = re.compile(rb"<(?:form|input|select|textarea|button)(?=[\s/>])[^>]*", re.IGNORECASE)
_FORM_END = re.compile(rb"</form", re.IGNORECASE)
_NONE = hashlib.sha256().digest()


def note_forms(memo: Memo, sha256: str, content: bytes) -> None:
    """Keep what the forms of a page are, by its content's hash."""
    memo.keep(_STEP, sha256, digest_of(content))


def forms_of(
    manifest: Manifest | None, paths: Iterable[str], *, memo: Memo, read: Callable[[str], bytes]
) -> dict[str, bytes]:
    """Return what stands for the forms of each page of a release, by its path; pages without any are left out.

    Args:
        manifest: of the release; None: there is none.
        read: gives the bytes of a page of it, where the memo does not know them any more.
    """
    files = {} if manifest is None else manifest.files
    found = {}
    for path in paths:
        if is_page(path) and path in files:
            digest = _known_or_read(files[path].content.sha256, path, memo, read)
            if digest != _NONE:
                found[path] = digest
    return found


def with_other_forms(before: dict[str, bytes], after: dict[str, bytes]) -> Iterator[str]:
    """Yield the pages whose forms are new, others or gone, in order."""
    return (path for path in sorted({*before, *after}) if before.get(path) != after.get(path))


def digest_of(content: bytes) -> bytes:
    """Return what is the same for two pages with the same forms and controls, whatever is around them."""
    digest, inside = hashlib.sha256(), 0
    for found in _CONTROL.finditer(content):
        if found.start() < inside:
            continue
        if found.group()[:5].lower() == b"<form":
            end = _FORM_END.search(content, found.end())
            inside = end.start() if end else len(content)
            digest.update(b" ".join(content[found.start() : inside].split()))
        else:
            digest.update(b" ".join(found.group().split()))
        digest.update(b"\n")
    return digest.digest()


def _known_or_read(sha256: str, path: str, memo: Memo, read: Callable[[str], bytes]) -> bytes:
    """The digest; one of its own where the content is not to be had, so that it is another than before."""
    if (known := memo.known(_STEP, sha256)) is not None:
        return known
    try:
        content = read(path)
    except PlaceFailed:
        return sha256.encode()
    if hashlib.sha256(content).hexdigest() != sha256:  # something else is live
        return sha256.encode()
    note_forms(memo, sha256, content)
    return digest_of(content)
