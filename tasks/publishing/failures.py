"""What can go wrong with a place for releases. Light: who serves a site meets the same as who publishes it."""

from tasks.core.errors import Permanent, Transient


class PlaceFailed(Transient):
    """The place could not be written or read: a full disk, a bucket that does not answer."""

    code = "place_failed"


class PlaceRefused(Permanent):
    """The bucket is not there, does not let us in, or cannot do what a release needs; an operator has to act."""

    code = "place_refused"
