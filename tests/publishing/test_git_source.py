"""A commit of a git repository as a source: a real git, a real server over https, honest and hostile repositories."""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from tasks.core.egress import Egress, EgressPolicy
from tasks.core.errors import EgressRefused, JobCancelled
from tasks.publishing.contract import SiteRequest
from tasks.publishing.engine.git import reading
from tasks.publishing.engine.git.fetching import take_commit
from tasks.publishing.engine.git.repository import GitFailed, GitLimits, GitNotFound, GitRefused, GitTooLarge
from tasks.publishing.engine.names import NameRefused
from tasks.publishing.origins import GitSource
from tests.fakes import FakeJob
from tests.publishing.bench import SITE, Bench
from tests.publishing.git_server import GitServer, certificate, git, serving
from tests.samples import children


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitServer]:
    """The server, with one repository of a site, `docs`."""
    with serving(tmp_path_factory.mktemp("git")) as made:
        made.commit("docs", {**SITE, ".gitignore": "x", "sub/page.html": "<p>below</p>"})
        yield made


@pytest.fixture
def head(server: GitServer) -> str:
    """The id of the newest commit of `docs`."""
    return git(server.folder / "docs", "rev-parse", "main")


class Trusting(Egress):
    """Trusts the server's own certificate."""

    trusted = ""

    @property
    def trust_file(self) -> str:
        return self.trusted


class Taking:
    """Takes commits, each into a folder of its own."""

    def __init__(self, server: GitServer, egress: Egress, folder: Path) -> None:
        self._server, self._folder, self._count = server, folder, 0
        self.egress = egress
        self.job = self.new_job()

    def new_job(self) -> FakeJob:
        self._count += 1
        self.job = FakeJob(self._folder / f"work-{self._count}", self.egress)
        self.job.workdir.mkdir()
        return self.job

    def __call__(self, name: str, commit: str, *, job: FakeJob | None = None, **given: Any) -> dict[str, str]:
        """Return the files."""
        job = job or self.new_job()
        source = GitSource(git=name if "://" in name else self._server.url(name), commit=commit)
        site = job.workdir / "site"
        take_commit(source, site, job=job, **{"limits": GitLimits(), **given})
        files = [path for path in sorted(site.rglob("*")) if not path.is_dir()]
        assert not [path for path in files if path.is_symlink()]
        return {path.relative_to(site).as_posix(): path.read_text() for path in files}


@contextmanager
def silence() -> Iterator[str]:
    """A server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def take(server: GitServer, tmp_path: Path) -> Iterator[Taking]:
    """Takes from the server."""
    with Trusting(EgressPolicy(allow=frozenset({server.endpoint}))) as egress:
        egress.trusted = str(server.trust_file)
        yield Taking(server, egress, tmp_path)


def test_exactly_one_commit_is_fetched(server: GitServer, head: str, take: Taking) -> None:
    """Its files, without git's own and without any other commit; what was fetched is told meanwhile."""
    assert {**SITE, "sub/page.html": "<p>below</p>"} == take("docs", head)
    repository = take.job.workdir / "git" / "repository.git"
    assert "1" == git(repository, "rev-list", "--count", "--all", head)
    assert not (repository / "hooks").exists()
    assert any("fetching" in report.message for report in take.job.reports)


def test_a_commit_goes_live(server: GitServer, head: str, take: Taking, bench: Bench) -> None:
    """The release says what it was made of."""
    job = bench.job()
    job.http = take.egress
    source = {"git": server.url("docs"), "commit": head}
    result = bench.publisher()(SiteRequest.model_validate({"site": "docs", "source": source}), job)
    assert (head, "copy") == (result.commit, result.recipe)
    assert {"index.html", "sub/page.html"} <= bench.tree().keys()
    (release,) = bench.records.kept(job, "docs")
    assert f"{server.url('docs')} {head[:12]}" == release.note


def test_a_folder_of_the_repository_is_taken_as_if_it_were_all(head: str, take: Taking) -> None:
    """Nothing beside it is written."""
    assert {"page.html": "<p>below</p>"} == take("docs", head, below="sub")


