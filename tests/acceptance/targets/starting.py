"""Start any target by its name."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from tests.acceptance.targets import datasette_server, django_server, flower_server, httpbin_server, wagtail_server
from tests.acceptance.targets.target import Target

_STARTERS: dict[str, Callable[[Path], AbstractContextManager[Target]]] = {
    "httpbin": httpbin_server.start,
    "django": django_server.start,
    "wagtail": wagtail_server.start,
    "datasette": datasette_server.start,
    "flower": flower_server.start,
}
NAMES = tuple(_STARTERS)


@contextmanager
def started(name: str) -> Iterator[Target]:
    """Start a target in a folder of its own; at the end its processes are gone, and the folder.

    Raises:
        KeyError: no target has this name.
        RuntimeError: it did not come up.
    """
    start = _STARTERS[name]
    with tempfile.TemporaryDirectory(prefix=f"target-{name}-") as folder, start(Path(folder)) as target:
        yield target
