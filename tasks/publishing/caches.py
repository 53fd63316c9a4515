"""What caches in front of a site are told of its files, and by which words they are purged. Light."""

from enum import StrEnum

TAG_HEADER = "Cache-Tag"
"""Every file of a site is answered with it; only such answers are to be kept by a cache."""


class Tag(StrEnum):
    """A group of a site's files."""

    ALL = "all"
    """Every file."""
    CHANGING = "changing"
    """Those whose content may be another in the next release: all that have no hash in their names."""


def cache_tag(site: str, tag: Tag) -> str:
    """Return the tag as caches know it: the site's name, with ``-changing`` for what changes."""
    return site if tag is Tag.ALL else f"{site}-{tag}"


def cache_tags(site: str, *, is_immutable: bool) -> str:
    """Return the header's value for one file."""
    tags = (Tag.ALL,) if is_immutable else (Tag.ALL, Tag.CHANGING)
    return ",".join(cache_tag(site, tag) for tag in tags)
