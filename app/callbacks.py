"""What a request may say of callbacks: where to, of what, signed with which secret."""

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field

from app.inputs import Input
from tasks.core.callbacks.records import LONGEST_URL, OwnCallback
from tasks.core.errors import EgressRefused, InputRejected
from tasks.core.setting_values import Environment
from tasks.core.settings import Settings

CallbackURL = Annotated[
    str,
    Field(
        max_length=LONGEST_URL,
        pattern=r"^https?://[^\s\x00-\x1f\x7f]+$",
        description="Where to send them: `https`, and in development `http`. Each try looks the host up anew and goes "
        "nowhere that jobs may not go.",
        examples=["https://hooks.example.com/switchyard"],
    ),
]
Secret = Annotated[
    str,
    Field(
        pattern=r"^whsec_(([A-Za-z0-9+/]{4}){8,21}([A-Za-z0-9+/]{2}==)?|([A-Za-z0-9+/]{4}){8,20}[A-Za-z0-9+/]{3}=)$",
        description="`whsec_` and the base64 of 24 to 64 random bytes.",
    ),
]
BatchEvent = Literal["batch.progressed", "batch.ended", "batch.*"]
JobEvent = Literal["job.started", "job.succeeded", "job.failed", "job.cancelled", "job.*"]
JobEvents = Annotated[list[JobEvent], Field(min_length=1, max_length=5)]
ENDS: list[JobEvent] = ["job.succeeded", "job.failed", "job.cancelled"]


class Callback(Input):
    """Where a job's events go."""

    url: CallbackURL
    events: JobEvents = Field(ENDS, description="Of which events; by default of its end, whatever that is.")
    secret: Secret | None = Field(
        None, description="Signs the deliveries; without it, `GET /api/webhooks/signing-secret` does."
    )


class BatchCallback(Input):
    """Where a batch's events go."""

    url: CallbackURL
    secret: Secret | None = Field(
        None, description="Signs the deliveries; without it, `GET /api/webhooks/signing-secret` does."
    )
    events: Annotated[list[BatchEvent], Field(min_length=1, max_length=3)] = Field(
        ["batch.ended"], description="Of which events; by default of its end, once."
    )


def own_callback(settings: Settings, asked: Callback | BatchCallback | None) -> OwnCallback | None:
    """Return what a request for a job or a batch says, checked.

    Raises:
        InputRejected: the URL leads where no request may go, or the secret is none.
    """
    if asked is None:
        return None
    check_url(settings, asked.url, field="callback.url")
    if asked.secret is not None:
        check_secret(asked.secret, field="callback.secret")
    return OwnCallback(asked.url, tuple(asked.events), asked.secret)


def check_url(settings: Settings, url: str, *, field: str = "url") -> None:
    """Refuse what could never be sent; the rest is found out at each try.

    Raises:
        InputRejected: the URL leads where no request may go.
    """
    from tasks.core.egress.guard import Guard  # noqa: PLC0415  # half a second, and rarely needed
    from tasks.core.egress.policy import EgressPolicy  # noqa: PLC0415  # as above

    policy = EgressPolicy.of(settings)
    try:
        target = Guard(policy).check(url)
    except EgressRefused as exc:
        raise InputRejected(
            "No request may go to this URL: use a public host, http or https, and a usual port.", field=field
        ) from exc
    is_plain = target.scheme != "https" and target.endpoint not in policy.allow
    if is_plain and settings.environment is Environment.PRODUCTION:
        raise InputRejected("Callbacks go over https here.", field=field)
    if urlsplit(url).username is not None or urlsplit(url).fragment:
        raise InputRejected("Leave user names, passwords and fragments out of it.", field=field)


def check_secret(text: str, *, field: str = "secret") -> str:
    """Return a secret that somebody chose.

    Raises:
        InputRejected: it is none.
    """
    from tasks.core.callbacks.signing import checked_secret  # noqa: PLC0415  # as above

    return checked_secret(text, field=field)
