"""A bucket of Amazon S3, or of a store that speaks its protocol: whole objects, conditional writes, errors in words.

Light until it is opened: the library is loaded then. Its own retries (four, with backoff and jitter) meet what passes,
such as a 503 or a lost connection; what still fails after them is ``PlaceFailed``, which the job's next attempt meets.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import IO, Any

from tasks.core.errors import EngineUnavailable
from tasks.publishing.bucket_errors import Absent, absent, is_unmet, status_of, told
from tasks.publishing.conditions import Part

_CONNECT_S = 5
_SILENCE_S = 30
_TRIES = 5
_READS = 3  # of an answer that ends too early
_CONNECTIONS = 32
_BLOCK = 1 << 18


@dataclass(frozen=True, slots=True)
class BucketAddress:
    """Where a bucket is, and who asks.

    Args:
        prefix: of all keys; empty, or with a slash at its end.
        url: of the store; None: Amazon's.
        key_id, secret: None: as the store's library finds them in the process's environment, files or machine.
        ca_file: certificates of authorities that the store is proven by; None: those that everybody trusts.
    """

    name: str
    prefix: str = ""
    url: str | None = None
    region: str | None = None
    key_id: str | None = field(default=None, repr=False)
    secret: str | None = field(default=None, repr=False)
    ca_file: str | None = None


@dataclass(frozen=True, slots=True)
class Got:
    """An object's bytes, and the tag by which a later write can ask whether it is still this."""

    content: bytes
    etag: str


