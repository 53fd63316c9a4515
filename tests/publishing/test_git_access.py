"""Private repositories: a real git, a real server that asks for a sign-in, and the operator's file that has it."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.core.egress import Egress, EgressPolicy
from tasks.core.settings import Settings
from tasks.publishing.contract import SiteRequest
from tasks.publishing.engine.git.access import Access
from tasks.publishing.engine.git.repository import GitDenied, GitNotFound, GitRefused
from tests.publishing.bench import SITE, Bench
from tests.publishing.git_server import GitServer, serving
from tests.publishing.test_git_source import Taking

USER, PASSWORD = "robot", 'p"a$s `word`; %\\'


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitServer]:
    """With a private repository."""
    with serving(tmp_path_factory.mktemp("git")) as made:
        made.commit("private", SITE)
        made.sign_ins["private"] = f"{USER}:{PASSWORD}"
        made.redirects["moved"] = f"https://localhost:{made.port}/private"
        yield made


@pytest.fixture
def take(server: GitServer, tmp_path: Path) -> Iterator[Taking]:
    """Takes from the server, whose certificate nobody else trusts."""
    server.heard.clear()
    endpoints = {server.endpoint, f"localhost:{server.port}"}
    with Egress(EgressPolicy(allow=frozenset(endpoints))) as egress:
        yield Taking(server, egress, tmp_path)


def head(server: GitServer) -> str:
    return (server.folder / "private" / "refs" / "heads" / "main").read_text().strip()


def access(server: GitServer, password: str | None = PASSWORD) -> Access:
    return Access(USER if password else None, password, str(server.trust_file))


def test_a_private_repository_is_fetched_and_the_sign_in_stays_nowhere(
    server: GitServer, take: Taking, tmp_path: Path
) -> None:
    """Neither in an argument, a variable, the log, a file of the attempt, nor open in this process."""
    seen: list[bytes] = []
    is_over = threading.Event()

    def watch() -> None:
        while not is_over.wait(0.005):
            for process in Path("/proc").glob("[0-9]*"):
                try:
                    command = (process / "cmdline").read_bytes()
                    if b"git" in command:
                        seen.append(command + (process / "environ").read_bytes())
                except OSError:
                    continue

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        files = take("private", head(server), access=access(server))
    finally:
        is_over.set()
        watching.join()
    assert SITE == files
    assert {f"{USER}:{PASSWORD}"} == set(server.heard)
    assert seen
    assert not [one for one in seen if b"word`" in one]
    assert not [line for line in take.job.lines if "word`" in line]
    assert any("with the operator's sign-in" in line for line in take.job.lines)
    files_left = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not [path for path in files_left if b"word`" in path.read_bytes()]
    assert not [one for one in Path("/proc/self/fd").iterdir() if "sign-in" in _target(one)]


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except OSError:
        return ""


def test_a_wrong_sign_in_is_told_by_name(server: GitServer, take: Taking) -> None:
    """Without the sign-in; and none at all is another thing, as is a server that nobody vouches for."""
    with pytest.raises(GitDenied, match="does not take the sign-in") as denied:
        take("private", head(server), access=access(server, "wrong-word"))
    assert "wrong-word" not in denied.value.message + "".join(take.job.lines)
    assert "source.git" == denied.value.field
    with pytest.raises(GitNotFound, match="SWITCHYARD_PUBLISH_FILE"):
        take("private", head(server), access=access(server, None))
    with pytest.raises(GitRefused, match="ca_file"):
        take("private", head(server), access=Access(USER, PASSWORD))


def test_no_other_server_gets_the_sign_in(server: GitServer, take: Taking) -> None:
    """One that the repository's own leads to asks in vain."""
    server.heard.clear()
    with pytest.raises((GitDenied, GitNotFound)):
        take("moved", head(server), access=access(server))
    assert [] == server.heard


def test_the_operators_file_says_whose_repositories_they_are(server: GitServer, tmp_path: Path) -> None:
    """An entry is for a server or what is below a path there, and for the tenants that it names."""
    (tmp_path / "publishing.toml").write_text(
        f"""
        [[git]]
        url = "{server.url("private")}"
        tenants = ["acme"]
        user = "{USER}"
        password = '{PASSWORD}'
        ca_file = "{server.trust_file}"
        [[git]]
        url = "https://git.example/"
        tenants = ["*"]
        ca_file = "{server.trust_file}"
        """
    )
    entries = Settings(publish_file=tmp_path / "publishing.toml").publishing_file.git
    for url, names, expected in (
        (server.url("private"), ("id", "acme"), [True, False]),
        (server.url("private/sub.git"), ("acme", "x"), [True, False]),
        (server.url("private2"), ("id", "acme"), [False, False]),
        (server.url("private"), ("id", "other"), [False, False]),
        ("https://git.example:443/any", ("id", "other"), [False, True]),
        ("https://git.example.org/any", ("id", "other"), [False, False]),
    ):
        assert expected == [one.is_for(url, names) for one in entries]
    assert PASSWORD not in repr(entries)


def test_a_private_commit_goes_live_and_nothing_that_is_kept_has_the_sign_in(server: GitServer, bench: Bench) -> None:
    """Neither the release, nor its record, nor the result; whoever may not use it is told so."""
    with Egress(EgressPolicy(allow=frozenset({server.endpoint}))) as egress:
        job = bench.job()
        job.http = egress
        publisher = bench.publisher(git_access=lambda _job, _url: access(server))
        request = {"site": "docs", "source": {"git": server.url("private"), "commit": head(server)}}
        result = publisher(SiteRequest.model_validate(request), job)
    assert "index.html" in bench.tree()
    assert "word`" not in result.model_dump_json()
    assert not [path for path in bench.folder.rglob("*") if path.is_file() and b"word`" in path.read_bytes()]
    kept = [str(one) for one in bench.records.kept(job, "docs")]
    assert len(kept) == 1
    assert "word`" not in kept[0]
