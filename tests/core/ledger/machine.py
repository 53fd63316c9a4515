"""A Hypothesis state machine that drives the real ledger and a reference side by side, in any order that may happen."""

import functools
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, ClassVar
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from tasks.core.errors import Conflict, IdempotencyKeyReused, NotFound
from tasks.core.ledger import Ledger, accepting, batches, carrying, fleet, queries, replaying, state_events, transitions
from tasks.core.ledger.accepting import Idempotency
from tasks.core.outcome import end_attempt, settle_lost
from tasks.core.records import Cause, Job, JobState
from tests.core.ledger import reference
from tests.core.ledger.clock import CLOCKS, Clock, sqlite_of_ours
from tests.core.ledger.events import EVENTS, NEW_JOBS, WORKERS, Event
from tests.core.ledger.reference import Reference, ReferenceJob, ReferenceWorker
from tests.core.ledger.surroundings import a_tenant, all_rows, use
from tests.samples import a_job, a_worker

QUEUE = "maintenance"
STEPS_PER_EXAMPLE = 50
# The longest wait that FAST's backoff, or a lost worker's, can draw here.
_LONGEST_BACKOFF_S = 4.0


class LedgerMachine(RuleBasedStateMachine):
    """Whatever may happen to jobs, at any time and as often as it likes; ``run`` names the ledger."""

    fresh_url: ClassVar[Callable[[], str]]
    steps: ClassVar[Counter[str]]

    def __init__(self) -> None:
        super().__init__()
        self.url = type(self).fresh_url()
        self.ledger = Ledger(self.url)
        self.patch = pytest.MonkeyPatch()
        self.clock = Clock()
        use(self.clock, self.patch)
        CLOCKS[:] = [self.clock]
        self.tenant = a_tenant(self.ledger)
        self.model = Reference()
        self.ids: list[str] = []
        self.messages: list[tuple[str, int]] = []
        self.attempts: list[Job] = []
        self.claims: Counter[tuple[str, int]] = Counter()
        self.effects: Counter[str] = Counter()
        self.ended: dict[str, dict[str, Any]] = {}
        self.unsent: set[tuple[str, int]] = set()
        self.begun = False

    def teardown(self) -> None:
        self.ledger.close()
        self.patch.undo()
        CLOCKS.clear()

    @initialize(first=NEW_JOBS, worker=WORKERS)
    def begin(self, first: dict[str, Any], worker: str) -> None:
        """Something runs, so that no event finds nothing at all."""
        self.submit(**first | {"key": None}, may_publish=True)
        self.deliver(back=0, worker=worker)

    # One rule, because Hypothesis leaves half of the rules out of each run, and most events need most others.
    @rule(event=EVENTS)
    def happens(self, event: Event) -> None:
        """One of the events below."""
        name, values = event
        getattr(self, name)(**values)

    # ---- events: into the ledger, into the broker

    def submit_many(self, *, items: list[dict[str, Any]]) -> None:
        """Somebody submits several jobs in one transaction: all are accepted, or none."""
        drafts = [self._draft(**values) for values in items]
        real = [(job, idempotency) for _, job, idempotency in drafts]
        known = [(job, values["key"], values["body"]) for (job, _, _), values in zip(drafts, items, strict=True)]
        try:
            expected = self.model.accept_many(known, at=self.clock())
        except reference.KeyReused:
            with pytest.raises(IdempotencyKeyReused):
                accepting.accept_many(self.ledger, real)
            return
        answers = accepting.accept_many(self.ledger, real)
        assert expected == [answer.job.id for answer in answers], "one key one job, also within a batch"
        assert [job.id != first for (job, _, _), first in zip(known, expected, strict=True)] == [
            answer.replayed for answer in answers
        ]

    def submit(self, *, may_publish: bool, **values: Any) -> None:
        """Somebody submits a job, or one that is there already."""
        job, real, idempotency = self._draft(**values)
        try:
            expected = self.model.accept(
                job, key=values["key"], body=values["body"], may_publish=may_publish, at=self.clock()
            )
        except reference.KeyReused:
            with pytest.raises(IdempotencyKeyReused):
                accepting.accept(self.ledger, real, idempotency=idempotency, may_publish=may_publish)
            return
        answer = accepting.accept(self.ledger, real, idempotency=idempotency, may_publish=may_publish)
        assert (expected, expected != job.id) == (answer.job.id, answer.replayed), "one key one job"
        assert answer.published == (expected == job.id and job.carry == 1)
        if answer.published:
            self.messages.append((job.id, 1))

    def carry(self, *, arrives: bool) -> None:
        """The dispatcher carries what is due; the messages arrive, or Redis loses them."""
        expected = self.model.take_due(self.clock())
        taken = carrying.take_due(self.ledger, QUEUE)
        assert expected == [(job.id, job.carry) for job in taken]
        self.messages += expected if arrives else []

    def carry_again(self, *, back: int, every: bool, arrives: bool) -> None:
        """The dispatcher takes a message, or all that are published, for lost: rightly or not, or too late."""
        lost = [(job.id, job.carry) for job in self.model.published()] if every else [_recent(self.messages, back)]
        expected = self.model.take_again(lost, self.clock())
        taken = carrying.take_again(self.ledger, lost)
        assert expected == [(job.id, job.carry) for job in taken]
        self.messages += expected if arrives else []

    def put_back(self, *, back: int, late: bool) -> None:
        """A carrier believes that a message did not arrive, perhaps after the dispatcher has carried it again."""
        queued = {job.id for job in self.model.published()}
        message = _recent([message for message in self.messages if message[0] in queued] or self.messages, back)
        if late:
            self.carry_again(back=0, every=True, arrives=True)
        self.model.put_back(*message)
        carrying.put_back(self.ledger, [message])

    # ---- events: attempts

    def deliver(self, *, back: int, worker: str) -> None:
        """A worker gets a message: a new one, an old one, the same again."""
        self._claim(*_recent(self.messages, back), worker)

    def work(self, *, worker: str) -> None:
        """A quiet while: what waits is carried, and a worker begins all of it."""
        self.clock.pass_s(_LONGEST_BACKOFF_S)
        self.carry(arrives=True)
        for job in self.model.published():
            self._claim(job.id, job.carry, worker)

    def act(self, *, back: int, act: str) -> None:
        """An attempt ends, is reported as lost, or goes on: in time, late, or twice."""
        self._act(_recent(self.attempts, back), act)

    def freeze(self, *, frozen: str, other: str, acts: list[str]) -> None:
        """A worker stands still until its jobs were begun elsewhere, or by its next life; then it goes on."""
        held = self.model.held_by(frozen)
        self.rescue(name=frozen)
        self.work(worker=other)
        for job in [job for job in self.attempts if (job.id, job.fence) in held]:
            for act in acts:
                self._act(job, act)

    # ---- events: workers

    def start_worker(self, *, name: str, slots: int) -> None:
        """A worker registers, or does so again."""
        self.model.workers[name] = ReferenceWorker(slots, "up")
        fleet.register(self.ledger, a_worker(name, slots=slots))

    def beat(self, *, name: str, state: str) -> None:
        """A worker says that it lives."""
        known = self.model.workers.get(name)
        assert (known is not None) == fleet.beat(self.ledger, name, rss_bytes=1, state=state)
        if known is not None:
            known.state = state

    def rescue(self, *, name: str) -> None:
        """The dispatcher takes a worker for gone, rightly or not, and queues again what it holds."""
        held = fleet.held_by(self.ledger, name)
        assert self.model.held_by(name) == {(one.job_id, one.fence) for one in held}
        for one in held:
            expected = self.model.fail(one.job_id, fence=one.fence, cause="worker_lost", retryable=True)
            self._agree(self._settle(one.job_id, name, fence=one.fence), expected)
        fleet.set_state(self.ledger, name, fleet.WorkerState.GONE)
        if name in self.model.workers:
            self.model.workers[name].state = "gone"

    # ---- events: from outside

    def cancel(self, *, back: int) -> None:
        """Somebody cancels a job."""
        self._ask(transitions.request_cancel, self.model.cancel, _recent(self.ids, back))

    def erase(self, *, back: int) -> None:
        """Somebody erases a job."""
        job_id = _recent(self.ids, back)
        if self._ask(transitions.erase, self.model.erase, job_id):
            self._forget(job_id)

    def replay(self, *, back: int, may_publish: bool) -> None:
        """Somebody wants a failed or cancelled job to run again."""
        job_id = _recent(self.ids, back)
        real = functools.partial(replaying.replay, may_publish=may_publish)
        model = functools.partial(self.model.replay, may_publish=may_publish, at=self.clock())
        if self._ask(real, model, job_id):
            del self.ended[job_id]
            replayed = self.model.jobs[job_id]
            if replayed.published_at is not None:
                self.messages.append((job_id, replayed.carry))

    def change_many(self, *, verb: str, states: list[str], limit: int) -> None:
        """Somebody cancels, replays or erases what a filter matches, a batch at a time, up to a limit."""
        act = {"cancel": batches.cancel, "replay": batches.replay, "erase": batches.erase}[verb]
        expected = self.model.change_many(verb, states, limit=limit, at=self.clock())
        wanted = queries.Filter(tenant_id=self.tenant.id, states=states)
        found = list(act(self.ledger, wanted, limit=limit))
        assert expected == [sorted(job.id for job in batch) for batch in found]
        for job_id in (job_id for batch in expected for job_id in batch):
            if verb == "erase":
                self._forget(job_id)
            elif verb == "replay":
                del self.ended[job_id]

    def expire(self) -> None:
        """The dispatcher ends what nobody started in time."""
        assert self.model.expire(self.clock()) == {job.id for job in transitions.expire(self.ledger)}

    def time_passes(self, *, seconds: float) -> None:
        """Nothing happens for a while."""
        self.clock.pass_s(seconds)

    def reload(self) -> None:
        """Every process starts anew: only what is in the tables is left."""
        self.ledger.close()
        self.ledger = Ledger(self.url)
        self.ledger.prepare()

    def relay(self, *, limit: int) -> None:
        """State events are brought into the streams, oldest first."""
        self.clock.pass_s(0.001)  # what was just written is older than now
        events = state_events.unsent_events(self.ledger, before=self.clock(), limit=limit)
        told = {(event.job_id, event.n) for event in events}
        assert told <= self.unsent
        assert len(told) == min(limit, len(self.unsent))
        state_events.mark_sent(self.ledger, events)
        self.unsent -= told

    # ---- what events do, on both sides

    def _draft(
        self, *, key: str | None, body: str, expires_in_s: float | None, **values: int
    ) -> tuple[ReferenceJob, Job, Idempotency | None]:
        job_id = str(UUID(int=len(self.ids) + 1))
        self.ids.append(job_id)
        expires_at = None if expires_in_s is None else self.clock() + timedelta(seconds=expires_in_s)
        job = ReferenceJob(job_id, expires_at=expires_at, **values)
        real = a_job(self.tenant, id=job_id, expires_at=expires_at, **values)
        return job, real, None if key is None else Idempotency(key, body * 64, ttl_s=reference.KEY_TTL_S)

    def _act(self, job: Job, act: str) -> None:
        acts: dict[str, Callable[[Job], None]] = {
            "succeed": self._succeed,
            "fail": lambda job: self._fail(job, "hopeless", transient=False),
            "retry": lambda job: self._fail(job, "transient", transient=True),
            "lose by carry": lambda job: self._lose(job, carry=job.carry),
            "lose by fence": lambda job: self._lose(job, fence=job.fence),
            "drain": self._drain,
            "resume": lambda job: self._keep(job, "resume"),
            "progress": lambda job: self._keep(job, "progress"),
            "sign": lambda job: self._keep(job, "sign"),
            "look": self._stop_if_asked,
        }
        acts[act](job)

    def _claim(self, job_id: str, carry: int, worker: str) -> None:
        expected = self.model.claim(job_id, carry=carry, worker=worker, at=self.clock())
        job = transitions.claim(self.ledger, job_id, carry=carry, worker=worker, child_pid=len(self.attempts))
        assert expected == (job is not None)
        if job is not None:
            self.claims[job_id, carry] += 1
            self.attempts.append(job)

    def _succeed(self, job: Job) -> None:
        values = {"result": {"fence": job.fence}, "progress": {"percent": 100.0}}
        expected = self.model.finish(job.id, fence=job.fence, state="succeeded", cause="completed", **values)
        ended = transitions.finish(
            self.ledger, job.id, fence=job.fence, state=JobState.SUCCEEDED, cause=Cause.COMPLETED, **values
        )
        if ended is not None:
            self.effects[job.id] += 1  # what an attempt did counts when its end is written
        assert expected == (ended is not None)

    def _fail(self, job: Job, cause: str, *, transient: bool) -> None:
        expected = self.model.fail(job.id, fence=job.fence, cause=cause, retryable=transient)
        self._agree(end_attempt(self.ledger, job, cause=cause, message="x", retryable=transient), expected)

    def _lose(self, job: Job, **known: int) -> None:
        """Report as Celery's parent (which knows the carry) or as a dispatcher (which knows the fence)."""
        expected = self.model.fail(job.id, fence=job.fence, cause="worker_lost", retryable=True)
        self._agree(self._settle(job.id, job.worker or "", **known), expected)

    def _settle(self, job_id: str, worker: str, **known: int) -> Job | None:
        return settle_lost(self.ledger, job_id, worker=worker, cause="worker_lost", message="x", **known)

    def _agree(self, real: Job | None, expected: bool) -> None:
        assert expected == (real is not None)
        if real is not None and real.state is JobState.QUEUED:
            # The wait is drawn by lot: its bounds are the promise, and the model takes what was drawn.
            latest = self.clock() + timedelta(seconds=_LONGEST_BACKOFF_S)
            assert real.not_before is None or self.clock() <= real.not_before <= latest
            self.model.jobs[real.id].not_before = real.not_before

    def _drain(self, job: Job) -> None:
        expected = self.model.drain(job.id, fence=job.fence)
        real = transitions.requeue(self.ledger, job.id, fence=job.fence, cause=Cause.DRAINED, counted=False)
        assert expected == (real is not None)

    def _keep(self, job: Job, name: str) -> None:
        value = {"of": job.fence}
        expected = self.model.keep(job.id, fence=job.fence, name=name, value=value)
        real = {
            "resume": lambda: transitions.keep_resume_state(self.ledger, job.id, fence=job.fence, resume=value),
            "progress": lambda: transitions.note_progress(self.ledger, job.id, fence=job.fence, progress=value),
            "sign": lambda: transitions.note_sign(self.ledger, job.id, fence=job.fence),
        }
        assert expected == real[name]()

    def _stop_if_asked(self, job: Job) -> None:
        pulse = queries.pulse(self.ledger, job.id)
        known = self.model.jobs.get(job.id)
        if known is None or pulse is None:
            assert (known, pulse) == (None, None)
            return
        assert (known.state, known.fence, known.cancel_requested) == (pulse.state, pulse.fence, pulse.cancel_requested)
        if pulse.cancel_requested:
            ending: dict[str, Any] = {"state": JobState.CANCELLED, "cause": Cause.CANCEL_REQUESTED}
            expected = self.model.finish(job.id, fence=job.fence, **ending)
            assert expected == (transitions.finish(self.ledger, job.id, fence=job.fence, **ending) is not None)

    def _forget(self, job_id: str) -> None:
        self.ended.pop(job_id, None)
        self.unsent = {event for event in self.unsent if event[0] != job_id}
        del self.effects[job_id]

    def _ask(self, real: Callable[..., Any], model: Callable[[str], None], job_id: str) -> bool:
        try:
            model(job_id)
        except (reference.NotThere, reference.Illegal) as refusal:
            with pytest.raises(NotFound if isinstance(refusal, reference.NotThere) else Conflict):
                real(self.ledger, job_id, tenant_id=self.tenant.id)
            return False
        real(self.ledger, job_id, tenant_id=self.tenant.id)
        return True

    # ---- what always holds

    @invariant()
    def agrees(self) -> None:
        rows = all_rows(self.ledger)
        type(self).steps["run"] += self.begun
        self.begun = True
        self._rows_agree(rows["jobs"])
        self._attempts_agree(rows)
        self._events_agree(rows["state_events"])
        self._ends_are_final(rows["jobs"])
        self._effects_count_once()
        self._keys_agree(rows["idempotency_keys"])
        self._depths_agree()
        published = {(job.id, job.carry) for job in self.model.published()}
        assert published == carrying.published(self.ledger, [QUEUE]).get(QUEUE, set())
        self.clock.pass_s(0.001)

    def _rows_agree(self, rows: list[dict[str, Any]]) -> None:
        found = {row["id"]: _comparable(row) for row in rows}
        assert {job.id: job.row() for job in self.model.jobs.values()} == found
        for row in rows:
            assert (row["finished_at"] is not None) == (row["state"] in reference.TERMINAL)
            assert (row["started_at"] is not None) == (row["fence"] > 0)

    def _attempts_agree(self, rows: dict[str, list[dict[str, Any]]]) -> None:
        found = {
            (row["job_id"], row["fence"]): (row["attempt"], row["worker"], row["outcome"], row["cause"])
            for row in rows["attempts"]
        }
        expected = {
            (job.id, fence): (one.attempt, one.worker, one.outcome, one.cause)
            for job in self.model.jobs.values()
            for fence, one in job.attempts.items()
        }
        assert expected == found
        running = {(row["id"], row["fence"]) for row in rows["jobs"] if row["state"] == "running"}
        owners = [(row["job_id"], row["fence"]) for row in rows["attempts"] if row["ended_at"] is None]
        assert sorted(running) == sorted(owners), "exactly one owner of each running job, and none of others"
        assert all(times == 1 for times in self.claims.values()), "one message starts one attempt"

    def _events_agree(self, rows: list[dict[str, Any]]) -> None:
        told: dict[str, list[tuple[str, str]]] = {}
        for row in sorted(rows, key=lambda row: (row["job_id"], row["n"])):
            states = told.setdefault(row["job_id"], [])
            states.append((row["data"]["state"], row["data"]["cause"]))
            assert row["n"] == len(states), "events are numbered without a gap"
        assert {job.id: job.seen for job in self.model.jobs.values()} == told
        waiting = {(row["job_id"], row["n"]) for row in rows if not row["in_stream"]}
        assert self.unsent <= waiting, "what was not marked as sent is not"
        self.unsent = waiting

    def _ends_are_final(self, rows: list[dict[str, Any]]) -> None:
        now = {row["id"]: row for row in rows}
        for job_id, row in self.ended.items():
            assert row == now[job_id], "an end is final"
        self.ended = {job_id: row for job_id, row in now.items() if row["state"] in reference.TERMINAL}

    def _effects_count_once(self) -> None:
        for job in self.model.jobs.values():
            assert self.effects[job.id] == (job.state == "succeeded"), "one effect for a success, none without"
            if job.state == "succeeded":
                newest = max(one.fence for one in self.attempts if one.id == job.id)
                assert job.result == {"fence": newest}, "the newest fence's effect"

    def _keys_agree(self, rows: list[dict[str, Any]]) -> None:
        expected = {key: job_id for key, (_, job_id, _) in self.model.keys.items()}
        assert expected == {row["key"]: row["job_id"] for row in rows}

    def _depths_agree(self) -> None:
        depth = queries.queue_depths(self.ledger, at=self.clock()).get(QUEUE)
        states = Counter(job.state for job in self.model.jobs.values())
        if depth is None:
            assert states["queued"] + states["running"] == 0
            return
        assert states["running"] == depth.running
        assert states["queued"] == depth.waiting + depth.delayed
        assert len(self.model.published()) == depth.published


