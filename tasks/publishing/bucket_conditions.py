"""Whether a store keeps the conditions on writes that a pointer needs; it is tried, not believed."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

from tasks.publishing.bucket import Bucket
from tasks.publishing.failures import PlaceRefused

_WRITERS = 8
_REMEDY = (
    "An operator has to name a store that does, or a folder (SWITCHYARD_PUBLISH_BUCKET, or `bucket` of the target in "
    "SWITCHYARD_PUBLISH_FILE)."
)


def demand_conditions(bucket: Bucket, key: str) -> None:
    """See that the store keeps conditions on writes, on an object that nobody reads.

    Two writes are sent whose condition does not hold. Where the object is new, several go on from the same version at
    once, of which one may win; a store that first compares and then writes mostly lets in two. A store that is refused
    keeps nothing of it, so that the next attempt tries as much.

    Raises:
        PlaceRefused: it wrote what it had to refuse, or refused what holds.
    """
    created = bucket.put_if(key, b"{}", etag=None)
    try:
        another = f'"{hashlib.md5(uuid4().bytes, usedforsecurity=False).hexdigest()}"'
        if any(bucket.put_if(key, b"{}", etag=etag) is not None for etag in (None, another)):
            raise PlaceRefused(
                f"The store of the bucket {bucket.name!r} does not keep conditions on writes (If-Match, "
                f"If-None-Match), so that a job that was overtaken could go live. {_REMEDY}"
            )
        if created is not None:
            _demand_one_winner(bucket, key, created)
    except PlaceRefused:
        bucket.delete(key)
        raise


def _demand_one_winner(bucket: Bucket, key: str, created: str) -> None:
    def write(number: int) -> bool:
        # Each another content: an ETag that comes again would let the next one in rightly.
        return bucket.put_if(key, b'{"writer": "%d %s"}' % (number, uuid4().hex.encode()), etag=created) is not None

    with ThreadPoolExecutor(_WRITERS, thread_name_prefix="conditions") as pool:
        winners = sum(pool.map(write, range(_WRITERS)))
    if winners > 1:
        raise PlaceRefused(
            f"The store of the bucket {bucket.name!r} does not compare and write in one step ({winners} of {_WRITERS} "
            "writes at once had the same If-Match, and were taken), so that a job that was overtaken could go live. "
            + _REMEDY
        )
    # The winner's answer may have been lost.
    if not winners and (found := bucket.read(key)) is not None and found.etag == created:
        raise PlaceRefused(
            f"The store of the bucket {bucket.name!r} refuses writes whose condition (If-Match) holds, so that nothing "
            f"could go live a second time. {_REMEDY}"
        )
