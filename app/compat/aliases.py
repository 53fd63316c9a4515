"""A blueprint whose paths stand for others: each answer says that it is deprecated and which path comes after it."""

from collections.abc import Callable
from urllib.parse import quote

from flask import Response, g, request
from flask.typing import ResponseReturnValue
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from flask_openapi3.types import ResponseDict

from app.auth import bearer_tenant
from app.credentials import signs_in_itself
from app.inputs import checked
from app.openapi import SECURITY
from app.relaying import aside_if_large
from app.services import Services, services
from tasks.core.errors import NotAuthenticated
from tasks.core.ledger.tenants import Tenant

# RFC 9745: the moment since which the paths are deprecated, 2026-11-22, when they came.
DEPRECATED = "@1795305600"

View = Callable[..., ResponseReturnValue]


def tenant_by(at: Services, *, header: str, parameter: str) -> Tenant:
    """Return the tenant whose key this request carries: as ours, in this header, or in this parameter.

    Raises:
        NotAuthenticated: it carries none, or none that is live.
    """
    if "Authorization" in request.headers:
        return bearer_tenant(at)
    key = request.headers.get(header) or request.args.get(parameter, "")
    if not key.strip():
        raise NotAuthenticated(f"No API key was sent: add the header `{header}: <key>`.")
    tenant = at.keyring.tenant_of(key.strip())
    if tenant is None:
        raise NotAuthenticated("This API key is not known, or was revoked.")
    return tenant


class Aliases:
    """Makes a dialect's blueprint. Keys come as our header, or as the dialect's own header or parameter.

    Args:
        tag: what its operations are filed under.
        key_header, key_parameter: where the dialect's clients put an API key.
    """

    def __init__(self, name: str, *, tag: str, key_header: str, key_parameter: str) -> None:
        self.blueprint = APIBlueprint(name, __name__, abp_tags=[Tag(name=tag)], abp_security=SECURITY)
        self._key_header = key_header
        self._key_parameter = key_parameter
        self._successors: dict[str, str] = {}
        self.blueprint.before_request(self._sign_in)
        self.blueprint.after_request(self._point_onward)

    def route(self, method: str, rule: str, *, successor: str, responses: ResponseDict) -> Callable[[View], View]:
        """Serve a view at ``rule``; ``successor`` is the path to use instead, with the rule's variables in braces."""

        def add(view: View) -> View:
            self._successors[view.__name__] = successor
            register = getattr(self.blueprint, method.lower())
            registered: View = register(rule, responses=responses, deprecated=True)(
                signs_in_itself(aside_if_large(checked(view)))
            )
            return registered

        return add

    def tenant_of_request(self, at: Services) -> Tenant:
        """Return the tenant whose key this request carries, in the order header, parameter.

        Raises:
            NotAuthenticated: it carries none, or none that is live.
        """
        return tenant_by(at, header=self._key_header, parameter=self._key_parameter)

    def _sign_in(self) -> None:
        if request.method != "OPTIONS" and not request.path.startswith("/ws/"):
            g.tenant = self.tenant_of_request(services())

    def _point_onward(self, response: Response) -> Response:
        name = (request.endpoint or "").rpartition(".")[2]
        successor = self._successors.get(name)
        if successor is not None:
            values = {name: quote(str(value), safe="") for name, value in (request.view_args or {}).items()}
            response.headers["Deprecation"] = DEPRECATED
            response.headers["Link"] = f'<{successor.format(**values)}>; rel="successor-version"'
        return response