def test_an_older_commit_and_one_with_longer_ids_are_taken(server: GitServer, take: Taking) -> None:
    """Whatever its branches point at."""
    old = server.commit("two", {"a.html": "old"})
    server.commit("two", {"a.html": "new"})
    assert {"a.html": "old"} == take("two", old)
    server.repository("long", kind="sha256")
    commit = server.commit("long", {"b.html": "long"})
    assert (64, {"b.html": "long"}) == (len(commit), take("long", commit))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"git": "https://a.example/x", "commit": "main"}, "git rev-parse main"),
        ({"git": "https://a.example/x", "commit": "v1.2"}, "are not followed"),
        ({"git": "https://a.example/x", "commit": "abc1234"}, "shortened"),
        ({"git": "https://a.example/x", "commit": "--upload-pack=x"}, "no commit's id"),
        ({"git": "http://a.example/x", "commit": "a" * 40}, "https://"),
        ({"git": "ssh://a.example/x", "commit": "a" * 40}, "https://"),
        ({"git": "git@a.example:x", "commit": "a" * 40}, "https://"),
        ({"git": "/srv/git/x", "commit": "a" * 40}, "https://"),
        ({"git": "file:///srv/git/x", "commit": "a" * 40}, "https://"),
        ({"git": "ext::sh -c touch% /tmp/x", "commit": "a" * 40}, "https://"),
        ({"git": "https://user:token@a.example/x", "commit": "a" * 40}, "user name or password"),
        ({"git": "https://a.example/x?y", "commit": "a" * 40}, "without [?]"),
        ({"git": "https://a.example/x"}, "commit"),
    ],
)
def test_what_is_no_address_or_no_id_is_refused_before_a_job_is_made(given: dict[str, str], words: str) -> None:
    """With what to give instead, and about this source alone."""
    with pytest.raises(ValidationError, match=words) as refused:
        SiteRequest.model_validate({"site": "docs", "source": given})
    assert 1 == refused.value.error_count()


def test_ids_may_be_written_in_capitals() -> None:
    """They are the same ids."""
    assert "a" * 40 == GitSource(git="https://a.example/x", commit="A" * 40).commit


def test_what_is_not_there_is_said_by_name(server: GitServer, head: str, take: Taking) -> None:
    """The repository, the commit, what needs a sign-in or is no repository; the id of something else."""
    server.statuses |= {"private": 401, "gone": 410, "page": 200, "broken": 503}
    git(server.folder / "docs", "tag", "-f", "-a", "-m", "x", "v1", head)
    tag, tree = (git(server.folder / "docs", "rev-parse", name) for name in ("v1", "main^{tree}"))
    for name, commit, error, words in (
        ("absent", head, GitNotFound, "no repository"),
        ("gone", head, GitNotFound, "no repository"),
        ("private", head, GitNotFound, "sign-in"),
        ("page", head, GitNotFound, "is no git repository"),
        ("broken", head, GitFailed, "503"),
        ("docs", "f" * 40, GitNotFound, "not in"),
        ("docs", "f" * 64, GitRefused, "kind of id"),
        ("docs", tag, GitRefused, head),
        ("docs", tree, GitRefused, "of a tree"),
    ):
        with pytest.raises(error, match=words) as refused:
            take(name, commit)
        assert str(refused.value.field).startswith("source.")
        assert "127.0.0.1:" not in str(refused.value).replace(server.endpoint, ""), "the proxy is nobody's business"


def test_denied_addresses_are_not_reached(server: GitServer, head: str, take: Taking) -> None:
    """Neither first nor by a redirect, nor under a name that stands for one, nor without TLS."""
    server.redirects |= {
        "to-denied": "https://127.0.0.1:9/docs",
        "to-metadata": "https://169.254.169.254/docs",
        "to-plain": f"http://{server.endpoint}/docs",
        "to-file": "file:///etc",
        "to-docs": server.url("docs"),
    }
    for name, error in (
        ("https://127.0.0.1/docs", EgressRefused),
        ("https://10.0.0.1/docs", EgressRefused),
        (f"https://localhost:{server.port}/docs", EgressRefused),
        ("to-denied", EgressRefused),
        ("to-metadata", EgressRefused),
        ("to-plain", GitRefused),
        ("to-file", GitRefused),
    ):
        with pytest.raises(error) as refused:
            take(name, head)
        assert "source.git" == refused.value.field
    assert "index.html" in take("to-docs", head), "an allowed address may be led to"


