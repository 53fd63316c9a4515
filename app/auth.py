"""Who asks: a bearer key names a tenant, before any view under ``/api`` runs."""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from flask import Flask, current_app, g, request

from app.credentials import brings_its_own
from app.services import Services
from tasks.core.errors import ConfigurationRefused, Conflict, NotAuthenticated
from tasks.core.ledger import Ledger, tenants
from tasks.core.ledger.audit import Actor
from tasks.core.ledger.tenants import Tenant
from tasks.core.setting_values import Environment
from tasks.core.settings import Settings
from tasks.core.urls import is_loopback

View = TypeVar("View", bound=Callable[..., Any])

DEV_TENANT = "development"
"""Whose key a development server on loopback makes for itself."""
_DEV_KEY_NAME = "development"


def register_authentication(app: Flask, services: Services) -> None:
    """Ask for a key before every view under ``/api``, but those that sign in themselves."""

    def authenticate() -> None:
        if not request.path.startswith("/api/") or request.method == "OPTIONS":
            return
        view = current_app.view_functions.get(request.endpoint or "")
        if not brings_its_own(view):
            g.tenant = bearer_tenant(services)

    app.before_request(authenticate)


def bearer_tenant(services: Services) -> Tenant:
    """Return the tenant whose key this request carries.

    Raises:
        NotAuthenticated: it carries none, or none that is live.
    """
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        raise NotAuthenticated("No API key was sent: add the header `Authorization: Bearer <key>`.")
    tenant = services.keyring.tenant_of(key.strip())
    if tenant is None:
        raise NotAuthenticated("This API key is not known, or was revoked.")
    return tenant


def tenant_id() -> str:
    """Return the id of the tenant that asks."""
    tenant: Tenant = g.tenant
    return tenant.id


def actor() -> Actor:
    """Return who asks, for the book of changes: the id of the key."""
    tenant: Tenant = g.tenant
    return Actor(tenant.key_id or "unknown key")


def ensure_key(settings: Settings, ledger: Ledger) -> str | None:
    """Make sure that somebody can sign in; return the development key if there is one to print.

    Raises:
        ConfigurationRefused: nobody could, and this is no development server on loopback.
    """
    live = [key for key in tenants.list_keys(ledger) if key.revoked_at is None]
    is_ours = settings.environment is Environment.DEVELOPMENT and is_loopback(settings.host)
    if not is_ours:
        if all(key.name == _DEV_KEY_NAME for key in live):
            raise ConfigurationRefused(
                "There is no API key: make one with `python -m app keys create --tenant NAME --name NAME`."
            )
        return None
    path = settings.state_dir / "dev-key"
    kept = path.read_text().strip() if path.is_file() else None
    if kept is not None and tenants.tenant_of(ledger, kept) is not None:
        return kept
    if live:
        return None
    return _make_dev_key(ledger, path, kept)


def _make_dev_key(ledger: Ledger, path: Path, kept: str | None) -> str:
    key = kept
    with contextlib.suppress(Conflict):  # a kept key that was revoked stays so
        key = tenants.create_key(ledger, tenant=DEV_TENANT, name=_DEV_KEY_NAME, key=kept)
        _write_private(path, key)
        return key
    key = tenants.create_key(ledger, tenant=DEV_TENANT, name=_DEV_KEY_NAME)
    _write_private(path, key)
    return key


def _write_private(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        out.write(text + "\n")
