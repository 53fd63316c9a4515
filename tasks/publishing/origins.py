"""Where the files of a site come from. Light: the web process loads this."""

import re
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field
from pydantic import Tag as When

from tasks.core.spec import Contract
from tasks.core.uploads import UploadRef
from tasks.core.web_url import WebURL


class FolderSource(Contract):
    """A folder on the server, below one that the operator allowed (``SWITCHYARD_PUBLISH_SOURCES``)."""

    folder: str = Field(min_length=1, max_length=1024, description="An absolute path on the worker's machine.")


class FilesSource(Contract):
    """A list of files with their hashes, and an archive with those that `POST /api/sites/{site}/missing` named."""

    files: UploadRef = Field(description='JSON: `{"files": {path: [sha256, size]}}`.')
    contents: UploadRef | None = Field(
        None, description="An archive whose files have the missing contents, whatever their names; null: none lacks."
    )


def _git_url(url: object) -> object:
    if isinstance(url, str) and not url.startswith("https://"):
        raise ValueError("git must be an address that begins with https://; no other way to a repository is used")
    if isinstance(url, str) and ("?" in url or "#" in url):
        raise ValueError("git must be the repository's address alone, without ? and #")
    return url


def _commit_id(commit: str) -> str:
    commit = commit.lower() if re.fullmatch(r"[0-9a-fA-F]{40,}", commit) else commit
    if re.fullmatch(r"[0-9a-fA-F]{5,39}", commit):
        raise ValueError(f"commit {commit!r} is shortened: give all digits, as `git rev-parse {commit}` prints them")
    if not re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", commit):
        raise ValueError(
            f"commit {commit!r} is no commit's id, and branches and tags are not followed, since they move: give the "
            f"40 hexadecimal digits that `git rev-parse {commit}` prints, or `git ls-remote` with the address"
        )
    return commit


class GitSource(Contract):
    """A git repository at one commit. Only that commit is fetched, without submodules and files that Git LFS keeps."""

    git: Annotated[WebURL, BeforeValidator(_git_url)] = Field(
        description="The repository's address, `https://…`, that needs no sign-in.",
        examples=["https://git.example.org/docs.git"],
    )
    commit: Annotated[str, AfterValidator(_commit_id)] = Field(
        max_length=255,
        description="The commit's whole id: 40 hexadecimal digits, or 64.",
        # Told, and looked at by hand, for the sake of the message.
        json_schema_extra={"pattern": "^([0-9a-fA-F]{40}|[0-9a-fA-F]{64})$"},
    )


def _kind_of_source(source: object) -> str:
    """Tell which source is meant, so that an error is about that one alone."""
    given = source if isinstance(source, dict) else getattr(source, "__dict__", {})
    for kind, names in (("git", {"git", "commit"}), ("folder", {"folder"}), ("files", {"files", "contents"})):
        if names & set(given):
            return kind
    return "upload"


Source = Annotated[
    Annotated[UploadRef, When("upload")]
    | Annotated[FilesSource, When("files")]
    | Annotated[FolderSource, When("folder")]
    | Annotated[GitSource, When("git")],
    Discriminator(_kind_of_source),
]


def _subfolder(path: str) -> str:
    parts = path.split("/")
    if path and (not all(parts) or {".", ".."} & set(parts) or not path.isprintable() or "\\" in path):
        raise ValueError(f"subfolder {path!r} must be like `docs` or `web/site`: folders below the source's own")
    return path


Subfolder = Annotated[
    str,
    Field(max_length=1024, description="The folder of the source that is the site, or that the recipe is used in."),
    AfterValidator(_subfolder),
]
