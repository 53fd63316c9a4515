"""The settings of published sites: where they lie, what is kept of them, and what fetching and building may take."""

import re
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, SecretStr
from pydantic_settings import NoDecode


class PublishingSettings(BaseModel):
    """A part of ``Settings``."""

    publish_dir: Path | None = Field(
        None, description="Folder for published sites, shared by web and workers. Default: `sites` in the state folder."
    )
    publish_bucket: str | None = Field(
        None,
        pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9._-]+)*$",
        description="Bucket where published sites go instead of that folder, as `name` or `name/prefix` "
        "(docs/publishing.md#a-bucket).",
    )
    publish_bucket_url: str | None = Field(
        None, description="The store of that bucket, which speaks S3's protocol. Default: Amazon's."
    )
    publish_bucket_region: str | None = Field(
        None, pattern=r"^[a-z0-9-]{1,64}$", description="Its region. Default: as the AWS tools find it, or `us-east-1`."
    )
    publish_bucket_key: SecretStr | None = Field(
        None, description="Access key for it. Default: as the AWS tools find theirs, in environment, files or machine."
    )
    publish_bucket_secret: SecretStr | None = Field(None, description="Secret of that access key.")
    publish_sources: Annotated[tuple[Path, ...], NoDecode] = Field(
        (), description="Comma-separated folders of worker machines below which a published site may lie."
    )
    publish_keep: int = Field(
        10, ge=1, le=1000, description="Releases kept of each published site, besides the live and the previous one."
    )
    publish_caches: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Comma-separated caches in front of published sites: `varnish:http://host:port`, or `http:` and "
        "the address to which a purge is posted.",
    )
    publish_cache_token: SecretStr | None = Field(None, description="Sent to `http:` caches as a Bearer token.")
    publish_git_mb: int = Field(
        512, ge=1, le=2048, description="Most MiB that fetching one commit of a published site may send and receive."
    )
    publish_build_s: float = Field(
        300, ge=1, le=800, description="Time that a generator such as MkDocs gets to make a published site."
    )
    publish_build_memory_mb: int = Field(
        1024, ge=64, description="MiB that a generator's processes may hold together, and each of them address."
    )

    def wrong_publishing(self) -> list[str]:
        """List what is wrong with these, each with its name first."""
        problems = [
            f"publish_caches: {entry!r} is neither varnish:URL nor http:URL"
            for entry in self.publish_caches
            if not re.fullmatch(r"(varnish|http):https?://[^\s/]+(/\S*)?", entry)
        ]
        url = urlsplit(self.publish_bucket_url or "https://default")
        if url.scheme not in ("http", "https") or not url.hostname or url.path not in ("", "/") or url.query:
            problems.append("publish_bucket_url: is not http(s)://host:port")
        if "@" in url.netloc:
            problems.append("publish_bucket_url: has no place for credentials: use publish_bucket_key and _secret")
        if (self.publish_bucket_key is None) != (self.publish_bucket_secret is None):
            problems.append("publish_bucket_secret: it and publish_bucket_key are needed together")
        return problems
