"""Tools from schema.org's potential actions: a site's search, and orders, reservations and others that it offers.

Source: schema.org, "Potential Actions" (actions, entry points, input constraints); both forms of ``query-input``.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tasks.discovery.engine.effects import effect_of, is_idempotent
from tasks.discovery.engine.names import Names
from tasks.discovery.engine.schema import DIALECT
from tasks.discovery.engine.site import Site
from tasks.discovery.engine.sources.linked_data import Node, nodes, text_of, types_of, values_of
from tasks.discovery.engine.sources.reach import is_expected, is_other_host, path_of
from tasks.discovery.engine.sources.schema_keywords import is_number, is_usable_pattern
from tasks.discovery.engine.sources.url_template import Placeholder, URLTemplate, read_template
from tasks.discovery.tool import MAX_DESCRIPTION_CHARS, Effect, JSONSchema, Place, RequestCall, Slot, Source, Tool

MAX_TOOLS = 30

_PRIOR_SEARCH = 0.93
_PRIOR = 0.8
# These only show something; without an input, they are no more than a link.
_READING = frozenset(
    {"CheckAction", "DiscoverAction", "FindAction", "ListenAction", "ReadAction", "SearchAction", "TrackAction"}
    | {"ViewAction", "WatchAction", "DownloadAction", "ConsumeAction", "InteractAction", "CommunicateAction"}
)
# These take money, or away what somebody has.
_DESTROYING = frozenset(
    {"BuyAction", "CancelAction", "DeactivateAction", "DeleteAction", "DonateAction", "LeaveAction", "LoseAction"}
    | {"MoneyTransfer", "PayAction", "ReplaceAction", "ReturnAction", "SellAction", "SuspendAction", "TipAction"}
    | {"UnRegisterAction", "UpdateAction"}
)
_WEB_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})
_SEVERITY = (Effect.READ, Effect.WRITE, Effect.DESTROY)
_TRUE = ("true", "True", True)


def find_tools(site: Site) -> list[Tool]:
    """Return a tool for each action that the pages' JSON-LD and microdata offer by a URL template."""
    names = Names()
    tools: list[Tool] = []
    seen: set[tuple[str, URLTemplate]] = set()
    for snapshot in site.snapshots:
        for offer in _offers(snapshot.html, base=snapshot.page.base_url or snapshot.page.url):
            key = (offer.method, offer.template)
            if key in seen or len(tools) == MAX_TOOLS or not is_expected(offer.template.url, site=site.origin):
                continue
            seen.add(key)
            tools.append(_tool(offer, site=site.origin, found_on=snapshot.page.url, names=names))
    return tools


@dataclass(frozen=True, slots=True)
class _Offer:
    """An action and one of its targets. ``subject`` names what it is an action of."""

    type: str
    action: Node
    subject: str
    method: str
    media_type: str
    template: URLTemplate

    @property
    def inputs(self) -> dict[str, Node]:
        """The constraints of its inputs, by the name of the placeholder."""
        found: dict[str, Node] = {}
        for key in self.action:
            if key.endswith("-input"):
                for value in values_of(self.action, key):
                    rules = _constraints(value)
                    found.setdefault(text_of(rules, "valueName"), rules)
        return found


def _offers(html: str, *, base: str) -> Iterator[_Offer]:
    met: set[int] = set()
    for node in nodes(html):
        subject = text_of(node, "name")
        candidates = [action for action in values_of(node, "potentialAction") if isinstance(action, dict)]
        for action in [*candidates, node]:
            if id(action) not in met:
                met.add(id(action))
                yield from _targets(action, subject=subject if action is not node else "", base=base)


def _targets(action: Node, *, subject: str, base: str) -> Iterator[_Offer]:
    names = sorted(name for name in types_of(action) if name.endswith("Action") or name == "MoneyTransfer")
    if not names:
        return
    for target in values_of(action, "target")[:10]:
        entry = {"urlTemplate": target} if isinstance(target, str) else target
        template = read_template(text_of(entry, "urlTemplate"), base=base) if isinstance(entry, dict) else None
        if template is None or not isinstance(entry, dict) or not _is_for_web(entry):
            continue
        method = (text_of(entry, "httpMethod") or "GET").upper()
        has_inputs = bool(template.placeholders)
        if method in _WEB_METHODS and (has_inputs or method != "GET" or names[0] not in _READING):
            media_type = text_of(entry, "encodingType").lower()
            yield _Offer(names[0], action, subject, method, media_type, template)


def _is_for_web(entry: Node) -> bool:
    platforms = [value for value in values_of(entry, "actionPlatform") if isinstance(value, str)]
    return not platforms or any("Web" in name for name in platforms)


