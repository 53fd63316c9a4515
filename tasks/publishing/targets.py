"""Where sites may lie, as the operator has declared it. Light: the web process and the edge load this."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tasks.core.errors import Permanent
from tasks.core.publishing_file import DEFAULT_TARGET
from tasks.publishing.bucket import Bucket, BucketAddress

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pydantic import SecretStr

    from tasks.core.kernel import Kernel
    from tasks.core.settings import Settings


class TargetUnknown(Permanent):
    """A site or a release lies in a target that the operator no longer declares."""

    code = "target_unknown"


@dataclass(frozen=True, slots=True)
class Target:
    """One place for sites of all tenants.

    Args:
        folder, bucket: one of both.
        caches: in front of it, as the settings name them.
        cache_token: for those that take one.
    """

    name: str
    folder: Path | None
    bucket: BucketAddress | None
    caches: tuple[str, ...] = ()
    cache_token: str | None = field(default=None, repr=False)


def targets_of(settings: Settings) -> Mapping[str, Target]:
    """Return the operator's targets by their names; the first is that of the settings themselves."""
    bucket = bucket_address(settings)
    found = {
        DEFAULT_TARGET: Target(
            DEFAULT_TARGET,
            settings.resolved_publish_dir if bucket is None else None,
            bucket,
            settings.publish_caches,
            _told(settings.publish_cache_token),
        )
    }
    for name, one in settings.publishing_file.target.items():
        address = None
        if one.bucket is not None:
            address = _address(
                one.bucket, url=one.url, region=one.region, key=one.key, secret=one.secret, ca_file=one.ca_file
            )
        found[name] = Target(name, one.folder, address, one.caches, _told(one.cache_token))
    return found


def target_named(settings: Settings, name: str, *, site: str) -> Target:
    """Return a target.

    Raises:
        TargetUnknown: it is not declared.
    """
    if (found := targets_of(settings).get(name)) is None:
        raise TargetUnknown(
            f"{site} lies in the target {name!r}, which is not declared any more: an operator has to declare it again "
            "(SWITCHYARD_PUBLISH_FILE). Or publish the site anew: then it goes where the operator has it now.",
            field="site",
        )
    return found


def bucket_address(settings: Settings) -> BucketAddress | None:
    """Return the bucket of the settings' own target; None: it is a folder."""
    if settings.publish_bucket is None:
        return None
    return _address(
        settings.publish_bucket,
        url=settings.publish_bucket_url,
        region=settings.publish_bucket_region,
        key=settings.publish_bucket_key,
        secret=settings.publish_bucket_secret,
    )


def open_bucket(kernel: Kernel, target: Target) -> Bucket:
    """Return the bucket of a target that is one, open as long as this process.

    Raises:
        EngineUnavailable: the library is not installed.
        PlaceRefused: the address is none.
    """
    address = target.bucket
    assert address is not None  # noqa: S101  # the caller has asked
    return kernel.warm.get(f"bucket {target.name}", lambda: Bucket.open(address))


def _address(
    named: str,
    *,
    url: str | None,
    region: str | None,
    key: SecretStr | None,
    secret: SecretStr | None,
    ca_file: Path | None = None,
) -> BucketAddress:
    name, _, prefix = named.partition("/")
    trusted = None if ca_file is None else str(ca_file)
    return BucketAddress(name, f"{prefix}/" if prefix else "", url, region, _told(key), _told(secret), trusted)


def _told(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()
