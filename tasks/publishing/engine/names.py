"""Which paths a site may have: those that every file system, server and browser takes for one and the same file."""

import unicodedata
from collections.abc import Iterable

from tasks.core.errors import Permanent

MAX_PATH_BYTES = 1024
MAX_NAME_BYTES = 255
MAX_DEPTH = 50

# Names that Windows gives to devices, whatever comes after a dot.
_DEVICES = frozenset(
    {"con", "prn", "aux", "nul", *(f"com{n}" for n in range(1, 10)), *(f"lpt{n}" for n in range(1, 10))}
)


class NameRefused(Permanent):
    """A path that cannot be published; the message names it and says why."""

    code = "name_refused"


def plain_path(raw: str) -> str:
    """Return the path with ``/`` between its parts and without ``./``; folders' trailing ``/`` is dropped.

    Raises:
        NameRefused: it leaves the site's folder, or there is a place where it could not be a file.
    """
    if "\\" in raw:
        raise _refused(raw, "it has a backslash")
    if raw.startswith("/"):
        raise _refused(raw, "it is absolute")
    if any(unicodedata.category(char) in ("Cc", "Cs") for char in raw):
        raise _refused(raw, "it has a control character or a half of a surrogate pair")
    parts = [part for part in raw.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise _refused(raw, "it leads out of the folder")
    if len(parts) > MAX_DEPTH:
        raise _refused(raw, f"it is more than {MAX_DEPTH} folders deep")
    for part in parts:
        if len(part.encode()) > MAX_NAME_BYTES:
            raise _refused(raw, f"a part is longer than {MAX_NAME_BYTES} bytes")
        if part.split(".")[0].rstrip(" ").casefold() in _DEVICES or part[-1] in ". " or ":" in part:
            raise _refused(raw, "Windows could not keep a part of it as a file")
    path = "/".join(parts)
    if len(path.encode()) > MAX_PATH_BYTES:
        raise _refused(raw, f"it is longer than {MAX_PATH_BYTES} bytes")
    return path


class Names:
    """The paths of one site so far; refuses what would be the same file as another somewhere."""

    def __init__(self) -> None:
        self._files: dict[str, str] = {}
        self._folders: dict[str, str] = {}

    def add(self, path: str) -> None:
        """Take the plain path of a file in.

        Raises:
            NameRefused: it stands there already, differs only in case or in Unicode's normal form, or is a folder.
        """
        key = _folded(path)
        if (other := self._files.get(key)) is not None:
            raise _refused(path, _why_same(path, other))
        if key in self._folders:
            raise _refused(path, "it is a folder, too")
        for folder in _folders_of(path):
            folded = _folded(folder)
            if folded in self._files:
                raise _refused(path, f"{self._files[folded]!r} is a file")
            if self._folders.setdefault(folded, folder) != folder:
                raise _refused(path, _why_same(folder, self._folders[folded]))
        self._files[key] = path


def _folders_of(path: str) -> Iterable[str]:
    parts = path.split("/")[:-1]
    return ("/".join(parts[: n + 1]) for n in range(len(parts)))


def _folded(path: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())


def _why_same(path: str, other: str) -> str:
    if path == other:
        return "it is there twice"
    if unicodedata.normalize("NFC", path) == unicodedata.normalize("NFC", other):
        return f"it is {other!r} in another Unicode form; some systems take both for one file"
    return f"it differs from {other!r} only in case; some systems take both for one file"


def _refused(path: str, why: str) -> NameRefused:
    shown = path if len(path) <= 120 else f"{path[:100]}…"
    return NameRefused(f"{shown!r} cannot be published: {why}.", field="source")
