"""Descriptions that name another host than the one they came from: copies of a program describe its author's site."""

from collections.abc import Sequence
from urllib.parse import urlsplit

from tasks.discovery.engine.site import Site
from tasks.discovery.engine.sources.openapi.tools import PRIOR
from tasks.discovery.engine.sources.reach import is_other_host
from tasks.discovery.tool import Effect, RequestCall, Tool

_PROBES = 3
_MAX_EVIDENCE = 20


def as_served(tools: Sequence[Tool], site: Site) -> list[Tool]:
    """Return the tools at the site itself, where all name another host and the site answers one that only reads."""
    calls = [tool.call for tool in tools if isinstance(tool.call, RequestCall)]
    if not calls or len(calls) < len(tools) or not all(is_other_host(call.url, site=site.origin) for call in calls):
        return list(tools)
    here = [_moved(tool, call, site.origin) for tool, call in zip(tools, calls, strict=True)]
    probes = [url for tool in here if (url := _probe(tool))][:_PROBES]
    answers = any((document := site.fetch(url)) is not None and document.status < 400 for url in probes)
    return here if answers else list(tools)


def _moved(tool: Tool, call: RequestCall, origin: str) -> Tool:
    there = urlsplit(call.url)
    url = f"{origin}{call.url.removeprefix(f'{there.scheme}://{there.netloc}')}"
    kept = [line for line in tool.evidence if not line.startswith("Calls another host")]
    evidence = (*kept, f"Its description names {there.netloc[:100]}; this site answers it too.")[:_MAX_EVIDENCE]
    return tool.model_copy(
        update={
            "call": call.model_copy(update={"url": url}),
            "evidence": evidence,
            "prior": max(tool.prior, PRIOR),
        }
    )


def _probe(tool: Tool) -> str:
    """Return the address of a tool that reads and needs no input; empty for others."""
    call = tool.call
    is_plain = isinstance(call, RequestCall) and call.method == "GET" and "{" not in call.url and not call.query
    if not is_plain or tool.effect is not Effect.READ or tool.input_schema.get("required"):
        return ""
    return call.url if isinstance(call, RequestCall) else ""
