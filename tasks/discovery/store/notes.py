"""Usage notes: what worked and what did not, with how often that was seen."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tasks.core.clock import now
from tasks.core.ledger.database import insert_if_new
from tasks.core.storable import storable
from tasks.discovery.store.records import Note, RunFacts
from tasks.discovery.store.tables import notes

HELPFUL, HARMFUL = "helpful", "harmful"
ARGUMENT = "argument "
"""How the subject of a note begins that is of an argument."""
# A belief starts here, as if seen once, and each run moves the mean; from the threshold on it is told.
_START, _THRESHOLD = 0.8, 0.7
_MOST_SUBJECTS = 50
_MOST_PER_RUN = 20
_MOST_CHARS = 200


def add_observations(connection: Connection, tool_id: str, facts: RunFacts) -> bool:
    """Count what a run has shown; tell whether any of it is of something new."""
    failed = {_kept(subject) for subject in facts.failed[:_MOST_PER_RUN]}
    seen = dict.fromkeys(failed, False)
    for subject in facts.used[:_MOST_PER_RUN]:
        seen.setdefault(_kept(subject), facts.ok)
    is_new = False
    for subject, worked in sorted(seen.items()):
        counts = {"worked": int(worked), "failed": int(not worked)}
        if insert_if_new(connection, notes, tool_id=tool_id, subject=subject, **counts, updated_at=now()):
            is_new = True
            continue
        of_subject = (notes.c.tool_id == tool_id) & (notes.c.subject == subject)
        added = {name: notes.c[name] + count for name, count in counts.items()}
        connection.execute(notes.update().where(of_subject).values(**added, updated_at=now()))
    if is_new:
        _forget_oldest(connection, tool_id)
    return is_new


def notes_of(connection: Connection, tool_ids: Sequence[str]) -> dict[str, list[Note]]:
    """Return what is worth telling of each of these tools, surest first."""
    told: dict[str, list[Note]] = {tool_id: [] for tool_id in tool_ids}
    for row in connection.execute(notes.select().where(notes.c.tool_id.in_(tool_ids))):
        note = judged(row.subject, worked=row.worked, failed=row.failed)
        if note is not None:
            told[row.tool_id].append(note)
    for found in told.values():
        found.sort(key=lambda note: (-note.score, -(note.worked + note.failed), note.subject))
    return told


def judged(subject: str, *, worked: int, failed: int) -> Note | None:
    """Return the note that so much evidence makes, if it is enough for one."""
    for verdict, for_it in ((HELPFUL, worked), (HARMFUL, failed)):
        score = (_START + for_it) / (1 + worked + failed)
        if score >= _THRESHOLD and for_it > 0:
            return Note(subject, verdict, score, worked, failed)
    return None


def _kept(subject: str) -> str:
    # Names of inputs come from pages, and may hold what no text column takes.
    return storable(subject, nul="")[:_MOST_CHARS]


def _forget_oldest(connection: Connection, tool_id: str) -> None:
    of_tool = notes.c.tool_id == tool_id
    kept = sa.select(notes.c.subject).where(of_tool).order_by(notes.c.updated_at.desc(), notes.c.subject)
    surplus = connection.execute(kept.offset(_MOST_SUBJECTS).limit(1000)).scalars().all()
    if surplus:
        connection.execute(notes.delete().where(of_tool, notes.c.subject.in_(surplus)))
