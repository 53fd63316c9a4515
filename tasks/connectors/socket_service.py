"""How a service is spoken to over a WebSocket: what a tenant configures. Light to import, as the web loads it."""

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from tasks.connectors.service import CheckedHeaders, Pointer, Query, ShortName, Telling, check_path, check_template
from tasks.connectors.template import placeholders
from tasks.core.spec import Contract
from tasks.core.web_url import WebURL

_Frame = Annotated[Any, AfterValidator(check_template)]
_Matches = Annotated[
    dict[Pointer, Annotated[str, Field(max_length=1000)] | int | bool],
    Field(max_length=10),
    AfterValidator(check_template),
]
_OURS_ONLY = frozenset({"secret", "job"})
_GIVEN = _OURS_ONLY | {"input"}


class Probe(Contract):
    """A frame that asks how the service is, and what its answer looks like."""

    send: _Frame = Field(description="JSON; it can name secrets and the job only.")
    expect: Annotated[_Matches, Field(min_length=1)] = Field(
        description="What stands where in the frame that says that all is well, by JSON pointer."
    )


class WebSocketService(Telling):
    """A service that is sent a frame over a WebSocket, and tells of the work in frames."""

    type: Literal["websocket"]
    base_url: WebURL = Field(description="Where it is; of https becomes wss, of http ws.")
    path: Annotated[str, Field(pattern=r"^/[^\s#\\]*$", max_length=2000), AfterValidator(check_path)] = Field(
        "/", description="After `base_url`."
    )
    query: Query = Field(default_factory=dict)
    headers: CheckedHeaders = Field(default_factory=dict, description="Of the request that opens the socket.")
    opening: Annotated[tuple[_Frame, ...], Field(max_length=5)] = Field(
        (), description="Frames that are sent first on every connection, such as one that signs in."
    )
    request: _Frame = Field(description="The frame, JSON, that begins the work.")
    remote: Annotated[dict[ShortName, Pointer], Field(max_length=10)] = Field(
        default_factory=dict,
        description="What is kept of the service's frames, for `{{remote.NAME}}`: what it calls the work.",
    )
    resume: _Frame = Field(
        None,
        description="The frame that the next attempt sends in place of `request`, once `remote` is known; null: "
        "the service cannot go on with what was begun on another connection.",
    )
    cancel: _Frame = Field(None, description="The frame that ends the work; null: closing the socket has to do.")
    match: _Matches = Field(
        default_factory=dict,
        description="What stands where, by JSON pointer, in frames about this work; others are passed over.",
    )
    state: Pointer = Field("/type", description="Where a frame says how the work stands.")
    result: Pointer = Field(
        "", description="Where the frame that says `succeeded` has the answer; all of it by default."
    )
    pieces: Pointer | None = Field(None, description="Where frames have texts that, one after another, are the answer.")
    binary: Annotated[str, Field(pattern=r"^[a-z0-9.+-]+/[a-z0-9.+-]+$", max_length=100)] | None = Field(
        None, description="The media type of binary frames, which then, one after another, are the answer."
    )
    health: Probe | None = Field(None, description="Null: it is well where the socket opens.")
    timeout_s: float = Field(
        30.0, ge=0.1, le=120, allow_inf_nan=False, description="For opening, and for each sending."
    )
    silence_s: float = Field(
        120.0, ge=0.1, le=3600, allow_inf_nan=False, description="The longest time without a frame; pings are none."
    )
    max_frame_bytes: int = Field(2**20, ge=1, le=8 * 2**20)
    max_bytes: int = Field(8 * 2**20, ge=1, le=32 * 2**20, description="The most that all frames together may hold.")
    max_frames: int = Field(10_000, ge=1, le=1_000_000)
    if_unsure: Literal["submit_again", "fail"] = Field(
        "submit_again",
        description="What the next attempt does when a connection or a worker is lost after `request` was sent, and it "
        "cannot `resume`. A service that knows `{{job.key}}` again begins nothing twice.",
    )

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if "?" in self.base_url or "#" in self.base_url:
            raise ValueError("base_url must have no query and no fragment")
        if self.pieces is not None and self.binary is not None:
            raise ValueError("the answer comes in pieces or in binary frames, not in both")
        if self.resume is not None and not self.remote:
            raise ValueError("resume needs remote, which says what is gone on with")
        for name, (part, scopes) in self._parts().items():
            for scope, key in placeholders(part):
                if scope not in scopes:
                    raise ValueError(f"{name} cannot name {{{{{scope}.{key}}}}}: only {', '.join(sorted(scopes))}")
                if scope == "remote" and key not in self.remote:
                    raise ValueError(f"{name} cannot know {{{{remote.{key}}}}}: remote must name it")
                if scope == "job" and key not in {"id", "key"}:
                    raise ValueError(f"{{{{job.{key}}}}} is not known: there are {{{{job.id}}}} and {{{{job.key}}}}")
        return self

    def _parts(self) -> dict[str, tuple[object, frozenset[str]]]:
        """Return the templates by name, each with what it may name."""
        later = _GIVEN | {"remote"}
        health = None if self.health is None else [self.health.send, self.health.expect]
        return {
            "headers": (self.headers, _OURS_ONLY),
            "path": (self.path, _GIVEN),
            "query": (self.query, _GIVEN),
            "opening": (self.opening, _OURS_ONLY),
            "request": (self.request, _GIVEN),
            "resume": (self.resume, later),
            "cancel": (self.cancel, later),
            "match": (self.match, _GIVEN),
            "health": (health, _OURS_ONLY),
        }

    @property
    def address_needs_input(self) -> bool:
        """Whether it cannot be connected to without a job's input."""
        return any(scope == "input" for scope, _ in placeholders([self.path, self.query]))

    def secrets(self) -> set[str]:
        """Return the names of the secrets that the templates need."""
        parts = [part for part, _ in self._parts().values()]
        return {name.partition(".")[0] for scope, name in placeholders(parts) if scope == "secret"}
