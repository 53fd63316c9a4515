"""A tool: one function of a website, described so that a program can call it.

Sources make tools, runs use them, the store keeps them. The public shape is an MCP tool (Model Context Protocol,
revision 2025-06-18); ``call`` says how to carry it out.
"""

from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

TOOL_NAME = r"^[A-Za-z0-9_-]{1,100}$"
MAX_DESCRIPTION_CHARS = 500

ToolName = Annotated[str, Field(pattern=TOOL_NAME)]
JSONSchema = dict[str, Any]


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Source(StrEnum):
    """Where a tool was found, cheapest and surest first."""

    WEBMCP = "webmcp"
    OPENAPI = "openapi"
    OPENSEARCH = "opensearch"
    SCHEMA_ORG = "schema_org"
    FORM = "form"
    PAGINATION = "pagination"
    SORT = "sort"
    FILTER = "filter"
    ITEM = "item"
    LIST = "list"
    XHR = "xhr"
    GRAPHQL = "graphql"
    STEPS = "steps"


class Effect(StrEnum):
    """What a run does to the site.

    ``read``: nothing. ``write``: adds or sends something. ``destroy``: deletes, or changes an account or its
    credentials;
    never executed while discovering.
    """

    READ = "read"
    WRITE = "write"
    DESTROY = "destroy"


class Place(StrEnum):
    """Where an input of an HTTP request goes."""

    PATH = "path"
    QUERY = "query"
    HEADER = "header"
    COOKIE = "cookie"
    # A member of the JSON object that is the body; ``pointer`` says which (RFC 6901).
    JSON = "json"
    # A field of a form-encoded or multipart body.
    FORM = "form"
    # The whole body.
    BODY = "body"


def _tell_kind(schema: dict[str, Any]) -> None:
    """Say that ``kind``, by which calls are told apart, has to be sent."""
    schema["required"] = ["kind", *schema.get("required", ())]


class _Call(_Value):
    model_config = ConfigDict(json_schema_extra=_tell_kind)


class Slot(_Value):
    """Where one input of a ``RequestCall`` goes.

    ``style`` and ``explode`` are those of OpenAPI 3.1 for arrays and objects. ``name`` is the parameter's own name,
    which may
    differ from the input's; ``pointer`` is its place in a JSON body. ``media_type`` is that of a part of a form, where
    the description says one.
    """

    input: str
    place: Place
    name: str = ""
    pointer: str = ""
    style: str = ""
    explode: bool = True
    media_type: str = ""


