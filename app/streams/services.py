"""What the stream views need of the application around them."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from flask import request

from app.streams.cursor import Cursor
from app.streams.feed import Bell
from app.streams.hub import Hub
from app.streams.snapshots import Snapshots
from app.streams.subscription import Subscription, subscribe
from app.streams.tokens import StreamTokens
from tasks.core.errors import NotFound
from tasks.core.kernel import Kernel
from tasks.core.ledger import queries
from tasks.core.ledger.tenants import Tenant
from tasks.core.records import Job


@dataclass(frozen=True, slots=True)
class StreamServices:
    """The seam: the application fills this in.

    Args:
        tenant_of_request: says whose API key the current request carries; raises ``NotAuthenticated``.
        record_of: makes the JSON-ready record for snapshots; called outside of any request, too.
        counted: counts a stream of a transport (``sse``, ``websocket``) as open for as long as the block lasts.
    """

    kernel: Kernel
    hub: Hub
    tokens: StreamTokens
    tenant_of_request: Callable[[], Tenant]
    record_of: Callable[[Job], dict[str, Any]]
    counted: Callable[[str], AbstractContextManager[object]]

    def visible_job(self, job_id: str, *, tenant_id: str) -> Job:
        """Return the tenant's job.

        Raises:
            NotFound: there is none.
        """
        job = queries.job(self.kernel.ledger, job_id, tenant_id=tenant_id)
        if job is None:
            raise NotFound(f"No job {job_id}.")
        return job

    def viewer_of(self, job_id: str) -> str:
        """Return the id of the tenant that asks for this job's stream, by ``?token=`` or by API key.

        Raises:
            NotAuthenticated: neither is good.
        """
        token = request.args.get("token")
        if token is not None:
            return self.tokens.tenant_of(token, job_id=job_id)
        return self.tenant_of_request().id

    def subscribe(self, job: Job, *, after: Cursor | None, bell: Bell | None = None) -> Subscription | None:
        """Return a new viewer of the job; None when it resumes from the terminal event. See ``subscribe``."""
        return subscribe(self.hub, Snapshots(self.kernel.ledger, self.record_of), job, after=after, bell=bell)
