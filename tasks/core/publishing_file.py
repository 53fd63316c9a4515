"""The operator's file of publishing: further targets with their sites, and access to git servers. TOML.

Read once, when the settings are; what is wrong stops the process at start, all of it at once, without a secret.
"""

import re
import ssl
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator

DEFAULT_TARGET = "default"
"""The target that the settings themselves describe; where all go that no other target names."""

BUCKET = r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9._-]+)*$"
REGION = r"^[a-z0-9-]{1,64}$"
_TARGET = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
_CACHE = re.compile(r"(varnish|http):https?://[^\s/@]+(/\S*)?")
_LIST = 200


def wrong_cache(entry: str) -> str | None:
    """Say what is wrong with a cache's entry; None: nothing is."""
    return None if _CACHE.fullmatch(entry) else f"{entry!r} is neither varnish:URL nor http:URL"


def wrong_store(url: str | None) -> list[str]:
    """List what is wrong with a bucket store's address; None is Amazon's."""
    parts = urlsplit(url or "https://default")
    problems = []
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path not in ("", "/") or parts.query:
        problems.append("is not http(s)://host:port")
    if "@" in parts.netloc:
        problems.append("has no place for credentials: use key and secret")
    return problems


def _site_pattern(pattern: str) -> str:
    if not re.fullmatch(r"[^\s/]+/[a-z0-9*?-]+", pattern):
        raise ValueError(f"{pattern!r} is not tenant/site, in which * stands for anything")
    return pattern


def _cache(entry: str) -> str:
    if (wrong := wrong_cache(entry)) is not None:
        raise ValueError(wrong)
    return entry


def _absolute(path: Path) -> Path:
    if not path.is_absolute():
        raise ValueError(f"{str(path)!r} is not an absolute path")
    return path


def _authorities(path: Path) -> Path:
    try:
        ssl.create_default_context(cafile=path)
    except (OSError, ssl.SSLError) as exc:
        raise ValueError(f"{str(path)!r} is no file with certificates (PEM) that can be read") from exc
    return path


