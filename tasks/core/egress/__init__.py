"""The egress guard: which targets an outgoing request may have."""

from tasks.core.egress.addresses import embedded_ipv4, is_denied
from tasks.core.egress.policy import EgressPolicy, Limits
from tasks.core.egress.targets import Target, normalize_url, parse_url

__all__ = ["EgressPolicy", "Limits", "Target", "embedded_ipv4", "is_denied", "normalize_url", "parse_url"]
