"""How a service is spoken to: what a tenant configures. Light to import: the web process loads this."""

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from tasks.connectors.template import placeholders
from tasks.core.spec import Contract
from tasks.core.web_url import WebURL

# Of a header or a query: names are tokens (RFC 9110, 5.6.2), values are filled and checked when they are sent.
HeaderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}$")]
ShortName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,60}$")]
Pointer = Annotated[
    str,
    Field(pattern=r"^(/([^~/]|~[01])*)*$", max_length=500, description="A JSON pointer (RFC 6901), such as `/job/id`."),
]
Word = Annotated[str, Field(min_length=1, max_length=100)]
_Text = Annotated[str, Field(max_length=10_000)]

# Headers that say who calls, or that the connection writes itself.
_TELLING = frozenset({"authorization", "proxy-authorization", "cookie"})
_OURS = frozenset({"host", "content-length", "transfer-encoding", "connection", "accept-encoding", "upgrade"})


def _check_headers(headers: dict[str, str]) -> dict[str, str]:
    for name, template in headers.items():
        found = placeholders(template)
        if name.lower() in _OURS:
            raise ValueError(f"{name} is written by the connection itself")
        if name.lower() in _TELLING and not any(scope == "secret" for scope, _ in found):
            raise ValueError(f"{name} must come from a secret: write {{{{secret.NAME}}}} and give it in `secrets`")
    return headers


def check_template(template: Any) -> Any:
    """Return a template whose placeholders are written as they must be.

    Raises:
        ValueError: one is not.
    """
    placeholders(template)
    return template


CheckedHeaders = Annotated[dict[HeaderName, _Text], Field(max_length=50), AfterValidator(_check_headers)]
Query = Annotated[dict[Word, _Text], Field(max_length=50), AfterValidator(check_template)]


def check_path(path: str) -> str:
    """Return a path without secrets.

    Raises:
        ValueError: it names one.
    """
    if any(scope == "secret" for scope, _ in placeholders(path)):
        raise ValueError("a secret must not be part of a path, which logs everywhere show: use a header")
    return path


class Call(Contract):
    """One request to the service, as a template."""

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "GET"
    path: Annotated[
        str,
        Field(pattern=r"^(/[^\s#\\]*|\{\{ ?remote\.[A-Za-z0-9_-]+ ?\}\})$", max_length=2000),
        AfterValidator(check_path),
    ] = Field(
        description="After `base_url`; or one `{{remote.NAME}}` that holds an address the service gave, of its own."
    )
    headers: CheckedHeaders = Field(default_factory=dict)
    query: Query = Field(default_factory=dict)
    body: Annotated[Any, AfterValidator(check_template)] = Field(
        None, description="JSON that is sent; null: none. A text that is one placeholder becomes the value itself."
    )

    @property
    def parts(self) -> list[object]:
        """All that placeholders may stand in."""
        return [self.path, self.headers, self.query, self.body]


class Telling(Contract):
    """Where a service's documents say how far its work is."""

    state: Pointer = Field("/status", description="Where the answer to `status` says how the work stands.")
    succeeded: Annotated[tuple[Word, ...], Field(min_length=1, max_length=20)] = ("succeeded", "completed", "done")
    failed: Annotated[tuple[Word, ...], Field(max_length=20)] = ("failed", "error", "cancelled")
    progress: Pointer | None = Field(None, description="Where it says how far the work is: a number.")
    progress_of: float = Field(100, gt=0, le=1e12, allow_inf_nan=False, description="That number when all is done.")
    message: Pointer | None = Field(None, description="Where it says something to read about progress or a failure.")


class Polling(Telling):
    """How a submitted piece of work is followed."""

    remote: Annotated[dict[ShortName, Pointer], Field(min_length=1, max_length=10)] = Field(
        description="What is kept of the submission's answer, for `{{remote.NAME}}`: the service's id of the work."
    )
    status: Call
    result: Call | None = Field(None, description="Null: the last answer to `status` is the result.")
    cancel: Call | None = Field(None, description="Null: the service cannot be told.")
    interval_s: float = Field(2.0, ge=0.1, le=300, allow_inf_nan=False)
    if_unsure: Literal["submit_again", "fail"] = Field(
        "submit_again",
        description="What happens when a worker dies between sending the submission and keeping its answer. A service "
        "that honours `Idempotency-Key`, which is the job's id, begins nothing twice.",
    )


class HTTPService(Contract):
    """A service that is called over HTTP: once, or submitted to and polled."""

    type: Literal["http"] = "http"
    base_url: WebURL = Field(description="Where every path of this configuration begins.")
    headers: CheckedHeaders = Field(default_factory=dict, description="Sent with every call.")
    request: Call = Field(description="The call; with `poll`, the one that submits.")
    poll: Polling | None = Field(None, description="Null: the answer to `request` is the result.")
    health: Call | None = Field(None, description="Answered with 2xx while the service is well.")
    timeout_s: float = Field(30.0, ge=0.1, le=120, allow_inf_nan=False, description="For each call as a whole.")
    max_bytes: int = Field(8 * 2**20, ge=1, le=32 * 2**20, description="The most that one answer may hold.")

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if "?" in self.base_url or "#" in self.base_url:
            raise ValueError("base_url must have no query and no fragment")
        known = set(self.poll.remote) if self.poll else set()
        for name, call in self._calls().items():
            for scope, key in placeholders(call.parts):
                if scope == "remote" and not (name.startswith("poll.") and key in known):
                    raise ValueError(f"{name} cannot know {{{{remote.{key}}}}}: poll.remote must name it")
                if scope == "input" and name == "health":
                    raise ValueError("health is asked without an input")
                if scope == "job" and key != "id":
                    raise ValueError(f"{{{{job.{key}}}}} is not known: there is {{{{job.id}}}}")
        if any(scope in {"input", "remote"} for scope, _ in placeholders(self.headers)):
            raise ValueError("headers of every call can name secrets and {{job.id}} only")
        return self

    def _calls(self) -> dict[str, Call]:
        poll = self.poll
        calls = {"request": self.request, "health": self.health}
        if poll is not None:
            calls |= {"poll.status": poll.status, "poll.result": poll.result, "poll.cancel": poll.cancel}
        return {name: call for name, call in calls.items() if call is not None}

    def secrets(self) -> set[str]:
        """Return the names of the secrets that the templates need."""
        parts = [self.headers, *(call.parts for call in self._calls().values())]
        return {name.partition(".")[0] for scope, name in placeholders(parts) if scope == "secret"}
