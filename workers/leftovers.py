"""Children that go on working on an attempt that is no longer theirs, and the folders that attempts left behind."""

import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from tasks.core.kernel import Kernel
from tasks.core.ledger import fleet
from tasks.core.ledger.fleet import AttemptPlace, Held
from tasks.core.places import workdirs
from workers.orphans import is_child_of, kill_group_if

log = structlog.get_logger()

_Key = tuple[str, int]


@dataclass(slots=True)
class Leftovers:
    """What is left on this machine of attempts whose fence was superseded: rescued, silent, handed back.

    A child works on an attempt as long as the attempt's folder is there: it makes it after its claim and removes it
    before it writes the end.
    """

    kernel: Kernel
    worker: str
    _folders: dict[_Key, Path] = field(default_factory=dict)
    _places: dict[_Key, AttemptPlace] = field(default_factory=dict)
    _superseded_seen: dict[_Key, float] = field(default_factory=dict)

    def look(self, held: list[Held]) -> None:
        """Kill each child of ours that works on a superseded attempt for longer than the cancel grace.

        It may be the one that a next attempt of the job waits for, and whatever it writes is refused already.
        """
        at = time.monotonic()
        owned = {(job.job_id, job.fence) for job in held}
        busy = {job.child_pid for job in held}
        found = {(job_id, fence): folder for job_id, fence, folder in workdirs(self.kernel.settings.state_dir)}
        self._folders = {key: folder for key, folder in found.items() if key not in owned}
        self._places = fleet.places_of(self.kernel.ledger, self._folders.keys()) if self._folders else {}
        before, self._superseded_seen = self._superseded_seen, {}
        for key, place in self._places.items():
            # A child that holds a job has moved on to it; only the folder stayed.
            if place.owns or place.worker != self.worker or place.child_pid in busy:
                continue
            self._superseded_seen[key] = before.get(key, at)
            if at - self._superseded_seen[key] < self.kernel.settings.cancel_grace_s:
                continue
            # Celery's parent reports the dead child, and the ledger ignores it: carry or state do not match.
            if kill_group_if(place.child_pid, self._folders[key].exists):
                log.warning("superseded_child_killed", job_id=key[0], fence=key[1], child_pid=place.child_pid)

    def remove(self) -> None:
        """Remove the folders that ``look`` found and nobody works in."""
        for key, folder in self._folders.items():
            place = self._places.get(key)
            if place is None or not (place.owns or is_child_of(place.child_pid, place.worker.rpartition("#")[2])):
                shutil.rmtree(folder, ignore_errors=True)
