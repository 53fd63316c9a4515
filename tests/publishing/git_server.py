"""A git server over https on loopback: git's own ``http-backend`` behind Python's TLS, and addresses that misbehave."""

import os
import ssl
import subprocess
import threading
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

Files = Mapping[str, str | bytes]
_ENVIRON = {
    "PATH": os.environ["PATH"],
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    **{f"GIT_{who}_{what}": "x@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
    "GIT_AUTHOR_DATE": "2026-01-01T00:00:00Z",
    "GIT_COMMITTER_DATE": "2026-01-01T00:00:00Z",
}


def git(repository: Path, *words: str, given: bytes = b"") -> str:
    """Call git in a repository; return what it prints."""
    done = subprocess.run(
        ["git", "-C", str(repository), *words], env=_ENVIRON, input=given, capture_output=True, check=False
    )
    assert 0 == done.returncode, done.stderr.decode()
    return done.stdout.decode().strip()


@dataclass
class GitServer:
    """Serves every repository below ``folder``.

    Attributes:
        redirects: answers for the first part of a path: an address that takes its place.
        statuses: the same, a status.
        seen: methods and paths that were asked for.
        sign_ins: user:password that repositories, by the first part of their paths, ask for.
        heard: the sign-ins that were given, whatever they were asked for.
    """

    folder: Path
    port: int
    trust_file: Path
    redirects: dict[str, str] = field(default_factory=dict)
    statuses: dict[str, int] = field(default_factory=dict)
    seen: list[str] = field(default_factory=list)
    sign_ins: dict[str, str] = field(default_factory=dict)
    heard: list[str] = field(default_factory=list)

    @property
    def endpoint(self) -> str:
        return f"127.0.0.1:{self.port}"

    def url(self, name: str) -> str:
        return f"https://{self.endpoint}/{name}"

    def repository(self, name: str, *, kind: str = "sha1") -> Path:
        """Make an empty repository."""
        path = self.folder / name
        subprocess.run(
            ["git", "init", "-q", "--bare", "-b", "main", f"--object-format={kind}", str(path)],
            env=_ENVIRON,
            check=True,
        )
        (path / "git-daemon-export-ok").touch()
        return path

    def commit(self, name: str, files: Files, *, modes: Mapping[str, str] | None = None) -> str:
        """Commit these files as all there is on ``main``; return the commit's id."""
        path = self.folder / name
        if not path.exists():
            self.repository(name)
        index = "".join(
            f"{(modes or {}).get(file, '100644')} {self.blob(name, content)}\t{file}\n"
            for file, content in files.items()
        )
        git(path, "read-tree", "--empty")
        git(path, "update-index", "--index-info", given=index.encode())
        return self.commit_tree(name, git(path, "write-tree"))

    def blob(self, name: str, content: str | bytes) -> str:
        """Keep a content; return its id."""
        raw = content if isinstance(content, bytes) else content.encode()
        return git(self.folder / name, "hash-object", "-w", "--stdin", given=raw)

    def tree(self, name: str, entries: list[tuple[str, bytes, str]]) -> str:
        """Keep a folder with entries of any name, as no git would make it; return its id."""
        raw = b"".join(
            mode.encode() + b" " + path + b"\0" + bytes.fromhex(blob)
            for mode, path, blob in sorted(entries, key=lambda one: one[1] + b"/" * (one[0] == "40000"))
        )
        words = ("hash-object", "-w", "-t", "tree", "--literally", "--stdin")
        return git(self.folder / name, *words, given=raw)

    def commit_tree(self, name: str, tree: str) -> str:
        """Commit a folder on ``main``; return the commit's id."""
        commit = git(self.folder / name, "commit-tree", "-m", "x", tree)
        git(self.folder / name, "update-ref", "refs/heads/main", commit)
        return commit


class _Handler(BaseHTTPRequestHandler):
    """Answers as ``GitServer`` says, or calls ``git http-backend``."""

    protocol_version = "HTTP/1.1"
    timeout = 30
    git_server: ClassVar[GitServer]

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        self.git_server.seen.append(f"{self.command} {url.path}")
        first, _, rest = url.path.lstrip("/").partition("/")
        if given := self.headers.get("Authorization"):
            self.git_server.heard.append(b64decode(given.removeprefix("Basic ")).decode())
        wanted = self.git_server.sign_ins.get(first)
        if wanted is not None and f"Basic {b64encode(wanted.encode()).decode()}" != given:
            self._answer(401, {"WWW-Authenticate": "Basic realm=x"}, b"no")
        elif first in self.git_server.redirects:
            self._answer(302, {"Location": f"{self.git_server.redirects[first]}/{rest}?{url.query}"})
        elif first in self.git_server.statuses:
            head = {"WWW-Authenticate": "Basic realm=x"} if self.git_server.statuses[first] == 401 else {}
            self._answer(self.git_server.statuses[first], head, b"<html>hello</html>")
        else:
            self._call_git(url.path, url.query)

    def do_POST(self) -> None:
        self.do_GET()

    def _call_git(self, path: str, query: str) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        environ = _ENVIRON | {
            "GIT_PROJECT_ROOT": str(self.git_server.folder),
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
        }
        done = subprocess.run(["git", "http-backend"], env=environ, input=body, capture_output=True, check=False)
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().splitlines())
        self._answer(int(fields.pop("Status", "200").split()[0]), fields, content)

    def _answer(self, status: int, fields: Mapping[str, str], content: bytes = b"") -> None:
        self.send_response(status)
        for name, value in fields.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        pass


def certificate(folder: Path, *, name: str = "127.0.0.1") -> tuple[Path, Path]:
    """Make a certificate of its own for loopback; return it and its key."""
    folder.mkdir(parents=True, exist_ok=True)
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "key.pem", "-out", "cert.pem"]
    whose = ["-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
    subprocess.run(["openssl", "req", "-x509", *key, *whose], cwd=folder, check=True, capture_output=True)
    return folder / "cert.pem", folder / "key.pem"


@contextmanager
def serving(folder: Path) -> Iterator[GitServer]:
    """Serve the repositories below a new folder."""
    cert, key = certificate(folder / "tls")
    repositories = folder / "repositories"
    repositories.mkdir()
    trust = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trust.load_cert_chain(cert, key)

    class Handler(_Handler):
        pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.socket = trust.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        server.handle_error = lambda request, client_address: None  # type: ignore[method-assign]  # clients may hang up
        Handler.git_server = GitServer(repositories, server.server_address[1], cert)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        yield Handler.git_server
        server.shutdown()
        thread.join()
