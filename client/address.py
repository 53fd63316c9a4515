"""Which server, with which key."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from client.errors import ConfigurationRefused

DEFAULT_URL = "http://127.0.0.1:8000"

# What `make up` leaves in the checkout, so that a developer's shell needs no exports.
LOCAL_FILE = Path("var/up.json")


@dataclass(frozen=True, slots=True)
class Address:
    """A server's base address, without a slash at the end, and the API key for it."""

    url: str
    api_key: str | None = field(default=None, repr=False)

    @property
    def headers(self) -> dict[str, str]:
        """What every request carries."""
        return {"authorization": f"Bearer {self.api_key}"} if self.api_key else {}

    @property
    def socket_url(self) -> str:
        """The same address for WebSockets."""
        return "ws" + self.url.removeprefix("http")


def resolve(
    url: str | None = None,
    api_key: str | None = None,
    *,
    environ: Mapping[str, str] = os.environ,
    directory: Path | None = None,
) -> Address:
    """Find the address: what is given, else ``SWITCHYARD_URL`` and ``SWITCHYARD_API_KEY``, else a local server's file.

    ``var/up.json`` (``{"url", "api_key"}``) is read only when neither an address nor a key is set anywhere: its key
    never travels to another server.

    Raises:
        ConfigurationRefused: the address is not an http(s) URL, or the file is not readable.
    """
    url, api_key = url or environ.get("SWITCHYARD_URL"), api_key or environ.get("SWITCHYARD_API_KEY")
    if not url and not api_key:
        local = _local((directory or Path.cwd()) / LOCAL_FILE)
        url, api_key = local.get("url"), local.get("api_key")
    return Address(_checked(url or DEFAULT_URL), api_key or None)


def _local(path: Path) -> dict[str, Any]:
    try:
        parsed = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as exc:
        raise ConfigurationRefused(f"{path}: not readable as JSON; run `make up` again or remove it") from exc
    if not isinstance(parsed, dict):
        raise ConfigurationRefused(f"{path}: expected an object with url and api_key")
    return parsed


def _checked(url: str) -> str:
    try:
        parts = httpx.URL(url)
    except httpx.InvalidURL as exc:
        raise ConfigurationRefused(f"address {url!r}: {exc}") from exc
    if parts.scheme not in ("http", "https") or not parts.host:
        raise ConfigurationRefused(f"address {url!r}: expected something like {DEFAULT_URL}")
    if parts.query or parts.fragment or parts.userinfo:
        raise ConfigurationRefused("address: leave out credentials, query and fragment; the key goes by itself")
    return url.rstrip("/")
