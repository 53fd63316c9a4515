"""Names for tools: valid, and different from each other within a list."""

import re
import unicodedata

MAX_NAME_CHARS = 100

_FORBIDDEN = re.compile(r"[^A-Za-z0-9_-]+")


class Names:
    """The names that a list of tools has so far. They differ by more than case: some callers fold it."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def take(self, *candidates: str) -> str:
        """Return a name made of the first candidate that leaves one, told apart by a number where it is taken."""
        name = next(filter(None, map(_valid, candidates)), "tool")
        unique, count = name, 1
        while unique.casefold() in self._taken:
            count += 1
            ending = f"_{count}"
            unique = f"{name[: MAX_NAME_CHARS - len(ending)]}{ending}"
        self._taken.add(unique.casefold())
        return unique


def _valid(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text[: MAX_NAME_CHARS * 4]).encode("ascii", "ignore").decode()
    return _FORBIDDEN.sub("_", plain).strip("_-")[:MAX_NAME_CHARS].rstrip("_-")
