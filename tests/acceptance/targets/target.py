"""What a started target is, and the processes behind it."""

import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

import httpx
import psutil
from lxml import html

# The processes find this package by their working folder.
REPOSITORY = Path(__file__).parents[3]


@dataclass(frozen=True, slots=True)
class Account:
    """Who may sign in, and where."""

    username: str
    password: str
    login_path: str


@dataclass(frozen=True, slots=True)
class Target:
    """A running target: ``url`` has no slash at its end, ``starts`` are the paths that a person would hand over."""

    name: str
    url: str
    starts: tuple[str, ...]
    folder: Path
    pids: tuple[int, ...]
    account: Account | None = None

    def client(self) -> httpx.Client:
        """Return a client of this site, not signed in; to be closed by the caller."""
        return httpx.Client(base_url=self.url, timeout=30)

    def signed_in(self) -> httpx.Client:
        """Return a client that has signed in by the site's own form.

        Raises:
            RuntimeError: the site refuses the account, or has none.
        """
        if self.account is None:
            raise RuntimeError(f"{self.name} has no sign-in")
        client = self.client()
        values = {"username": self.account.username, "password": self.account.password}
        answer = submit(client, form_of(client, self.account.login_path, to=self.account.login_path), values)
        if answer.status_code != 302:
            client.close()
            raise RuntimeError(f"{self.name} refuses the account: {answer.status_code}")
        return client


def form_of(client: httpx.Client, page: str, *, to: str) -> html.FormElement:
    """Return the form of a page that posts to a path, the largest if there are several.

    Raises:
        LookupError: the page has none.
    """
    address = str(client.base_url.join(page))
    found = []
    for form in html.fromstring(client.get(page).text, base_url=address).forms:
        form.action = urljoin(address, form.action or "")
        if form.method == "POST" and urlsplit(form.action).path == unquote(to):
            found.append(form)
    if found:
        return max(found, key=lambda form: len(form.inputs.keys()))
    raise LookupError(f"{page} has no form that posts to {to}")


def submit(client: httpx.Client, form: html.FormElement, values: Mapping[str, Any]) -> httpx.Response:
    """Send a form as a browser does: what it holds, tokens included, with ``values`` in place of its own."""
    held: dict[str, list[str]] = {}
    for name, value in form.form_values():
        held.setdefault(name, []).append(value)
    return client.post(form.action, data={**held, **values}, headers={"referer": form.base_url})


def module(name: str, *arguments: str) -> list[str]:
    """Return the command that runs a module with this interpreter."""
    return [sys.executable, "-m", name, *arguments]


def gunicorn(application: str, port: int) -> list[str]:
    """Return the command that serves a WSGI application with one process of eight threads."""
    return module("gunicorn", "--bind", f"127.0.0.1:{port}", "--threads", "8", "--no-control-socket", application)


def run(command: Sequence[str], *, env: Mapping[str, str]) -> None:
    """Run a command that makes a target's content.

    Raises:
        RuntimeError: it failed; with the end of what it said.
    """
    answer = subprocess.run(list(command), cwd=REPOSITORY, env=env, capture_output=True, text=True, check=False)
    if answer.returncode != 0:
        raise RuntimeError(f"{command} failed: {answer.stderr[-2000:]}")


@contextmanager
def running(
    command: Sequence[str], *, env: Mapping[str, str], log: Path, grace_s: float = 10
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process; at the end it and all that it has started are ended, if need be by SIGKILL."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            list(command), cwd=REPOSITORY, env=dict(env), stdout=output, stderr=subprocess.STDOUT, process_group=0
        )
    try:
        yield process
    finally:
        family = _descendants(process.pid)
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=grace_s)
        process.kill()
        for survivor in family:
            with suppress(psutil.NoSuchProcess):
                survivor.kill()
        process.wait(timeout=10)


def _descendants(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


@contextmanager
def serving(
    command: Sequence[str], *, env: Mapping[str, str], folder: Path, url: str, ready: str = "/"
) -> Iterator[int]:
    """Run a web server and give its pid once ``ready`` is answered.

    Raises:
        RuntimeError: it ended, or did not answer within a minute; with the end of its log.
    """
    log = folder / "server.log"
    with ExitStack() as stack:
        process = stack.enter_context(running(command, env=env, log=log))
        deadline = time.monotonic() + 60
        while not _answers(url + ready):
            if time.monotonic() > deadline or process.poll() is not None:
                raise RuntimeError(f"{command[2:4]} does not answer: {log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.05)
        yield process.pid


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5).status_code < 500
    except httpx.TransportError:
        return False