def test_a_name_is_pinned_to_the_address_that_was_judged(server: GitServer, head: str, tmp_path: Path) -> None:
    """It is looked up once, by us; git itself asks nobody."""
    asked: list[str] = []

    def rebinding(host: str, _port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"]

    with Trusting(EgressPolicy(), resolver=rebinding) as egress:
        taking = Taking(server, egress, tmp_path)
        with pytest.raises(EgressRefused):
            taking("https://rebind.example.org/docs", head)
    assert ["rebind.example.org"] == asked


def test_a_server_that_nobody_vouches_for_is_refused(
    server: GitServer, head: str, take: Taking, tmp_path: Path
) -> None:
    """Whatever the machine's git is set to."""
    other, _ = certificate(tmp_path / "other")
    assert isinstance(take.egress, Trusting)
    take.egress.trusted = str(other)
    with pytest.raises(GitRefused, match="certificate"):
        take("docs", head)


def test_what_the_machine_is_set_to_has_no_say(
    server: GitServer, head: str, take: Taking, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither git's settings, nor variables, nor a password file, nor a credential helper, nor a template's hooks."""
    home, marker = tmp_path / "home", tmp_path / "ran"
    hooks = home / "template" / "hooks"
    hooks.mkdir(parents=True)
    program = home / "program"
    program.write_text(f"#!/bin/sh\ntouch {marker}\n")
    program.chmod(0o755)
    for name in ("reference-transaction", "post-checkout", "post-merge"):
        (hooks / name).symlink_to(program)
    (home / ".netrc").write_text("machine 127.0.0.1 login me password secret-of-mine\n")
    (home / ".gitconfig").write_text(
        f'[url "file:///nowhere/"]\n insteadOf = https://\n[init]\n templateDir = {home}/template\n'
        f"[core]\n hooksPath = {hooks}\n askPass = {program}\n fsmonitor = {program}\n"
        f"[credential]\n helper = {program}\n[http]\n sslVerify = false\n proxy =\n"
    )
    for name, value in {
        "HOME": home, "GIT_TEMPLATE_DIR": home / "template", "GIT_ASKPASS": program, "GIT_DIR": "/nowhere",
        "GIT_PROXY_COMMAND": program, "GIT_SSL_NO_VERIFY": "1", "GIT_EXTERNAL_DIFF": program, "https_proxy": "",
        "GIT_CONFIG_PARAMETERS": f"'core.hookspath'='{hooks}'",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, str(value))
    assert "index.html" in take("docs", head)
    server.statuses["private"] = 401
    with pytest.raises(GitNotFound):
        take("private", head)
    assert not marker.exists()


def test_what_is_too_large_is_refused(server: GitServer, take: Taking, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over the network, as files, by their number, and folders in folders that would never end."""
    large = server.commit("large", {"a.bin": os.urandom(3 * 2**20), "b.html": "x"})
    with pytest.raises(GitTooLarge, match="to fetch"):
        take("large", large, limits=GitLimits(fetched_bytes=2**20))
    for limits, words in (
        (reading.Limits(files=1), "more than 1"),
        (reading.Limits(file_bytes=1000), "a.bin"),
        (reading.Limits(bytes=1000), "are over"),
    ):
        monkeypatch.setattr(reading, "_LIMITS", limits)
        with pytest.raises(GitTooLarge, match=words):
            take("large", large)
    monkeypatch.undo()
    monkeypatch.setattr(reading, "_MAX_LISTED_BYTES", 2**20)
    server.repository("bomb")
    tree = server.tree("bomb", [("100644", b"a", server.blob("bomb", "x"))])
    for _ in range(8):
        tree = server.tree("bomb", [("40000", f"{n}".encode(), tree) for n in range(30)])
    bomb = server.commit_tree("bomb", tree)
    with pytest.raises(GitTooLarge, match="more than"):
        take("bomb", bomb)
    tree = git(server.folder / "bomb", "mktree")
    for _ in range(10):
        tree = server.tree("bomb", [("40000", f"{n}".encode(), tree) for n in range(30)])
    with pytest.raises((GitTooLarge, GitFailed)):
        take("bomb", server.commit_tree("bomb", tree), limits=GitLimits(seconds=1.5))


def test_names_that_lead_out_or_clash_are_refused(server: GitServer, take: Taking, tmp_path: Path) -> None:
    """As git itself would refuse them, and as a case-blind system would take them; nothing is written."""
    server.repository("names")
    blob = server.blob("names", "x")
    plain = server.tree("names", [("100644", b"config", blob)])
    for entries in (
        [("40000", b"..", plain)],
        [("100644", b"../../out", blob)],
        [("100644", b"/etc/out", blob)],
        [("40000", b".git", plain)],
        [("40000", b".GIT", plain)],
        [("40000", b".", plain)],
        [("100644", b"a", blob), ("100644", b"A", blob)],
        [("100644", "\u00e9".encode(), blob), ("100644", "e\u0301".encode(), blob)],
        [("100644", b"nul", blob)],
        [("100644", b"a\\b", blob)],
        [("100644", b"a\nb", blob)],
        [("100644", b"\xff", blob)],
    ):
        commit = server.commit_tree("names", server.tree("names", entries))
        with pytest.raises(NameRefused):
            take("names", commit)
        assert not (take.job.workdir / "site").exists()
    assert not list(tmp_path.rglob("out"))


def test_links_stand_for_files_of_the_commit_alone(server: GitServer, take: Taking) -> None:
    """One that leads elsewhere, nowhere, to a folder or in a circle ends it, and is named."""
    link = {"link": "120000"}
    files = {"a/page.html": "page", "b/link": "../a/page.html"}
    commit = server.commit("links", files, modes={"b/link": "120000"})
    assert {"a/page.html": "page", "b/link": "page"} == take("links", commit)
    for target in ("/etc/passwd", "../../../../etc/passwd", "a", "gone.html", "link", ".git/config", "x" * 5000):
        commit = server.commit("links", {"a/page.html": "page", "link": target}, modes=link)
        with pytest.raises(GitRefused, match="link"):
            take("links", commit)
        assert not (take.job.workdir / "site").exists()


def test_submodules_and_large_file_storage_are_not_followed(server: GitServer, take: Taking, tmp_path: Path) -> None:
    """They are told of; the server is asked for nothing else, and what a repository brings along is never run."""
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'a' * 64}\nsize 12345\n"
    server.repository("more")
    never = tmp_path / "never"
    modules = f'[submodule "x"]\n path = x\n url = ../docs\n update = !touch {never}\n'
    tree = server.tree(
        "more",
        [
            ("100644", b"a.png", server.blob("more", pointer)),
            ("100644", b".gitmodules", server.blob("more", modules)),
            ("100644", b".gitattributes", server.blob("more", "* filter=lfs export-ignore eol=crlf ident\n")),
            ("100644", b"index.html", server.blob("more", "a\n$Id$\n")),
            ("160000", b"x", git(server.folder / "docs", "rev-parse", "main")),
        ],
    )
    commit = server.commit_tree("more", tree)
    server.seen.clear()
    assert {"a.png": pointer, "index.html": "a\n$Id$\n"} == take("more", commit)
    told = "\n".join(take.job.lines)
    assert "submodules are left out: x" in told
    assert "Git LFS, which is not asked: they are pointers: a.png" in told
    assert {"/more/info/refs", "/more/git-upload-pack"} == {line.split()[1] for line in server.seen}
    assert not never.exists()


def test_cancelled_or_out_of_time_it_leaves_no_process(server: GitServer, head: str, take: Taking) -> None:
    """While the server says nothing."""
    with silence() as endpoint, Trusting(EgressPolicy(allow=frozenset({endpoint}))) as egress:
        egress.trusted = str(server.trust_file)
        taking = Taking(server, egress, take.job.workdir)
        with pytest.raises(GitFailed, match="within"):
            taking(f"https://{endpoint}/x", head, limits=GitLimits(seconds=0.5))
        job = taking.new_job()
        timer = threading.Timer(0.5, lambda: setattr(job, "is_cancelled", True))
        timer.start()
        with pytest.raises(JobCancelled):
            taking(f"https://{endpoint}/x", head, job=job)
        timer.join()
    assert [] == children("git")
