"""The judgement itself: which target, and which of its addresses, a policy lets through."""

from collections.abc import Sequence
from dataclasses import dataclass

import httpx

from tasks.core.egress.addresses import is_denied
from tasks.core.egress.policy import EgressPolicy
from tasks.core.egress.refusals import refuse
from tasks.core.egress.targets import Target, endpoint, parse_url


@dataclass(frozen=True, slots=True)
class Guard:
    """Applies one policy."""

    policy: EgressPolicy

    def check(self, url: str) -> Target:
        """Return what ``url`` points at, judged as far as that is possible without looking its name up.

        Raises:
            EgressRefused: the URL, its port or its literal address is not allowed.
        """
        target = parse_url(url, allow=self.policy.allow)
        if target.endpoint in self.policy.allow:
            return target
        if target.port not in self.policy.allowed_ports:
            raise refuse("port is not allowed", host=target.host, port=target.port)
        if target.ip is not None and (reason := is_denied(target.ip)) is not None:
            raise refuse(reason, host=target.host, port=target.port)
        return target

    def check_hop(self, url: httpx.URL) -> Target:
        """Do what ``check`` does, for a URL that httpx read first: both must read the same host and port.

        Raises:
            EgressRefused: as ``check``, or the two readings differ.
        """
        target = self.check(str(url))
        port = url.port or (443 if url.scheme == "https" else 80)
        if (url.scheme, url.raw_host.decode("ascii"), port) != (target.scheme, target.host, target.port):
            raise refuse("two readings of one URL", host=target.host, port=target.port)
        return target

    def check_answers(self, host: str, port: int, answers: Sequence[str]) -> Sequence[str]:
        """Return ``answers``, the addresses of ``host``, if every one of them may be connected to.

        One denied answer condemns them all: a name that mixes public and private addresses is either an attack or a
        private service.

        Raises:
            EgressRefused: an address is denied, or is no address at all.
        """
        if endpoint(host, port) in self.policy.allow:
            return answers
        for address in answers:
            if (reason := _denied_answer(address)) is not None:
                raise refuse(reason, host=host, port=port, address=address)
        return answers


def _denied_answer(address: str) -> str | None:
    try:
        return is_denied(address)
    except ValueError:
        return "answer is not an address"
