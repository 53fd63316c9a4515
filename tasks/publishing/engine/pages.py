"""The references of a page, read once for each content."""

import json

from tasks.publishing.engine import references
from tasks.publishing.engine.memo import Memo
from tasks.publishing.engine.references import Reference, Use

_USES = {use.value: use for use in Use}


def references_of(page: bytes, memo: Memo) -> list[Reference]:
    """Return what ``references.in_page`` finds in a page.

    Raises:
        UnicodeDecodeError: it is not in UTF-8.
    """
    text = page.decode()
    known = memo.made("references", page, lambda: _packed(references.in_page(text)))
    return [
        Reference(start, end, url, _USES[use], is_checked, is_in_srcset)
        for start, end, url, use, is_checked, is_in_srcset in json.loads(known)
    ]


def _packed(found: list[Reference]) -> bytes:
    # Attributes without a character of their own, such as a lone surrogate, survive ASCII.
    return json.dumps(
        [(one.start, one.end, one.url, one.use, one.is_checked, one.is_in_srcset) for one in found],
        separators=(",", ":"),
    ).encode()
