"""Downloads by the thousand: GET over libcurl, each request judged as those of the other clients are.

A request costs a tenth of the processor time that it costs over httpx (docs/decisions/0067). Redirects are not
followed: whoever asks decides, and asks for the target anew.
"""

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

import httpx
import pycurl

from tasks.core.egress.answers import Answer, Wants
from tasks.core.egress.curl_errors import as_httpx
from tasks.core.egress.deadlines import Deadline
from tasks.core.egress.decoding import ACCEPTED_ENCODINGS
from tasks.core.egress.guard import Guard
from tasks.core.egress.judged_addresses import JudgedAddresses
from tasks.core.egress.lookups import Lookups
from tasks.core.egress.targets import Target
from tasks.core.egress.transfers import Transfer
from tasks.core.egress.translation import translated

# As long as a connection waits for its next request: whoever comes later may find another server there.
_LOOKUP_COUNTS_S = 5.0
# Enough for a name with both address families and one dead server in each; more would only spend the time limit.
_MAX_ADDRESSES_TRIED = 4
# Of all that was ever set; beyond it all are forgotten.
_MAX_COOKIE_BYTES = 256 * 1024


class Downloads:
    """Belongs to one event loop; use as ``async with``. Cookies that servers set are sent back to them.

    HTTP/2 where the server offers it in the TLS handshake, else HTTP/1.1; connections are used again.
    """

    def __init__(self, guard: Guard, lookups: Lookups, *, max_connections: int) -> None:
        self._guard = guard
        self._lookups = lookups
        self._most_idle = max_connections
        self._idle: list[Transfer] = []
        self._judged = JudgedAddresses(
            counts_s=_LOOKUP_COUNTS_S, kept_s=_LOOKUP_COUNTS_S + guard.policy.total_timeout_s
        )
        self._cookie_bytes = 0
        self._share = pycurl.CurlShare()
        self._share.setopt(pycurl.SH_SHARE, pycurl.LOCK_DATA_COOKIE)
        self._multi = pycurl.AsyncCurlMulti()
        self._multi.setopt(pycurl.M_MAX_TOTAL_CONNECTIONS, max_connections)
        self._multi.setopt(pycurl.M_MAXCONNECTS, max_connections)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._multi.aclose()
        while self._idle:
            self._idle.pop().close()
        self._share.close()

    async def get(self, url: str, headers: Mapping[str, str], *, wants: Wants) -> Answer:
        """Return the answer, whatever its status; of its body as much as ``wants`` says.

        Args:
            headers: beside those that say who asks (unless they do) and which encodings are understood.
            wants: is told the head once it has come, and says how many bytes to read; if it is 0, none is waited for.
        Raises:
            EgressRefused: the address is not allowed.
            TooLarge: the body is larger than the policy's ``max_bytes``, or announces to be.
            Transient: the time of the whole request is used up.
            httpx.TransportError: the connection failed, or what came over it is no answer.
            httpx.InvalidURL: the host's name has a character that libcurl takes for none of a name.
            httpx.DecodingError: the body's encoding is broken, or none that was asked for.
        """
        policy = self._guard.policy
        deadline = Deadline.after(policy.total_timeout_s)
        target = self._guard.check(url)
        addresses = await self._addresses(target, deadline)
        deadline.demand()
        said = {"User-Agent": policy.user_agent, **headers, "Accept-Encoding": ACCEPTED_ENCODINGS}
        transfer = self._idle.pop() if self._idle else Transfer(policy, share=self._share)
        is_reusable = False
        try:
            self._bound_cookies(transfer)
            transfer.prepare(
                target,
                addresses,
                said,
                is_judged=lambda address: self._judged.holds((target.host, target.port), address),
                wants=wants,
                timeout_s=deadline.remaining_s,
            )
            answer = await self._perform(transfer, target, deadline)
            is_reusable = True
        finally:
            if is_reusable and len(self._idle) < self._most_idle:
                self._idle.append(transfer)
            else:
                transfer.close()
        return answer

    async def _perform(self, transfer: Transfer, target: Target, deadline: Deadline) -> Answer:
        cause: pycurl.error | None = None
        try:
            await self._multi.perform(transfer.curl)
        except pycurl.error as exc:
            cause = exc
        finally:
            self._cookie_bytes += transfer.cookie_bytes
        if transfer.failure is not None:
            raise transfer.failure from (transfer.failure.__cause__ or cause)
        if cause is not None and not transfer.is_stopped and not _has_hung_up_rudely(cause, transfer):
            if cause.args[0] == pycurl.E_OPERATION_TIMEDOUT:
                deadline.demand()
            is_connected = transfer.curl.getinfo(pycurl.CONNECT_TIME) > 0
            raise as_httpx(cause.args[0], host=target.host, is_connected=is_connected) from cause
        return transfer.answer()

    async def _addresses(self, target: Target, deadline: Deadline) -> Sequence[str]:
        """Return the target's addresses, every one of them judged; looked up anew after some seconds."""
        if target.ip is not None:
            return [target.host]
        place = (target.host, target.port)
        answers = self._judged.current(place)
        if not answers:
            limit_s = min(self._guard.policy.connect_timeout_s, deadline.remaining_s)
            with translated(deadline):
                found = await self._lookups.resolve_async(target.host, target.port, timeout_s=limit_s)
            answers = self._guard.check_answers(target.host, target.port, found)[:_MAX_ADDRESSES_TRIED]
            if not answers:
                raise httpx.ConnectError(f"The name {target.host} has no address.")
            self._judged.keep(place, answers)
        return answers

    def _bound_cookies(self, transfer: Transfer) -> None:
        """Have all cookies forgotten, through a handle that is not under way, once there are too many."""
        if self._cookie_bytes > _MAX_COOKIE_BYTES:
            transfer.curl.setopt(pycurl.COOKIELIST, "ALL")
            self._cookie_bytes = 0


def _has_hung_up_rudely(cause: pycurl.error, transfer: Transfer) -> bool:
    """Whether a server has ended a body of no announced length, and TLS without its last word; many do."""
    code, says = cause.args
    return code == pycurl.E_RECV_ERROR and "unexpected eof" in says and transfer.is_ended_by_hanging_up
