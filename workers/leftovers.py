"""Children that go on working on an attempt that is no longer theirs, and the files that attempts left behind."""

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from tasks.core import at_work
from tasks.core.at_work import AttemptKey
from tasks.core.kernel import Kernel
from tasks.core.ledger import fleet
from tasks.core.ledger.fleet import AttemptPlace, Held
from tasks.core.places import keepdirs, remove_keepdir, workdirs
from workers.orphans import is_child_of, kill_group_if

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Child:
    """A child of a worker on this machine, as its note tells: alive or dead, ours or another's."""

    boot: str
    pid: int
    note: Path
    works_on: AttemptKey | None

    def still(self) -> Callable[[], bool]:
        """Return the question whether it works on the same attempt still."""
        return lambda: at_work.attempt_in(self.note) == self.works_on


@dataclass(slots=True)
class Leftovers:
    """What is left on this machine of attempts whose fence was superseded: rescued, silent, handed back.

    A child notes what it works on after its claim, and takes the note back before it writes the end.
    """

    kernel: Kernel
    worker: str
    _folders: dict[AttemptKey, Path] = field(default_factory=dict)
    _children: list[_Child] = field(default_factory=list)
    _places: dict[AttemptKey, AttemptPlace] = field(default_factory=dict)
    _superseded_seen: dict[AttemptKey, float] = field(default_factory=dict)

    def look(self, held: list[Held]) -> None:
        """Kill each child of ours that works on a superseded attempt for longer than the cancel grace.

        It may be the one that a next attempt of the job waits for, and whatever it writes is refused already.
        """
        at, boot = time.monotonic(), at_work.boot_of(self.worker)
        self._find({(job.job_id, job.fence) for job in held})
        before, self._superseded_seen = self._superseded_seen, {}
        for child in self._children:
            place = None if child.works_on is None else self._places.get(child.works_on)
            if child.works_on is None or place is None or place.owns or child.boot != boot:
                continue
            self._superseded_seen[child.works_on] = before.get(child.works_on, at)
            if at - self._superseded_seen[child.works_on] < self.kernel.settings.cancel_grace_s:
                continue
            # Celery's parent reports the dead child, and the ledger ignores it: carry or state do not match.
            if kill_group_if(child.pid, child.still()):
                job_id, fence = child.works_on
                log.warning("superseded_child_killed", job_id=job_id, fence=fence, child_pid=child.pid)

    def _find(self, owned: set[AttemptKey]) -> None:
        state_dir = self.kernel.settings.state_dir
        folders = {(job_id, fence): folder for job_id, fence, folder in workdirs(state_dir)}
        self._folders = {key: folder for key, folder in folders.items() if key not in owned}
        children = [_Child(boot, pid, note, at_work.attempt_in(note)) for boot, pid, note in at_work.notes(state_dir)]
        self._children = [child for child in children if child.works_on not in owned]
        asked = {*self._folders, *(child.works_on for child in self._children if child.works_on is not None)}
        self._places = fleet.places_of(self.kernel.ledger, asked) if asked else {}

    def remove(self) -> None:
        """Remove the folders that ``look`` found and nobody works in, and the notes of children that are dead."""
        for key, folder in self._folders.items():
            place = self._places.get(key)
            if place is None or not (place.owns or is_child_of(place.child_pid, at_work.boot_of(place.worker))):
                shutil.rmtree(folder, ignore_errors=True)
        for child in self._children:
            place = None if child.works_on is None else self._places.get(child.works_on)
            if (place is None or not place.owns) and not is_child_of(child.pid, child.boot):
                child.note.unlink(missing_ok=True)
        self._remove_keepdirs()

    def _remove_keepdirs(self) -> None:
        """Remove what attempts kept for one another of jobs that have ended, by whomever they were ended."""
        state_dir = self.kernel.settings.state_dir
        if kept := keepdirs(state_dir):
            for job_id in set(kept) - fleet.unfinished(self.kernel.ledger, kept):
                remove_keepdir(state_dir, job_id)