def _recent(items: Sequence[Any], back: int) -> Any:
    return items[max(0, len(items) - 1 - back)]


def _comparable(row: dict[str, Any]) -> dict[str, Any]:
    known = row | {"cancel_requested": row["cancel_requested_at"] is not None}
    error = row["error"] and row["error"]["code"]
    return {name: known[name] for name in reference.COLUMNS} | {"error": error, "version": row["version"]}


def run(fresh_url: Callable[[], str], *, steps: int, first_seed: int, shrink: bool = True) -> int:
    """Run the machine from ``first_seed`` on until it has made ``steps`` steps; return how many it made.

    ``fresh_url`` returns the address of a prepared and empty ledger. Any disagreement raises ``AssertionError``.
    """
    counted: Counter[str] = Counter()
    number = first_seed
    with sqlite_of_ours():
        while counted["run"] < steps:
            machine = type(
                "Machine",
                (LedgerMachine,),
                {"fresh_url": staticmethod(fresh_url), "steps": counted},
            )
            examples = -(-(steps - counted["run"]) // STEPS_PER_EXAMPLE)
            run_state_machine_as_test(
                seed(number)(machine),
                settings=settings(
                    max_examples=examples,
                    stateful_step_count=STEPS_PER_EXAMPLE,
                    database=None,
                    deadline=None,
                    report_multiple_bugs=False,
                    phases=(Phase.generate, Phase.shrink) if shrink else (Phase.generate,),
                    suppress_health_check=list(HealthCheck),
                ),
            )
            number += 1
    return counted["run"]
