"""What a page says to robots of itself: ``meta`` elements and the header X-Robots-Tag."""

from collections.abc import Iterable
from dataclasses import dataclass

# Directives that have a value, and so look like the name of a robot in the header.
_VALUED = frozenset({"unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"})


@dataclass(frozen=True, slots=True)
class PageRobots:
    """What is asked of us; all that is said counts together."""

    noindex: bool = False
    nofollow: bool = False


def page_robots(metas: Iterable[tuple[str, str]], headers: Iterable[str], *, user_agent: str) -> PageRobots:
    """Return what the page asks of the robot of this name.

    Args:
        metas: name and content of ``meta`` elements.
        headers: values of X-Robots-Tag, one for each line of the head.
        user_agent: as we send it; its first word up to a slash or a blank is the robot's name.
    """
    own = user_agent.partition("/")[0].partition(" ")[0].lower()
    said = set()
    for name, content in metas:
        if name.strip().lower() in {"robots", own}:
            said |= {word.strip() for word in content.lower().split(",")}
    for line in headers:
        said |= _words_for(own, line.lower())
    return PageRobots(
        noindex=not said.isdisjoint({"noindex", "none"}), nofollow=not said.isdisjoint({"nofollow", "none"})
    )


def _words_for(own: str, line: str) -> set[str]:
    """Return the directives of a header's line that are for ``own``; a name before them goes on to the line's end."""
    words = set()
    is_ours = True
    for part in line.split(","):
        name, colon, rest = part.partition(":")
        if colon and name.strip() not in _VALUED:
            is_ours = name.strip() in {"*", "robots", own}
            words |= {rest.strip()} if is_ours else set()
        elif is_ours:
            words.add(part.strip())
    return words
