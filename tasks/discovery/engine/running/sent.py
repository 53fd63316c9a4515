"""What went out, for comparing and for the record, without passwords in it."""

from dataclasses import dataclass
from urllib.parse import quote, quote_plus

from tasks.discovery.arguments import secret_inputs
from tasks.discovery.engine.running.encoding import WireRequest
from tasks.discovery.engine.running.filling import Arguments, as_text
from tasks.discovery.tool import Tool

_STRUCK = "***"
_MAX_BODY_CHARS = 100_000


@dataclass(frozen=True, slots=True)
class Hidden:
    """The values that may be shown nowhere, in every way that they are written in a request."""

    spellings: tuple[str, ...] = ()

    def struck_from(self, text: str) -> str:
        """Return the text with three asterisks for each of them."""
        for spelling in self.spellings:
            text = text.replace(spelling, _STRUCK)
        return text


def hidden_in(tool: Tool, arguments: Arguments) -> Hidden:
    """Return what of ``arguments`` is secret."""
    values = [as_text(arguments[name]) for name in secret_inputs(tool.input_schema) if arguments.get(name)]
    spellings = {spelled for value in values for spelled in (value, quote(value, safe=""), quote_plus(value, safe="*"))}
    return Hidden(tuple(sorted(spellings, key=lambda spelling: (-len(spelling), spelling))))


def described(request: WireRequest, hidden: Hidden) -> dict[str, str]:
    """Return method, URL and body; the body is cut."""
    body = request.body.decode("utf-8", "replace")
    return {
        "method": request.method,
        "url": hidden.struck_from(request.url),
        "body": hidden.struck_from(body)[:_MAX_BODY_CHARS],
    }
