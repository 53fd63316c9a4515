"""Releases, for tests of what is around them."""

import hashlib
from typing import Any

from tasks.publishing.manifest import REVALIDATED, File, Manifest, Stored, media_type_of
from tasks.publishing.release import ReleaseFacts


def manifest_of(**texts: str) -> Manifest:
    """A manifest of pages by their names."""
    return Manifest(
        {
            f"{name}.html": File(
                Stored(hashlib.sha256(text.encode()).hexdigest(), len(text)), media_type_of("a.html"), REVALIDATED
            )
            for name, text in texts.items()
        }
    )


def release_facts(site: str, manifest: Manifest | None = None, **changes: Any) -> ReleaseFacts:
    """A release that is ready to be live."""
    values: dict[str, Any] = {
        "site": site,
        "manifest": manifest or manifest_of(index="one"),
        "is_preview": False,
        "url": "https://docs.example/",
        "by": "alice",
        "note": "",
        "added": 1,
        "changed": 0,
        "removed": 0,
        "changed_bytes": 3,
    }
    return ReleaseFacts(**(values | changes))
