"""Ask every source for the tools of a site; one that fails is told and takes none of the others with it."""

from collections.abc import Callable, Sequence

from tasks.core.job import JobContext
from tasks.discovery.contract import SourceCount
from tasks.discovery.engine.notes import Notes
from tasks.discovery.engine.site import Site
from tasks.discovery.engine.trouble import PAGE_TROUBLE, told
from tasks.discovery.tool import Source, Tool

FindTools = Callable[[Site], list[Tool]]
# A source that finds more than this has misread the site.
_MAX_TOOLS_OF_A_SOURCE = 500


def gather(
    site: Site, sources: Sequence[FindTools], *, wanted: Sequence[Source], job: JobContext, notes: Notes
) -> tuple[list[Tool], dict[Source, SourceCount]]:
    """Return the tools that the sources find, in their order, and how many each found.

    Args:
        wanted: tools of other sources are dropped; empty: none are.
    """
    tools: list[Tool] = []
    failed: set[Source] = set()
    for done, find in enumerate(sources):
        name = name_of(find)
        job.report("sources", done, len(sources), name)
        try:
            found = find(site)
        except PAGE_TROUBLE as exc:
            notes.skip("source", name, reason="failed", message=told(exc))
            job.log(f"The source {name} failed: {told(exc)}", level="error")
            failed |= {source for source in Source if source.value == name}
            continue
        for tool in found[:_MAX_TOOLS_OF_A_SOURCE]:
            job.log(f"Found {tool.name} ({tool.source.value}) on {tool.found_on}")
        if len(found) > _MAX_TOOLS_OF_A_SOURCE:
            notes.skip("tool", name, reason="too_many", message=f"It found {len(found)} tools.")
        tools += [tool for tool in found[:_MAX_TOOLS_OF_A_SOURCE] if not wanted or tool.source in wanted]
    counts = {
        source: SourceCount(found=sum(tool.source is source for tool in tools), failed=source in failed)
        for source in Source
        if source in failed or any(tool.source is source for tool in tools)
    }
    return tools, counts


def name_of(find: FindTools) -> str:
    """Return what a source is called: its module."""
    return find.__module__.rpartition(".")[2]
