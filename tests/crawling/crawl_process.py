"""A crawl in a process of its own, to be killed: ``python -m tests.crawling.crawl_process URL PORT FOLDER``."""

import json
import sys
from pathlib import Path

from tasks.core.egress import Egress, EgressPolicy
from tasks.crawling.contract import SiteRequest
from tasks.crawling.engine.site import crawl
from tests.fakes import FakeJob, FakeResume


class _ResumeFile(FakeResume):
    """Keeps the state where whoever kills this process finds it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> dict[str, object] | None:
        return None

    def save(self, state: dict[str, object]) -> None:
        self._path.write_text(json.dumps(state))


def main(url: str, port: str, folder: str) -> None:
    """Crawl without delay, four pages at a time."""
    with Egress(EgressPolicy(allow=frozenset({f"127.0.0.1:{port}"}))) as egress:
        job = FakeJob(workdir=Path(folder), http=egress, resume=_ResumeFile(Path(folder) / "resume.json"))
        crawl(SiteRequest(url=url, delay_s=0, concurrency=4), job)


if __name__ == "__main__":
    main(*sys.argv[1:])