CAFile = Annotated[Path, AfterValidator(_authorities)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class DeclaredTarget(_Section):
    """A place for sites: a folder, or a bucket; and the caches in front of it."""

    sites: Annotated[tuple[Annotated[str, AfterValidator(_site_pattern)], ...], Field(min_length=1, max_length=_LIST)]
    folder: Annotated[Path, AfterValidator(_absolute)] | None = None
    bucket: str | None = Field(None, pattern=BUCKET)
    url: str | None = None
    region: str | None = Field(None, pattern=REGION)
    key: SecretStr | None = None
    secret: SecretStr | None = None
    ca_file: CAFile | None = None
    caches: Annotated[tuple[Annotated[str, AfterValidator(_cache)], ...], Field(max_length=_LIST)] = ()
    cache_token: SecretStr | None = None

    @model_validator(mode="after")
    def _is_one_place(self) -> Self:
        if (self.folder is None) == (self.bucket is None):
            raise ValueError("needs either folder or bucket")
        of_bucket = ("url", "region", "key", "secret", "ca_file")
        if self.bucket is None and (named := [name for name in of_bucket if getattr(self, name) is not None]):
            raise ValueError(f"{named[0]} belongs to a bucket, and this is a folder")
        if wrong := wrong_store(self.url):
            raise ValueError(f"url {wrong[0]}")
        if (self.key is None) != (self.secret is None):
            raise ValueError("key and secret are needed together")
        return self


class GitAccess(_Section):
    """How workers get at the repositories of a git server, and for which tenants."""

    url: str = Field(pattern=r"^https://[A-Za-z0-9.\[\]:-]+(/[^\s?#]*)?$")
    tenants: Annotated[tuple[str, ...], Field(min_length=1, max_length=_LIST)]
    user: str | None = Field(None, min_length=1, max_length=500, pattern=r"^[^\x00-\x1f]+$")
    password: SecretStr | None = Field(None, min_length=1, max_length=5000)
    ca_file: CAFile | None = None

    @model_validator(mode="after")
    def _is_of_use(self) -> Self:
        if (self.user is None) != (self.password is None):
            raise ValueError("user and password are needed together")
        if self.user is None and self.ca_file is None:
            raise ValueError("needs user and password, or ca_file")
        if self.password is not None and not self.password.get_secret_value().isprintable():
            raise ValueError("password has a character that is not printable, such as the end of a line")
        return self

    def is_for(self, url: str, tenants: tuple[str, ...]) -> bool:
        """Whether it is for this repository, asked for by a tenant with one of these names."""
        ours, theirs = urlsplit(self.url), urlsplit(url)
        below = ours.path.rstrip("/") + "/"
        is_there = (ours.hostname, ours.port or 443) == (theirs.hostname, theirs.port or 443)
        is_below = below == "/" or (theirs.path.rstrip("/") + "/").startswith(below)
        return is_there and is_below and any(fnmatchcase(name, one) for name in tenants for one in self.tenants)


class PublishingFile(_Section):
    """All of the file."""

    target: dict[Annotated[str, Field(pattern=_TARGET)], DeclaredTarget] = {}
    git: tuple[GitAccess, ...] = ()

    def target_for(self, tenants: tuple[str, ...], site: str) -> str:
        """Return the first target one of whose patterns is met by the tenant, under one of its names, and the site."""
        for name, target in self.target.items():
            if any(fnmatchcase(f"{tenant}/{site}", one) for one in target.sites for tenant in tenants):
                return name
        return DEFAULT_TARGET

    def problems(self, *, default: tuple[str, ...]) -> Iterator[str]:
        """List what is wrong with the targets beside each other.

        Args:
            default: where the settings' own target lies, as ``place_of`` says it.
        """
        if DEFAULT_TARGET in self.target:
            yield f"target.{DEFAULT_TARGET}: is the name of what the other settings describe, take another"
        places = {DEFAULT_TARGET: default} | {name: place_of(target) for name, target in self.target.items()}
        names = list(places)
        for at, name in enumerate(names):
            for other in names[:at]:
                one, two = places[name], places[other]
                if one[: len(two)] == two or two[: len(one)] == one:
                    yield f"target.{name}: lies in the same place as {other!r}, give each a folder or prefix of its own"
        seen: dict[str, str] = {}
        for name, target in self.target.items():
            for pattern in target.sites:
                if (first := seen.setdefault(pattern, name)) != name:
                    yield f"target.{name}.sites: {pattern!r} is named by {first!r}, too"


def place_of(target: DeclaredTarget) -> tuple[str, ...]:
    """Return where a target lies, outermost first, so that one lies within another if its place begins with it."""
    if target.folder is not None:
        return folder_place(target.folder)
    assert target.bucket is not None  # noqa: S101  # one of both is there
    return bucket_place(target.bucket, target.url)


def folder_place(folder: Path) -> tuple[str, ...]:
    """Return where a folder lies."""
    return ("folder", *folder.parts)


def bucket_place(bucket: str, url: str | None) -> tuple[str, ...]:
    """Return where a bucket with its prefix lies."""
    return ("bucket", (url or "").rstrip("/"), *bucket.split("/"))


def read_publishing_file(path: Path) -> PublishingFile:
    """Read the file.

    Raises:
        ValueError: it cannot be read, or says what cannot be; one line for each problem, without any value that
            could be a secret.
    """
    try:
        raw = tomllib.loads(path.read_text())
    except OSError as exc:
        raise ValueError(f"{str(path)!r} cannot be read ({exc.strerror})") from exc
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as exc:
        raise ValueError(f"{str(path)!r} is no TOML: {exc}") from None
    try:
        return PublishingFile.model_validate(raw)
    except ValidationError as exc:
        raise ValueError("\n".join(_reasons(exc))) from None


def _reasons(refused: ValidationError) -> Iterator[str]:
    for error in refused.errors(include_url=False, include_input=False):
        where = ".".join(str(part) for part in error["loc"] if part != "[key]")
        yield f"{where or 'the file'}: {str(error['msg']).removeprefix('Value error, ')}"