class Bucket:
    """One bucket, or what is below a prefix in it. Threads may share it."""

    def __init__(self, client: Any, address: BucketAddress) -> None:
        self._client = client
        self._address = address

    @property
    def name(self) -> str:
        """The bucket's name, without a prefix."""
        return self._address.name

    @classmethod
    def open(cls, address: BucketAddress, *, tries: int = _TRIES, silence_s: float = _SILENCE_S) -> Bucket:
        """Return it; nothing is asked of the store yet.

        Args:
            tries: of one request.
            silence_s: how long an answer may not go on.

        Raises:
            EngineUnavailable: the library is not installed.
            PlaceRefused: the address is none.
        """
        try:
            from boto3.session import Session  # noqa: PLC0415  # most processes never need it
            from botocore.config import Config  # noqa: PLC0415  # as above
        except ModuleNotFoundError as exc:
            raise EngineUnavailable(
                "Sites go to a bucket, and boto3 is not installed: the extra `publishing`."
            ) from exc
        config = Config(
            connect_timeout=_CONNECT_S,
            read_timeout=silence_s,
            retries={"mode": "standard", "total_max_attempts": tries},
            max_pool_connections=_CONNECTIONS,
            # The body's hash is part of the signature, which every store checks: what is cut or altered on its way is
            # refused. Newer checksums of the library's own are not known to all of them.
            s3={"addressing_style": "path" if address.url else "auto", "payload_signing_enabled": True},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        session = Session(
            aws_access_key_id=address.key_id, aws_secret_access_key=address.secret, region_name=address.region
        )
        with told(address.name):
            # Stores other than Amazon's mostly have no regions, but the signature needs one.
            region = session.region_name or "us-east-1"
            client = session.client(
                "s3", endpoint_url=address.url, region_name=region, config=config, verify=address.ca_file
            )
            return cls(client, address)

    def below(self, *names: str) -> Bucket:
        """Return what is below these names, over the same connections."""
        return Bucket(
            self._client, replace(self._address, prefix="/".join((self._address.prefix + names[0], *names[1:], "")))
        )

    def read(self, key: str, *, unless: str | None = None) -> Got | None:
        """Return an object; None if it still has the tag ``unless``.

        Raises:
            Absent: it is not there.
        """
        wanted = {} if unless is None else {"IfNoneMatch": unless}
        for tries_left in reversed(range(_READS)):
            with told(self._address.name), absent(key):
                from botocore.exceptions import (  # noqa: PLC0415  # loaded when it was opened
                    ClientError,
                    IncompleteReadError,
                    ResponseStreamingError,
                )

                try:
                    answer = self._client.get_object(**self._at(key), **wanted)
                    return Got(answer["Body"].read(), answer["ETag"])
                except ClientError as exc:
                    if unless is not None and status_of(exc) == 304:
                        return None
                    raise
                except (IncompleteReadError, ResponseStreamingError):
                    # The library retries what it asks, not what it is sent.
                    if not tries_left:
                        raise
        raise AssertionError("the last try returns or raises")

    def stream(self, key: str, part: Part | None = None) -> Iterator[bytes]:
        """Yield an object's bytes, or a part of them; it is there once this has returned.

        Raises:
            Absent: it is not there.
        """
        with told(self._address.name), absent(key):
            wanted = {} if part is None else {"Range": f"bytes={part.first}-{part.last}"}
            body = self._client.get_object(**self._at(key), **wanted)["Body"]
        return self._blocks(body)

    def _blocks(self, body: Any) -> Iterator[bytes]:
        with body, told(self._address.name):
            yield from body.iter_chunks(_BLOCK)

    def put(
        self, key: str, content: bytes | IO[bytes], *, media_type: str, cache_control: str, sha256: str | None = None
    ) -> None:
        """Write a whole object; nobody ever sees a part of it.

        Args:
            sha256: of the content, where it is a file: a store that knows such checksums refuses another content.
        """
        checksum = {"ChecksumSHA256": b64encode(bytes.fromhex(sha256)).decode()} if sha256 else {}
        with told(self._address.name):
            self._client.put_object(
                **self._at(key), Body=content, ContentType=media_type, CacheControl=cache_control, **checksum
            )

    def put_if(self, key: str, content: bytes, *, etag: str | None) -> str | None:
        """Write a small object if the one that is there has this tag, or with None if there is none.

        Returns:
            The new tag; None: the condition did not hold, and nothing was written. An answer that was lost on its way
            is asked for again, so that None may also come for what this very call has written: read it.
        """
        from botocore.exceptions import ClientError  # noqa: PLC0415  # loaded when it was opened

        condition = {"IfNoneMatch": "*"} if etag is None else {"IfMatch": etag}
        with told(self._address.name):
            try:
                answer = self._client.put_object(
                    **self._at(key),
                    Body=content,
                    ContentType="application/json",
                    CacheControl="no-store",
                    **condition,
                )
            except ClientError as exc:
                if is_unmet(exc, names_a_tag=etag is not None):
                    return None
                raise
        return str(answer["ETag"])

    def sizes(self, under: str) -> dict[str, int]:
        """Return the size of each object by what its key has behind ``under``."""
        found: dict[str, int] = {}
        start = self._address.prefix + under
        with told(self._address.name):
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._address.name, Prefix=start)
            for page in pages:
                found |= {one["Key"].removeprefix(start): one["Size"] for one in page.get("Contents", ())}
        return found

    def folders(self) -> list[str]:
        """Return the names that stand directly below, before a slash."""
        start = self._address.prefix
        with told(self._address.name):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._address.name, Prefix=start, Delimiter="/"
            )
            return [
                one["Prefix"].removeprefix(start).rstrip("/")
                for page in pages
                for one in page.get("CommonPrefixes", ())
            ]

    def has(self, key: str) -> bool:
        """Whether there is such an object."""
        with suppress(Absent), told(self._address.name), absent(key):
            self._client.head_object(**self._at(key))
            return True
        return False

    def delete(self, key: str) -> None:
        """Remove an object; again is harmless."""
        with told(self._address.name):
            self._client.delete_object(**self._at(key))

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _at(self, key: str) -> dict[str, str]:
        return {"Bucket": self._address.name, "Key": self._address.prefix + key}
