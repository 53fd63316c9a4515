"""Fetches one commit of a repository, through the egress proxy."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tasks.core.egress.loans import Loan
from tasks.core.errors import AppError, EgressRefused
from tasks.core.job import JobContext
from tasks.publishing.contract import Stage
from tasks.publishing.engine.child import Ended, run
from tasks.publishing.engine.git.access import NO_ACCESS, Access, signed_in
from tasks.publishing.engine.git.reading import write_files
from tasks.publishing.engine.git.repository import (
    GitDenied,
    GitFailed,
    GitLimits,
    GitNotFound,
    GitRefused,
    GitTooLarge,
    Repository,
)
from tasks.publishing.origins import GitSource

_REPORT_EVERY_S = 0.5
_ENDED_BY_SIZE = -25  # SIGXFSZ
_GONE = ("not found", "returned error: 404", "returned error: 410")
_SIGN_IN = ("could not read Username", "Authentication failed", "returned error: 401", "returned error: 403")
_ABSENT = ("not our ref", "unadvertised object", "no such remote ref", "couldn't find remote ref")
_NO_REPOSITORY = ("dumb http transport", "is this a git repository", "invalid server response", "bad line length")
_NOT_TRUSTED = ("certificate verification failed", "SSL certificate", "certificate signer not trusted")
_OTHER_PROTOCOL = ("not supported or disabled", "not allowed")
_OTHER_IDS = ("mismatched algorithms", "object format")


def take_commit(
    source: GitSource, into: Path, *, job: JobContext, limits: GitLimits, below: str = "", access: Access = NO_ACCESS
) -> None:
    """Write the files of a commit into the folder ``into``.

    Args:
        access: what the operator has for the repository.
        below: the folder of the repository of which alone the files are wanted, as if it were all.

    Raises:
        EgressRefused: the address, or one that it leads to, is not allowed.
        GitNotFound, GitDenied, GitRefused, GitTooLarge, NameRefused: it cannot be published; nothing of it is used.
            Permanent.
        GitFailed: no answer, or a broken one. Transient.
    """
    try:
        url = job.http.check(source.git).href
    except EgressRefused as exc:
        raise EgressRefused(exc.message, field="source.git") from exc
    ends_at = time.monotonic() + limits.seconds

    def look() -> None:
        job.checkpoint()
        if time.monotonic() > ends_at:
            raise GitFailed(f"{url} was not fetched within {limits.seconds:g} s.", field="source.git")

    folder = job.workdir / "git"
    trust_file = access.ca_file or job.http.trust_file
    with job.http.proxy(max_bytes=limits.fetched_bytes) as loan, signed_in(url, access) as sign_in:
        repository = Repository(folder, limits, proxy_url=loan.url, trust_file=trust_file, sign_in=sign_in)
        _call(repository, repository.init_command(source.commit), look)
        how = "" if sign_in is None else ", with the operator's sign-in"
        job.log(f"fetching {source.commit} of {url}{how}", stream="git")
        _fetch(repository, url, source.commit, loan=loan, job=job, look=look, limits=limits)
    kind = _call(repository, repository.command("cat-file", "-t", source.commit), look)
    if kind.last[:1] != ["commit"]:
        raise _no_commit(repository, source.commit, " ".join(kind.last[:1]), look)
    write_files(repository, source.commit, into, below=below, job=job, look=look)


def _fetch(
    repository: Repository,
    url: str,
    commit: str,
    *,
    loan: Loan,
    job: JobContext,
    look: Callable[[], None],
    limits: GitLimits,
) -> None:
    reports_at = 0.0

    def meanwhile() -> None:
        nonlocal reports_at
        look()
        if loan.is_spent:
            raise _too_large(limits)
        if time.monotonic() >= reports_at:
            reports_at = time.monotonic() + _REPORT_EVERY_S
            message = f"fetching {commit[:12]}: {loan.bytes_carried:,} bytes"
            job.report(Stage.VALIDATING, loan.bytes_carried, message=message)

    ended = _call(
        repository,
        repository.command(
            *("fetch", "--quiet", "--depth=1", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head"),
            *("--no-auto-maintenance", "--", url, commit),
        ),
        meanwhile,
        handed=repository.handed,
    )
    if ended.status:
        raise _failure(url, commit, ended, loan=loan, limits=limits, is_signed_in=bool(repository.handed))


def _call(
    repository: Repository, command: Sequence[str], meanwhile: Callable[[], None], handed: Sequence[int] = ()
) -> Ended:
    return run(
        command,
        environ=repository.environ,
        folder=repository.folder,
        on_line=lambda _: None,
        meanwhile=lambda _: meanwhile(),
        handed=handed,
    )


def _failure(url: str, commit: str, ended: Ended, *, loan: Loan, limits: GitLimits, is_signed_in: bool) -> AppError:
    """Return what the end of ``git fetch`` means; its words are those of the C locale."""
    words = " ".join(ended.last)
    repository, its_commit = "source.git", "source.commit"

    def says(*phrases: str) -> bool:
        return any(phrase in words for phrase in phrases)

    if loan.refused:
        return EgressRefused(
            f"{url} leads to an address that is not allowed. Use a public https address, or have the operator allow "
            "it by name.",
            field=repository,
        )
    if loan.is_spent or ended.status == _ENDED_BY_SIZE or says("File size limit"):
        return _too_large(limits)
    if says(*_ABSENT):
        return GitNotFound(
            f"Commit {commit} is not in {url}, or was not pushed, or the server does not give commits by their ids.",
            field=its_commit,
        )
    if says(*_OTHER_IDS):
        return GitRefused(
            f"{url} names its commits by the other kind of id (SHA-1: 40 digits, SHA-256: 64), not like {commit}.",
            field=its_commit,
        )
    if says(*_NOT_TRUSTED):
        return GitRefused(
            f"The certificate of {url}'s server is not one that can be trusted: an operator can name the authority "
            "that vouches for it (ca_file in SWITCHYARD_PUBLISH_FILE).",
            field=repository,
        )
    if says(*_OTHER_PROTOCOL):
        return GitRefused(f"{url} leads to an address that is not https.", field=repository)
    if says(*_SIGN_IN) and is_signed_in:
        return GitDenied(
            f"{url} does not take the sign-in that the operator has stored for it: it is wrong, has ended, or may not "
            "read this repository (git in SWITCHYARD_PUBLISH_FILE).",
            field=repository,
        )
    if says(*_SIGN_IN):
        return GitNotFound(
            f"{url} is not there, or asks for a sign-in, and none is stored for it that you may use: an operator can "
            "store one (git in SWITCHYARD_PUBLISH_FILE).",
            field=repository,
        )
    if says(*_GONE):
        return GitNotFound(f"There is no repository at {url}.", field=repository)
    if says(*_NO_REPOSITORY):
        return GitNotFound(f"What answers at {url} is no git repository.", field=repository)
    return GitFailed(
        f"{url} could not be fetched: {words[-300:] or f'git ended with {ended.status}'}.", field=repository
    )


def _too_large(limits: GitLimits) -> GitTooLarge:
    return GitTooLarge(
        f"The commit is over {limits.fetched_bytes:,} bytes to fetch (SWITCHYARD_PUBLISH_GIT_MB).", field="source.git"
    )


def _no_commit(repository: Repository, given: str, kind: str, look: Callable[[], None]) -> GitRefused:
    meant = _call(repository, repository.command("rev-parse", "--quiet", "--verify", f"{given}^{{commit}}"), look)
    hint = f" It stands for commit {meant.last[0]}: give that." if meant.status == 0 and meant.last else ""
    return GitRefused(
        f"{given} is the id of a {kind or 'thing that is not there'}, not of a commit.{hint}", field="source.commit"
    )
