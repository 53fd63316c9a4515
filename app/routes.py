"""Converters of path parts, so that a job's id and a kind never take each other's routes."""

import re
from dataclasses import dataclass

from werkzeug.routing import BaseConverter, Map


class IdConverter(BaseConverter):
    """A UUID in canonical form."""

    regex = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"


class KindConverter(BaseConverter):
    """``family.verb``."""

    regex = r"[a-z][a-z0-9_]{0,49}\.[a-z0-9_.]{1,49}"


class ArtifactNameConverter(BaseConverter):
    """A relative path of plain names."""

    part_isolating = False
    regex = "[A-Za-z0-9_][A-Za-z0-9._/-]{0,199}"


class AnyIdConverter(BaseConverter):
    """What an older client may take for a job's id, but for the names that lie beside ids in its paths."""

    regex = "(?!(?:calibrate|async|batch)$)[^/]{1,200}"


class AnyPathConverter(BaseConverter):
    """All that follows, or nothing."""

    part_isolating = False
    regex = ".*"


@dataclass(frozen=True, slots=True)
class Misnamed:
    """What stands in a path for an id and is none: of what it should be one, and where the true ones are."""

    given: str
    whose: str
    found_by: str


# Longer prefixes before those that they begin with.
_IDS = (
    ("/api/jobs/batch", "batch", "the answer to POST /api/jobs/batch names it"),
    ("/api/webhooks/deliveries", "delivery", "GET /api/webhooks/deliveries lists yours"),
    ("/api/jobs", "job", "GET /api/jobs lists yours"),
    ("/ws/jobs", "job", "GET /api/jobs lists yours"),
    ("/api/schedules", "schedule", "GET /api/schedules lists yours"),
    ("/api/tools", "tool", "GET /api/tools lists yours"),
    ("/api/uploads", "upload", "the answer to POST /api/uploads names it"),
    ("/api/webhooks", "webhook", "GET /api/webhooks lists yours"),
)


def misnamed(method: str, path: str) -> Misnamed | None:
    """Return what stands in the path for an id and is none; None where that is not what is wrong with the path."""
    for prefix, whose, found_by in _IDS:
        found = re.fullmatch(rf"{prefix}/([^/]+)(/.*)?", path)
        if found is None:
            continue
        is_kind = whose == "job" and method == "POST" and found[2] is None
        is_id = re.fullmatch(IdConverter.regex, found[1]) is not None
        return None if is_kind or is_id else Misnamed(found[1], whose, found_by)
    return None


def add_converters(url_map: Map) -> None:
    """Make ``<job:…>``, ``<upload:…>``, ``<tool:…>`` and those of the other classes of this module known."""
    url_map.converters |= {
        "job": IdConverter,
        "upload": IdConverter,
        "tool": IdConverter,
        "webhook": IdConverter,
        "schedule": IdConverter,
        "kind": KindConverter,
        "artifact": ArtifactNameConverter,
        "any_id": AnyIdConverter,
        "any_path": AnyPathConverter,
    }