def _constraints(value: Any) -> Node:
    """Return the constraints of an input, of which ``required name=q maxlength=100`` is the short form."""
    if isinstance(value, dict):
        return value
    if not isinstance(value, str):
        return {}
    keys = {"name": "valueName", "maxlength": "valueMaxLength", "minlength": "valueMinLength", "min": "minValue"}
    keys |= {"max": "maxValue", "pattern": "valuePattern", "step": "stepValue", "value": "defaultValue"}
    rules: Node = {}
    for word in value[:1000].split():
        name, is_set, text = word.partition("=")
        if is_set and name in keys:
            rules[keys[name]] = text.strip("\"'")
        elif word == "required":
            rules["valueRequired"] = True
    return rules


def _tool(offer: _Offer, *, site: str, found_on: str, names: Names) -> Tool:
    inputs = offer.inputs
    properties, required, slots = {}, [], []
    for placeholder in offer.template.placeholders:
        rules = inputs.get(placeholder.name, {})
        properties[placeholder.name] = _rules(rules)
        slots.append(_slot(placeholder))
        # In a search, a placeholder that nobody describes is what to search for.
        is_required = rules.get("valueRequired") in _TRUE if rules else not placeholder.is_optional
        if is_required or not placeholder.query_name:
            required.append(placeholder.name)
    schema: JSONSchema = {"$schema": DIALECT, "type": "object", "properties": properties, "required": required}
    effect = _effect(offer)
    is_search = offer.type == "SearchAction"
    verb = offer.type.removesuffix("Action")
    subject = offer.subject or text_of(offer.action, "name")
    return Tool(
        name=names.take(verb.lower()),
        title=f"{verb} {subject}".strip()[:200],
        description=(text_of(offer.action, "description") or f"{verb}: {subject or site}")[:MAX_DESCRIPTION_CHARS],
        site=site,
        found_on=found_on,
        source=Source.SCHEMA_ORG,
        purpose="search" if is_search else verb.lower()[:60],
        effect=effect,
        is_idempotent=is_idempotent(offer.method, effect),
        call=RequestCall(
            method=offer.method,
            url=offer.template.url,
            query=offer.template.query,
            slots=tuple(slots),
        ),
        input_schema={**schema, "additionalProperties": False},
        prior=_prior(offer, site=site),
        evidence=_evidence(offer, site=site),
    )


def _slot(placeholder: Placeholder) -> Slot:
    place = Place.QUERY if placeholder.query_name else Place.PATH
    return Slot(input=placeholder.name, place=place, name=placeholder.query_name or placeholder.name)


def _effect(offer: _Offer) -> Effect:
    by_words = effect_of(offer.method, offer.type, text_of(offer.action, "name"), path_of(offer.template.url))
    by_type = Effect.READ if offer.type in _READING else Effect.WRITE
    by_type = Effect.DESTROY if offer.type in _DESTROYING else by_type
    return max(by_words, by_type, key=_SEVERITY.index)


def _rules(rules: Node) -> JSONSchema:
    """Return the schema of an input from its constraints, all of which are texts as often as numbers."""
    least, most = _number(rules.get("minValue")), _number(rules.get("maxValue"))
    step = _number(rules.get("stepValue"))
    is_numeric = least is not None or most is not None or step is not None
    found: JSONSchema = {"type": "number" if is_numeric else "string"}
    if is_numeric:
        found |= {key: value for key, value in (("minimum", least), ("maximum", most)) if value is not None}
        return found | ({"multipleOf": step} if step and step > 0 else {})
    for key, name in (("minLength", "valueMinLength"), ("maxLength", "valueMaxLength")):
        value = _number(rules.get(name))
        if value is not None and 0 <= value < 1_000_000:
            found[key] = int(value)
    if rules.get("valueRequired") in _TRUE and not found.get("minLength") and found.get("maxLength", 1):
        found["minLength"] = 1
    if is_usable_pattern(rules.get("valuePattern")):
        found["pattern"] = rules["valuePattern"]
    default = rules.get("defaultValue")
    return found | ({"default": default[:500]} if isinstance(default, str) and default else {})


def _number(value: Any) -> float | int | None:
    if isinstance(value, str) and 0 < len(value) < 20:
        try:
            value = int(value) if value.lstrip("-").isdecimal() else float(value)
        except ValueError:
            return None
    return value if is_number(value) else None


def _prior(offer: _Offer, *, site: str) -> float:
    if is_other_host(offer.template.url, site=site):
        return _PRIOR / 2
    return _PRIOR_SEARCH if offer.type == "SearchAction" else _PRIOR


def _evidence(offer: _Offer, *, site: str) -> tuple[str, ...]:
    lines = [f"schema.org {offer.type[:60]} with a URL template"]
    if is_other_host(offer.template.url, site=site):
        lines.append(f"Calls another host: {offer.template.url.partition('://')[2].partition('/')[0][:100]}")
    return tuple(lines)
