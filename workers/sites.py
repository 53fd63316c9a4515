"""``python -m workers site`` and ``edge``: a published site on loopback for a look, and before a bucket for real."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any, TypeVar
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import click
from gunicorn.app.base import BaseApplication

from tasks.core.errors import AppError
from tasks.core.log import configure_logging
from tasks.core.settings import Settings, load_settings
from tasks.publishing.bucket import Bucket
from tasks.publishing.bucket_site import POINTER, BucketSite
from tasks.publishing.nginx import nginx_config, nginx_config_of_edge
from tasks.publishing.served import FolderSite, Served
from tasks.publishing.serving import SiteServer
from tasks.publishing.targets import Target, targets_of
from tasks.publishing.varnish import varnish_config

T = TypeVar("T")
_EDGE = "127.0.0.1:8100"
_ANSWER_S = 5.0
_tenant = click.option("--tenant", help="The tenant's id, where several have a site of this name.")
_target = click.option("--target", help="The target, where the site lies in several of them.")


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A site as the command line names it; None: whichever has it."""

    name: str
    tenant: str | None
    target: str | None


class _Threaded(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing of single requests."""


def server_on_loopback(application: Callable[..., Iterable[bytes]], port: int = 0) -> WSGIServer:
    """Return a server of the application that answers each request in a thread of its own; port 0: any that is free."""
    return make_server("127.0.0.1", port, application, _Threaded, _Quiet)


class _Edge(BaseApplication):  # type: ignore[misc]  # gunicorn has no types
    def __init__(self, wanted: _Wanted, *, listen: str, processes: int, threads: int, memory: int) -> None:
        self._wanted = wanted
        self._memory_bytes = memory << 20
        self._options = {
            "bind": listen,
            "workers": processes,
            "worker_class": "gthread",
            "threads": threads,
            "worker_connections": threads + 1000,
            "keepalive": 60,
            "graceful_timeout": 10,
            "loglevel": "warning",
            "control_socket_disable": True,
        }
        super().__init__()

    def load_config(self) -> None:
        """Hand the options to gunicorn."""
        for name, value in self._options.items():
            self.cfg.set(name, value)

    def load(self) -> SiteServer:
        """Open the site in the process that serves it."""
        return SiteServer(_find(load_settings(), self._wanted, memory_bytes=self._memory_bytes))


@click.command()
@click.argument("name")
@_tenant
@_target
@click.option("--nginx", "server_name", metavar="HOST", help="Only print nginx's configuration for this host name.")
@click.option("--edge", "edge_at", metavar="HOST:PORT", default=_EDGE, show_default=True, help="For --nginx: the edge.")
@click.option("--varnish", "origin", metavar="HOST:PORT", help="Only print Varnish's, for all sites of that server.")
@click.option("--port", default=8100, show_default=True, help="On loopback.")
def site(
    name: str,
    *,
    tenant: str | None,
    target: str | None,
    server_name: str | None,
    edge_at: str,
    origin: str | None,
    port: int,
) -> None:
    """Serve the published site NAME as its web server would, for a look at it."""
    if origin is not None:
        host, at = _split(origin, "--varnish")
        click.echo(varnish_config(host=host, port=at), nl=False)
        return
    settings = load_settings()
    wanted = _Wanted(name, tenant, target)
    if server_name is not None:
        targets = _targets(settings, target)
        folders = [
            (one.name, folder) for one in targets if one.folder is not None for folder in _folders(one.folder, wanted)
        ]
        # A bucket is not asked for it: the edge will.
        if not folders and any(one.bucket is not None for one in targets):
            _split(edge_at, "--edge")
            click.echo(nginx_config_of_edge(name, server_name=server_name, edge=edge_at), nl=False)
        else:
            click.echo(nginx_config(_only(wanted, folders), server_name=server_name), nl=False)
        return
    with server_on_loopback(SiteServer(_found(settings, wanted)), port) as server:
        click.echo(f"{name}: http://127.0.0.1:{server.server_port}/")
        server.serve_forever()


@click.command()
@click.argument("name")
@_tenant
@_target
@click.option("--listen", metavar="HOST:PORT", default=_EDGE, show_default=True)
@click.option("--processes", default=1, show_default=True, help="Each with a memory of its own.")
@click.option("--threads", default=64, show_default=True, help="Requests at a time, of each process.")
@click.option("--memory-mb", default=64, show_default=True, help="For contents that were served, of each process.")
def edge(
    name: str,
    *,
    tenant: str | None,
    target: str | None,
    listen: str,
    processes: int,
    threads: int,
    memory_mb: int,
) -> None:
    """Serve the published site NAME from its bucket, as the server behind nginx or a CDN."""
    _split(listen, "--listen")
    settings = load_settings()
    configure_logging(settings)
    wanted = _Wanted(name, tenant, target)
    _found(settings, wanted)  # before gunicorn forks, so that what is wrong is told once
    click.echo(f"{name}: http://{listen}/")
    _Edge(wanted, listen=listen, processes=processes, threads=threads, memory=memory_mb).run()


def _split(address: str, option: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise click.BadParameter(f"{address!r} is not HOST:PORT", param_hint=option)
    return host, int(port)


def _found(settings: Settings, wanted: _Wanted) -> Served:
    try:
        return _find(settings, wanted)
    except AppError as exc:
        raise click.ClickException(exc.message) from exc


def _targets(settings: Settings, name: str | None) -> list[Target]:
    declared = targets_of(settings)
    if name is not None and name not in declared:
        raise click.BadParameter(f"{name!r} is none of {', '.join(declared)}", param_hint="--target")
    return [target for target in declared.values() if name in (None, target.name)]


def _find(settings: Settings, wanted: _Wanted, **options: Any) -> Served:
    targets = _targets(settings, wanted.target)
    found: list[tuple[str, Callable[[], Served]]] = []
    for target in targets:
        if target.folder is not None:
            found += [(target.name, partial(FolderSite, one)) for one in _folders(target.folder, wanted)]
        elif target.bucket is not None:
            bucket = Bucket.open(target.bucket, tries=2, silence_s=_ANSWER_S)  # a visitor waits
            tenants = bucket.folders() if wanted.tenant is None else [wanted.tenant]
            there = [below for one in tenants if (below := bucket.below(one, wanted.name)).has(POINTER)]
            found += [(target.name, partial(BucketSite, below, wanted.name, **options)) for below in there]
    return _only(wanted, found)()


def _folders(root: Path, wanted: _Wanted) -> list[Path]:
    return sorted(root.glob(f"{wanted.tenant or '*'}/{wanted.name}"))


def _only(wanted: _Wanted, found: list[tuple[str, T]]) -> T:
    names = {target for target, _ in found}
    if len(names) > 1:
        raise click.ClickException(
            f"{wanted.name!r} lies in several targets ({', '.join(sorted(names))}): name one with --target NAME"
        )
    if len(found) != 1:
        raise click.ClickException(f"{len(found)} tenants have a site {wanted.name!r} here: name one with --tenant ID")
    return found[0][1]