class RequestCall(_Call):
    """An HTTP request that needs no page: ``url`` is absolute, its path may hold ``{name}`` for slots of the path.

    ``query`` and ``headers`` are fixed parts that are always sent; ``body`` is the fixed part of a JSON body, into
    which slots
    are put by pointer. ``media_type`` is that of the body, empty for none.
    """

    kind: Literal["request"] = "request"
    method: str = "GET"
    url: str
    query: tuple[tuple[str, str], ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    slots: tuple[Slot, ...] = ()
    body: Any = None
    media_type: str = ""


class FormField(_Value):
    """One control of a form, in the order of the document, as HTML's form submission algorithm meets it.

    ``input`` names the property of the input schema that sets it; empty for what the caller does not set, whose
    ``value`` is
    sent as the page has it. ``is_token``: read anew from the page before each run. ``type`` is the control's
    (``page.Control.type``); ``value`` of a checkbox or radio is what it sends when it is on. ``selectors`` are ranked.
    ``options`` are the values of a select's enabled options in the order of the document, ``chosen`` those that a
    select-multiple comes with. ``dirname`` is the attribute of that name. The button that sends the form stands among
    the fields too, in its place, with the type ``submit`` or ``image``.
    """

    name: str
    type: str
    input: str = ""
    value: str = ""
    is_checked: bool = False
    is_token: bool = False
    is_disabled: bool = False
    options: tuple[str, ...] = ()
    chosen: tuple[str, ...] = ()
    dirname: str = ""
    selectors: tuple[str, ...] = ()


class FormCall(_Call):
    """A form on a page: filled in, and sent by one of its buttons (or by none).

    ``url``, ``method`` and ``enctype`` are what sending it ends in, the button's overrides included. ``charset`` is
    the page's.
    ``selectors`` find the form, ``submit_selectors`` the button, best first; ``frame_url`` is set where it is in a
    frame.
    ``is_plain``: evidence says that a plain HTTP request is equal to what the browser sends. ``needs_page``: a plain
    run reads the page first, because it sets a cookie. Where the form is on a page of each of many things, ``page_url``
    and ``url`` hold ``{name}`` for the input that says which; such a form is sent by a browser.
    """

    kind: Literal["form"] = "form"
    page_url: str
    url: str
    method: str = "GET"
    enctype: str = "application/x-www-form-urlencoded"
    charset: str = "UTF-8"
    fields: tuple[FormField, ...] = ()
    submit_name: str = ""
    submit_value: str = ""
    selectors: tuple[str, ...] = ()
    submit_selectors: tuple[str, ...] = ()
    frame_url: str = ""
    is_plain: bool = False
    needs_page: bool = False


class PageToolCall(_Call):
    """A tool that the page itself registers (WebMCP): called in a browser that has ``page_url`` open."""

    kind: Literal["page_tool"] = "page_tool"
    page_url: str
    tool_name: str


class Step(_Value):
    """One act in a browser.

    ``text`` may hold ``{input}`` placeholders: the address of ``navigate``, what ``input`` types, what ``select``
    chooses, the name of ``key``. ``selectors`` are ranked; ``click``, ``input`` and ``select`` need some. ``timeout_s``
    bounds the step.
    """

    act: Literal["navigate", "click", "input", "select", "key", "scroll", "wait", "extract"]
    text: str = ""
    selectors: tuple[str, ...] = ()
    timeout_s: float = Field(10.0, gt=0, le=60)

    @model_validator(mode="after")
    def _has_what_it_needs(self) -> Self:
        if self.act in {"click", "input", "select"} and not self.selectors:
            raise ValueError(f"{self.act} needs selectors")
        if self.act in {"navigate", "key"} and not self.text:
            raise ValueError(f"{self.act} needs text")
        return self


class StepsCall(_Call):
    """Several steps in a browser, one after another; the last ``extract`` is the result."""

    kind: Literal["steps"] = "steps"
    page_url: str
    steps: Annotated[tuple[Step, ...], Field(min_length=1, max_length=50)]


Call = Annotated[RequestCall | FormCall | PageToolCall | StepsCall, Field(discriminator="kind")]


class CheckName(StrEnum):
    """What a proof tries. Each is true, false, or not tried (absent)."""

    # It ran, and the site answered with success.
    RUNS = "runs"
    # The same inputs twice gave the same items.
    REPEATS = "repeats"
    # A nonsense query gave fewer items, or none.
    NONSENSE_GIVES_LESS = "nonsense_gives_less"
    # Another page of the list has other items.
    PAGE_DIFFERS = "page_differs"
    # An order or filter changed the items as it should.
    CHOICE_CHANGES = "choice_changes"
    # What is there to list something listed something.
    SHOWS_ITEMS = "shows_items"
    # Another one of many has another answer.
    ITEM_DIFFERS = "item_differs"
    # The answer mentions what was asked for.
    ANSWER_MENTIONS_QUERY = "answer_mentions_query"
    # An input that the schema forbids was refused before any request.
    INVALID_IS_REFUSED = "invalid_is_refused"
    # What was sent equals what the browser sends.
    EQUALS_BROWSER = "equals_browser"
    # The answer fits the output schema.
    FITS_OUTPUT_SCHEMA = "fits_output_schema"


class Check(_Value):
    """One check's outcome, with what was seen in a few words."""

    name: CheckName
    passed: bool
    note: str = Field("", max_length=300)


class Wording(_Value):
    """A language model's words for a tool. They decide nothing: what the site says stays beside them."""

    title: str = Field(min_length=1, max_length=200)
    description: str = Field(min_length=1, max_length=MAX_DESCRIPTION_CHARS)


class Tool(_Value):
    """One function of a site.

    Attributes:
        site: the origin that it belongs to (``https://example.org``).
        found_on: the page or document that showed it.
        input_schema: JSON Schema 2020-12 of an object; its properties are named by the slots or fields of ``call``.
        prior: how sure the source is by itself that this is a tool of its type, in [0, 1]: the form classifier's
            probability, say.
        evidence: what the source saw, in a few plain words each.
        examples: inputs that the site itself shows (a default, a link's values), to run it with.
        checks: what trying it has shown; empty if it was not tried.
        confidence: calibrated probability that it does what it says; None before it was assessed.
        wording: how it is shown, where a language model was asked.
    """

    name: ToolName
    title: str = Field("", max_length=200)
    description: str = Field("", max_length=MAX_DESCRIPTION_CHARS)
    site: str
    found_on: str
    source: Source
    # What it is for: a form type of ``engine.form_types``, ``pagination``, ``sort``, ``filter``, ``api``, ``graphql`` …
    purpose: str = ""
    effect: Effect = Effect.READ
    is_idempotent: bool = False
    call: Call
    input_schema: JSONSchema
    output_schema: JSONSchema | None = None
    prior: float = Field(ge=0, le=1)
    evidence: Annotated[tuple[str, ...], Field(max_length=20)] = ()
    examples: Annotated[tuple[dict[str, Any], ...], Field(max_length=5)] = ()
    checks: tuple[Check, ...] = ()
    confidence: float | None = Field(None, ge=0, le=1)
    wording: Wording | None = None

    @property
    def words(self) -> "Wording | Tool":
        """Title and description as they are shown."""
        return self.wording or self
