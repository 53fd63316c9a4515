"""``python -m workers site``: a published site on loopback, for development."""

from pathlib import Path
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import click

from tasks.core.settings import load_settings
from tasks.publishing.nginx import nginx_config
from tasks.publishing.serving import SiteServer
from tasks.publishing.varnish import varnish_config


class _Threaded(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing of single requests."""


@click.command()
@click.argument("name")
@click.option("--tenant", help="The tenant's id, where several have a site of this name.")
@click.option("--nginx", "server_name", metavar="HOST", help="Only print nginx's configuration for this host name.")
@click.option("--varnish", "origin", metavar="HOST:PORT", help="Only print Varnish's, for all sites of that server.")
@click.option("--port", default=8100, show_default=True, help="On loopback.")
def site(name: str, tenant: str | None, server_name: str | None, origin: str | None, port: int) -> None:
    """Serve the published site NAME as its web server would, for a look at it."""
    if origin is not None:
        host, _, at = origin.rpartition(":")
        if not host or not at.isdecimal():
            raise click.BadParameter(f"{origin!r} is not HOST:PORT", param_hint="--varnish")
        click.echo(varnish_config(host=host, port=int(at)), nl=False)
        return
    folder = _folder(name, tenant)
    if server_name is not None:
        click.echo(nginx_config(folder, server_name=server_name), nl=False)
        return
    with make_server("127.0.0.1", port, SiteServer(folder), _Threaded, _Quiet) as server:
        click.echo(f"{name}: http://127.0.0.1:{server.server_port}/")
        server.serve_forever()


def _folder(name: str, tenant: str | None) -> Path:
    found = sorted(load_settings().resolved_publish_dir.glob(f"{tenant or '*'}/{name}"))
    if len(found) != 1:
        raise click.ClickException(f"{len(found)} tenants have a site {name!r} here: name one with --tenant ID")
    return found[0]
