"""How a refusal is told: everything to the log, nothing to whoever asked."""

import structlog

from tasks.core.errors import EgressRefused

_log = structlog.get_logger()

# One sentence for every reason: a caller who could tell them apart could map the network we stand in.
_MESSAGE = "This address is not allowed. Use a public http or https address, or have the operator allow it by name."


def refuse(reason: str, **details: str | int) -> EgressRefused:
    """Log why a request was refused, with ``details``, and return the error that does not say why."""
    _log.warning("egress_refused", reason=reason, **details)
    return EgressRefused(_MESSAGE, field="url")


def without_secrets(url: str) -> str:
    """Return ``url`` fit for a log: no query, nothing that may be a password, at most 200 characters."""
    return url.partition("?")[0].partition("#")[0].rpartition("@")[2][:200]
