"""What can go wrong with a place for releases. Light: who serves a site meets the same as who publishes it."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from tasks.core.errors import Permanent, Transient

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


class PlaceFailed(Transient):
    """The place could not be written or read: a full disk, a bucket that does not answer."""

    code = "place_failed"


@contextmanager
def full_disk_told() -> Iterator[None]:
    """Say in words that the worker's own disk is full, on which sources are unpacked and releases made.

    Raises:
        PlaceFailed: it is.
    """
    try:
        yield
    except OSError as exc:
        if exc.errno not in _NO_ROOM:
            raise
        raise PlaceFailed(
            "There is no room left on the disk of this worker, on which sites are unpacked and made; operators make "
            "room (SWITCHYARD_STATE_DIR, SWITCHYARD_PUBLISH_DIR)."
        ) from exc


class PlaceRefused(Permanent):
    """The bucket is not there, does not let us in, or cannot do what a release needs; an operator has to act."""

    code = "place_refused"
