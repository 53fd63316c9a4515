"""What a person wants to know of a publication or a rollback that has ended."""

from collections.abc import Iterator, Mapping
from typing import Any

from client.command.plain import clean, seconds, size
from client.sites import ReleaseDiff

_MOST_FINDINGS = 10
# A stage that is shorter than this is not what somebody waited for.
_LONG_S = 0.05


def told(result: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of a result of ``publishing.site`` or ``publishing.rollback``."""
    site, release = clean(result["site"]), str(result["release"])[:12]
    before = str(result["previous"])[:12] if result.get("previous") else "nothing"
    if result.get("live", True):
        same = result.get("previous") == result["release"]
        where = f" at {clean(result['url'])}" if result.get("url") else ""
        if result.get("target", "default") != "default":
            where += f" in the target {clean(result['target'])}"
        yield f"live      {release}{where}" + (" (as before)" if same else f" (before: {before})")
    else:
        yield f"preview   {release}: `switchyard preview {site} {release}` shows it"
        yield f"          `switchyard rollback {site} --to {release}` makes it live"
    yield f"changes   +{result['added']} ~{result['changed']} -{result['removed']} files"
    if "size_bytes" in result:
        sizes = f"{size(result['size_bytes'])}, {size(result['compressed_bytes'])} compressed"
        yield f"size      {result['files']} files, {sizes}; as they came {size(result['source_bytes'])}"
    if result.get("generated"):
        yield f"made      {' '.join(map(clean, result['generated']))}"
    if result.get("image_copies"):
        yield f"pictures  {result['image_copies']} copies"
    long = [f"{stage} {seconds(took)}" for stage, took in result["stages"].items() if took >= _LONG_S]
    yield f"took      {seconds(sum(result['stages'].values()))}{': ' if long else ''}{', '.join(long)}"
    yield from _findings(result)


def differing(diff: ReleaseDiff) -> Iterator[str]:
    """Yield the paths that differ between two releases, then how many."""
    for sign, paths in (("+", diff.added), ("~", diff.changed), ("-", diff.removed)):
        for path in paths:
            yield f"{sign} {clean(path)}"
    counts = f"+{diff.added_count} ~{diff.changed_count} -{diff.removed_count}"
    yield f"{counts} files, {size(diff.changed_bytes)} new or changed"


def _findings(result: Mapping[str, Any]) -> Iterator[str]:
    faults = result.get("faults") or {}
    if faults:
        yield f"found     {', '.join(f'{count} {clean(fault)}' for fault, count in faults.items())}"
    for one in list(result.get("findings", ()))[:_MOST_FINDINGS]:
        yield f"          {clean(one['fault'])} {clean(one['path'])}: {clean(one['message'])}"
    if sum(faults.values()) > _MOST_FINDINGS:
        yield "          … all are in the artifact checks.json"
