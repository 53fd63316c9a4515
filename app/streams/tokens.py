"""Short-lived tokens for one job's streams: browsers' ``EventSource`` and ``WebSocket`` cannot send an API key."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from itsdangerous import BadData, URLSafeTimedSerializer

from tasks.core.clock import now
from tasks.core.errors import NotAuthenticated

# Longer ones are not ours; nothing is decoded for them.
_LONGEST = 512


@dataclass(frozen=True, slots=True)
class StreamToken:
    """A token, and when it stops working."""

    token: str
    expires_at: datetime


class StreamTokens:
    """Makes and checks tokens; stateless, so that any web process can check any other's."""

    def __init__(self, key: str, *, ttl_s: int) -> None:
        self._serializer = URLSafeTimedSerializer(key, salt="switchyard.stream-token")
        self._ttl_s = ttl_s

    def issue(self, job_id: str, *, tenant_id: str) -> StreamToken:
        """Return a token that opens the streams of this job for this tenant."""
        token = self._serializer.dumps([job_id, tenant_id])
        return StreamToken(str(token), now() + timedelta(seconds=self._ttl_s))

    def tenant_of(self, token: str, *, job_id: str) -> str:
        """Return the id of the tenant that the token speaks for.

        Raises:
            NotAuthenticated: the token is no good for this job.
        """
        try:
            if len(token) > _LONGEST:
                raise BadData("too long")
            for_job, tenant_id = self._serializer.loads(token, max_age=self._ttl_s)
        except (BadData, ValueError, TypeError) as exc:
            raise NotAuthenticated("The stream token is not valid or has expired: ask for another.") from exc
        if for_job != job_id:
            raise NotAuthenticated("The stream token is for another job: ask for one for this job.")
        return str(tenant_id)
