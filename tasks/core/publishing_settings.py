"""The settings of published sites: where they lie, what is kept of them, and what fetching and building may take."""

from functools import cached_property
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field, SecretStr
from pydantic_settings import NoDecode

from tasks.core.publishing_file import (
    BUCKET,
    REGION,
    PublishingFile,
    bucket_place,
    folder_place,
    read_publishing_file,
    wrong_cache,
    wrong_store,
)


class PublishingSettings(BaseModel):
    """A part of ``Settings``."""

    publish_dir: Path | None = Field(
        None, description="Folder for published sites, shared by web and workers. Default: `sites` in the state folder."
    )
    publish_bucket: str | None = Field(
        None,
        pattern=BUCKET,
        description="Bucket where published sites go instead of that folder, as `name` or `name/prefix` "
        "(docs/publishing.md#a-bucket).",
    )
    publish_bucket_url: str | None = Field(
        None, description="The store of that bucket, which speaks S3's protocol. Default: Amazon's."
    )
    publish_bucket_region: str | None = Field(
        None, pattern=REGION, description="Its region. Default: as the AWS tools find it, or `us-east-1`."
    )
    publish_bucket_key: SecretStr | None = Field(
        None, description="Access key for it. Default: as the AWS tools find theirs, in environment, files or machine."
    )
    publish_bucket_secret: SecretStr | None = Field(None, description="Secret of that access key.")
    publish_file: Path | None = Field(
        None,
        description="TOML file with further targets for published sites and with access to git servers "
        "(docs/publishing.md#several-targets).",
    )
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

    @cached_property
    def publishing_file(self) -> PublishingFile:
        """What the operator's file says, as it was when the process started.

        Raises:
            ValueError: it cannot be read, or says what cannot be.
        """
        return PublishingFile() if self.publish_file is None else read_publishing_file(self.publish_file)

    def wrong_publishing(self, *, folder: Path) -> list[str]:
        """List what is wrong with these, each with its name first.

        Args:
            folder: for published sites, as it is resolved.
        """
        problems = [f"publish_caches: {wrong}" for entry in self.publish_caches if (wrong := wrong_cache(entry))]
        problems += [
            f"publish_bucket_url: {one.replace('key and secret', 'publish_bucket_key and _secret')}"
            for one in wrong_store(self.publish_bucket_url)
        ]
        if (self.publish_bucket_key is None) != (self.publish_bucket_secret is None):
            problems.append("publish_bucket_secret: it and publish_bucket_key are needed together")
        default = folder_place(folder)
        if self.publish_bucket is not None:
            default = bucket_place(self.publish_bucket, self.publish_bucket_url)
        try:
            in_file = [*self.publishing_file.problems(default=default)]
        except ValueError as exc:
            in_file = str(exc).splitlines()
        return problems + [f"publish_file: {one.replace('; ', ', ')}" for one in in_file]
