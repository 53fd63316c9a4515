"""What settings may be: their enumerations, and checks of single values."""

from enum import StrEnum
from urllib.parse import parse_qs, urlsplit, urlunsplit

from tasks.core.urls import mask_password

# A label of a worker.
LABEL = r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,62}$"


class Environment(StrEnum):
    """Where this process runs. ``production`` refuses every default that is only safe on one's own machine."""

    DEVELOPMENT = "development"
    PRODUCTION = "production"


class RBridge(StrEnum):
    """How workers run R: inside the pool child, or as a process for each job."""

    RPY2 = "rpy2"
    RSCRIPT = "rscript"


class Profile(StrEnum):
    """Which parts of the house there are."""

    LOCAL = "local"
    """No Redis: the local runner takes jobs straight from the ledger, and live events are kept there."""
    API = "api"
    """Celery on Redis; clients poll, and no streams are served."""
    DASHBOARD = "dashboard"
    """Everything."""


class LogFormat(StrEnum):
    """How log lines look on stdout."""

    JSON = "json"
    CONSOLE = "console"


def split_list(value: object) -> object:
    """Take ``a, b`` apart; what is no string stays."""
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def known_redis_scheme(url: str) -> str:
    """Refuse with ValueError what is no Redis URL; return it so that TLS is verified unless it says otherwise.

    Redis' own client demands a certificate that it can check; Kombu 5.7 takes any where the address says nothing.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"redis", "rediss"}:
        raise ValueError(f"must start with redis:// or rediss://, got {mask_password(url)!r}")
    if parts.scheme == "redis" or "ssl_cert_reqs" in parse_qs(parts.query):
        return url
    return urlunsplit(parts._replace(query="&".join(filter(None, [parts.query, "ssl_cert_reqs=required"]))))


def known_ledger_scheme(url: str) -> str:
    """Refuse with ValueError what is neither an SQLite file nor PostgreSQL."""
    scheme = urlsplit(url).scheme
    if scheme not in {"sqlite", "postgresql", "postgresql+psycopg"}:
        raise ValueError(f"must start with sqlite:/// or postgresql://, got {mask_password(url)!r}")
    if scheme == "sqlite" and (":memory:" in url or not urlsplit(url).path.strip("/")):
        raise ValueError("must name a file: several processes share the ledger")
    return url


def is_host_port(entry: str) -> bool:
    """Whether this is ``host:port``."""
    host, colon, port = entry.rpartition(":")
    return bool(host and colon and port.isdecimal() and 0 < int(port) < 65536)
