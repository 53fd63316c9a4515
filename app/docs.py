"""The OpenAPI document and a page to read and try it, without anything from elsewhere."""

import html
import json
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from flask import Blueprint, Response, send_file
from pydantic import BaseModel

from app.openapi import API, INFO, describe_api
from app.services import Services

# Scalar's script comes with the `flask-openapi3-scalar` package; it sets styles inline and fetches the document.
_PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; base-uri 'none'; frame-ancestors 'none'"
)
_PAGE_OPTIONS = {
    "withDefaultFonts": False,
    "telemetry": False,
    "hideClientButton": True,
    "showDeveloperTools": "never",
    "mcp": {"disabled": True},
    "agent": {"disabled": True},
}
_PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>{title}</title><link rel="icon" href="data:,"></head>
<body>
<script id="api-reference" data-url="/openapi/openapi.json" data-configuration="{options}"></script>
<script src="/docs/scalar.js"></script>
</body>
</html>
"""


def docs_blueprint(
    app: API, services: Services, *, models: Sequence[type[BaseModel]], requests: Sequence[type[BaseModel]] = ()
) -> Blueprint:
    """Make the blueprint; the document is made at the first request for it.

    Args:
        models: what the views answer with.
        requests: bodies that they read, besides submissions.
    """
    bp = Blueprint("docs", __name__)

    @cache
    def document() -> bytes:
        return describe_api(
            app,
            specs=services.specs,
            forms=services.forms,
            models=models,
            requests=requests,
            serves_streams=services.settings.serves_sse,
        )

    @bp.get("/openapi")
    @bp.get("/openapi/openapi.json")
    def read_document() -> Response:
        response = Response(document(), mimetype="application/json")
        response.headers["Cache-Control"] = "no-cache"
        return response

    @bp.get("/docs")
    def read_page() -> Response:
        options = html.escape(json.dumps(_PAGE_OPTIONS), quote=True)
        response = Response(_PAGE.format(title=INFO.title, options=options), mimetype="text/html")
        response.headers["Content-Security-Policy"] = _PAGE_POLICY
        return response

    @bp.get("/docs/scalar.js")
    def read_script() -> Response:
        return send_file(_script_path(), mimetype="text/javascript", conditional=True, max_age=86400)

    return bp


@cache
def _script_path() -> Path:
    spec = find_spec("flask_openapi3_scalar")
    assert spec is not None  # noqa: S101  # a dependency of ours
    assert spec.origin is not None  # noqa: S101  # it is a package with files
    return Path(spec.origin).parent / "templates" / "scalar" / "js" / "scalar.standalone.js"
