"""Every target starts, serves what its list says, and stops without leftovers: so the lists are proven, too."""

import re
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from urllib.parse import urlsplit

import httpx
import psutil
import pytest

from tests.acceptance.targets.starting import NAMES, started
from tests.acceptance.targets.target import REPOSITORY, Target, form_of, module, submit
from tests.acceptance.targets.wanted import Wanted, wanted
from tests.samples import eventually

pytestmark = pytest.mark.slow

ENTRIES = [
    pytest.param(name, entry, id=f"{name}-{entry.id}", marks=pytest.mark.xdist_group(f"target-{name}"))
    for name in NAMES
    for entry in wanted(name)
]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test for each entry of each list, in the list's order, on one start of the target."""
    if "entry" in metafunc.fixturenames:
        metafunc.parametrize(("running", "entry"), ENTRIES, indirect=["running"], scope="module")


@pytest.fixture(scope="module")
def running(request: pytest.FixtureRequest) -> Iterator[Target]:
    """The target that the parameter names, started once for all its tests; nothing of it may be left."""
    with started(request.param) as target:
        family = [child for pid in target.pids for child in _family(pid)]
        assert len(family) >= len(target.pids)
        yield target
    assert eventually(lambda: not any(_lives(process) for process in family), within_s=10)
    assert not target.folder.exists()
    assert _is_closed(target.url)


def _family(pid: int) -> list[psutil.Process]:
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _is_closed(url: str) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", urlsplit(url).port or 0)) != 0


class Visitor:
    """Somebody who has a look at a target, signed in where that is needed."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self._clients: dict[bool, httpx.Client] = {}
        self._known: dict[str, str] = {}

    def client(self, *, signed_in: bool) -> httpx.Client:
        if signed_in not in self._clients:
            self._clients[signed_in] = self.target.signed_in() if signed_in else self.target.client()
        return self._clients[signed_in]

    def leave(self) -> None:
        for client in self._clients.values():
            client.close()
        self._clients.clear()

    def path(self, template: str, values: Mapping[str, str] = MappingProxyType({})) -> str:
        """Fill in what the example gives, and the numbers that are only known at run time."""
        for name, value in values.items():
            template = template.replace("*" if name == "*" else f"{{{name}}}", value)
        return re.sub(r"@(\w+)(?=/|$)", lambda found: self._look_up(found[1]), template)

    def _look_up(self, name: str) -> str:
        if name not in self._known:
            self._known[name] = _LOOK_UPS.get(self.target.name, lambda _client, name: f"@{name}")(
                self.client(signed_in=False), name
            )
        return self._known[name]


def _page_number(client: httpx.Client, name: str) -> str:
    slug = {"kidnapped": "notes-on-kidnapped"}.get(name, name)
    (page,) = client.get("/api/v2/pages/", params={"slug": slug}).json()["items"]
    return str(page["id"])


def _task_id(client: httpx.Client, name: str) -> str:
    if name == "library":  # of desk@library
        return f"@{name}"
    return next(iter(client.get("/api/tasks", params={"taskname": f"chores.{name}"}).json()))


_LOOK_UPS = {"wagtail": _page_number, "flower": _task_id}


@pytest.fixture(scope="module")
def visitor(running: Target) -> Iterator[Visitor]:
    visitor = Visitor(running)
    yield visitor
    visitor.leave()


def test_what_a_person_would_want_is_there(visitor: Visitor, entry: Wanted) -> None:
    """The entry's page is there, and its first request, sent as the example says, answers as the example says."""
    client = visitor.client(signed_in=entry.sign_in)
    page = visitor.path(entry.page)
    shown = client.get(page)
    assert 200 == shown.status_code
    example, request = entry.example, entry.requests[0]
    if not example.send:
        assert example.shows in shown.text
        return
    path = visitor.path(request.path, example.path)
    answer = _send(client, entry, path, page=page)
    assert example.status == answer.status_code, answer.text[:1000]
    assert example.shows in answer.text
    assert not example.hides or example.hides not in answer.text
    if request.method == "GET" and request.inputs:
        _check_that_the_inputs_matter(client, entry, path, answer)
    if entry.sign_in:
        with visitor.target.client() as stranger:
            assert 200 != stranger.request(request.method, path).status_code
    if entry.does == "sign-out":
        visitor.leave()


def _send(client: httpx.Client, entry: Wanted, path: str, *, page: str) -> httpx.Response:
    request, values = entry.requests[0], entry.example.values
    if request.method == "POST":
        try:
            form = form_of(client, page, to=path)
        except LookupError:  # sent by a script, or by whoever uses an API
            return client.post(path, data=dict(values))
        assert set(request.inputs) <= set(form.inputs.keys())
        return submit(client, form, values)
    if request.method in {"PUT", "PATCH"}:
        return client.request(request.method, path, data=dict(values))
    return client.request(request.method, path, params=values)


def _check_that_the_inputs_matter(client: httpx.Client, entry: Wanted, path: str, answer: httpx.Response) -> None:
    rest = {name: value for name, value in entry.example.values.items() if name not in entry.requests[0].inputs}
    without = client.get(path, params=rest)
    assert (answer.text, answer.headers.get("location")) != (without.text, without.headers.get("location"))
    assert entry.example.hides in without.text


@pytest.mark.parametrize("name", ["httpbin"])
def test_a_person_can_start_a_target_and_stop_it(name: str) -> None:
    """The command prints where the target is, and Ctrl-C ends it and all its processes."""
    command = module("tests.acceptance.targets", name)
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert 200 == httpx.get(url, timeout=60).status_code
        family = _family(process.pid)
        process.send_signal(signal.SIGINT)
        assert 0 == process.wait(timeout=60)
    assert eventually(lambda: not any(_lives(member) for member in family), within_s=10)
    assert _is_closed(url)


def test_an_unknown_target_is_refused() -> None:
    """The command names those that there are."""
    command = module("tests.acceptance.targets", "x")
    answer = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert 2 == answer.returncode
    assert all(name in answer.stderr for name in NAMES)
