"""Releases that are not live, or any that is kept, shown to whoever has a link with a signature until it expires.

A release holds pages of anybody's making, and they come from the address of the API. So they are shown in a sandbox,
whose scripts belong to no address: they cannot read what a browser keeps for this one, nor act with it.
"""

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from flask import Response, request
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from itsdangerous import BadData, URLSafeSerializer
from pydantic import BaseModel, Field
from werkzeug.wrappers import Response as AnyResponse

from app.inputs import Input, checked
from app.openapi import bare_answer, problems, raw_answer
from app.services import services
from tasks.core.clock import now
from tasks.core.errors import NotFound
from tasks.core.secret_key import secret_key
from tasks.publishing.bucket import Bucket
from tasks.publishing.bucket_site import BucketSite
from tasks.publishing.served import FolderSite, Served
from tasks.publishing.serving import SiteServer
from tasks.publishing.store.sites import target_of
from tasks.publishing.targets import open_bucket, target_named

bp = APIBlueprint("previews", __name__, abp_tags=[Tag(name="sites")])
MODELS: tuple[type[BaseModel], ...] = ()

# Longer ones are not ours; nothing is decoded for them.
_LONGEST = 1024
# Of each of the sites in a bucket that were looked at last.
_MEMORY_BYTES = 8 << 20
_HEADERS = {
    "Content-Security-Policy": "sandbox allow-downloads allow-forms allow-modals allow-popups "
    "allow-popups-to-escape-sandbox allow-scripts; frame-ancestors 'none'",
    # Fonts and modules are asked for by an address that is none. Who has the link may have them.
    "Access-Control-Allow-Origin": "*",
    # With another one, browsers refuse what a page in a sandbox opens.
    "Cross-Origin-Opener-Policy": "unsafe-none",
    "Cache-Control": "private, no-cache",
    "X-Robots-Tag": "noindex, nofollow",
}


@dataclass(frozen=True, slots=True)
class Shown:
    """What a link shows."""

    tenant_id: str
    site: str
    release: str


class PreviewPath(Input):
    """What to show."""

    token: str = Field(description="Of the link.")
    path: str = Field(description="A file of the release; a folder by its slash.")


class PreviewLinks:
    """Makes and reads links; stateless, so that any web process can read any other's."""

    def __init__(self, key: str) -> None:
        self._serializer = URLSafeSerializer(key, salt="switchyard.preview-link")

    def path(self, shown: Shown, *, until: datetime) -> str:
        """Return the path of a link on this server."""
        fields = [shown.tenant_id, shown.site, shown.release, int(until.timestamp())]
        return f"/previews/{self._serializer.dumps(fields)}/"

    def shown(self, token: str) -> Shown:
        """Return what the link shows.

        Raises:
            NotFound: it is none, or has expired.
        """
        try:
            if len(token) > _LONGEST:
                raise BadData("too long")
            *fields, until = self._serializer.loads(token)
            if until <= now().timestamp():
                raise BadData("expired")
            return Shown(*fields)
        except (BadData, ValueError, TypeError) as exc:
            raise NotFound("This link to a preview has expired, or is none: ask for another.") from exc


def preview_links() -> PreviewLinks:
    """Return the links of this deployment."""
    return PreviewLinks(secret_key(services().settings))


@bp.get(
    "/previews/<token>/<any_path:path>",
    responses={
        200: raw_answer("The file.", "*/*"),
        206: raw_answer("A part of it.", "*/*"),
        304: bare_answer("The client has it."),
        308: bare_answer("It is a folder.", headers=("Location",)),
        412: raw_answer("It is not the content that the client names.", "text/plain"),
        416: raw_answer("It has no such part.", "text/plain"),
        **problems(404, 422, 503),
    },
)
@checked
def read_preview(path: PreviewPath) -> AnyResponse:
    """Show a file of a release to whoever has the link."""
    shown = preview_links().shown(path.token)
    site = _site(shown, target_of(services().kernel.ledger, shown.tenant_id, shown.site, shown.release))
    if site.manifest(shown.release) is None:
        raise NotFound(f"Release {shown.release[:12]} of {shown.site} is no longer kept.")
    # As WSGI has paths: their bytes, each as a character.
    below = {"SCRIPT_NAME": f"/previews/{path.token}", "PATH_INFO": f"/{path.path}".encode().decode("latin-1")}
    answer = Response.from_app(SiteServer(site, release=shown.release), request.environ | below)
    answer.headers.update(_HEADERS)
    return answer


def _site(shown: Shown, target: str) -> Served:
    kernel = services().kernel
    found = target_named(kernel.settings, target, site=shown.site)
    if found.folder is not None:
        return FolderSite(found.folder / shown.tenant_id / shown.site)
    return _bucket_site(open_bucket(kernel, found), shown.tenant_id, shown.site)


@lru_cache(maxsize=8)
def _bucket_site(bucket: Bucket, tenant: str, site: str) -> BucketSite:
    """Remembers manifests and some contents; both are named by their hashes."""
    return BucketSite(bucket.below(tenant, site), site, memory_bytes=_MEMORY_BYTES)
