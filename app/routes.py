"""Converters of path parts, so that a job's id and a kind never take each other's routes."""

import re

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


def misnamed_job(method: str, path: str) -> str | None:
    """Return what stands in the path for a job's id and is none; None where that is not what is wrong with the path."""
    found = re.fullmatch(r"/(?:api|ws)/jobs/([^/]+)(/.*)?", path)
    if found is None or re.fullmatch(IdConverter.regex, found[1]):
        return None
    is_kind = method == "POST" and found[2] is None
    return None if is_kind else found[1]


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
