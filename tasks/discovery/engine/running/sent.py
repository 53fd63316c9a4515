"""What went out, for comparing and for the record, without passwords in it."""

from tasks.core.hidden import Hidden
from tasks.discovery.arguments import secret_inputs
from tasks.discovery.engine.running.encoding import WireRequest
from tasks.discovery.engine.running.filling import Arguments, as_text
from tasks.discovery.tool import Tool

_MAX_BODY_CHARS = 100_000


def hidden_in(tool: Tool, arguments: Arguments) -> Hidden:
    """Return what of ``arguments`` is secret."""
    values = [as_text(arguments[name]) for name in secret_inputs(tool.input_schema) if arguments.get(name)]
    return Hidden.of(values)


def described(request: WireRequest, hidden: Hidden) -> dict[str, str]:
    """Return method, URL and body; the body is cut."""
    body = request.body.decode("utf-8", "replace")
    return {
        "method": request.method,
        "url": hidden.struck_from(request.url),
        "body": hidden.struck_from(body)[:_MAX_BODY_CHARS],
    }
