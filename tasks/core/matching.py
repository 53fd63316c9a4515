"""What a job may require of a worker, what a worker offers, and what it lacks: plain comparisons, no ledger.

A requirement of the negative kind is met by what is not there. Names in a list are all meant; numbers mean at least.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any

from pydantic import Field

from tasks.core.ledger.fleet import Worker
from tasks.core.setting_values import LABEL
from tasks.core.spec import Contract

Label = Annotated[str, Field(pattern=LABEL)]
_Labels = Annotated[list[Label], Field(max_length=16)]
_HAS = "`true`: the worker must have it; `false`: it must not."


class Requires(Contract):
    """What a worker must offer for a job. An empty object: nothing, but one is chosen for it (docs/matching.md)."""

    chromium: bool | None = Field(None, description=f"A Chromium program. {_HAS}")
    espeak: bool | None = Field(None, description=f"eSpeak. {_HAS}")
    ffmpeg: bool | None = Field(None, description=f"ffmpeg. {_HAS}")
    git: bool | None = Field(None, description=f"git. {_HAS}")
    nginx: bool | None = Field(None, description=f"nginx. {_HAS}")
    playwright: bool | None = Field(None, description=f"The package playwright. {_HAS}")
    publishing: bool | None = Field(None, description=f"The packages of the extra `publishing`. {_HAS}")
    r: bool | None = Field(None, description=f"R. {_HAS}")
    rpy2: bool | None = Field(None, description=f"The package rpy2. {_HAS}")
    vacalibration: bool | None = Field(None, description=f"The R packages vacalibration and rstan. {_HAS}")
    memory_mb: int | None = Field(None, ge=1, le=10_000_000, description="Least memory for one of its jobs, in MiB.")
    cpus: int | None = Field(None, ge=1, le=10_000, description="Least processors of its machine.")
    labels: _Labels = Field([], description="Labels that it must have, all of them.")
    not_labels: _Labels = Field([], description="Labels that it must not have, none of them.")
    worker: Annotated[str, Field(min_length=1, max_length=200)] | None = Field(
        None, description="This worker alone, as `GET /api/workers` names it: a name lasts as long as its process."
    )
    host: Annotated[str, Field(min_length=1, max_length=200)] | None = Field(None, description="A worker of this host.")
    same_worker_as: Annotated[str, Field(min_length=1, max_length=36)] | None = Field(
        None,
        description="The worker that ran this job of yours last, which may hold its files; once that one has gone, "
        "another on the same host.",
    )

    def asked(self) -> dict[str, Any]:
        """Return what is asked for and nothing else, in one order: as a job keeps it."""
        given = self.model_dump(exclude_none=True)
        return {name: given[name] for name in sorted(given) if given[name] != []}


def with_needs(requires: Mapping[str, Any], needs: Iterable[str]) -> dict[str, Any]:
    """Return ``requires`` and the capabilities that the kind needs, in the order in which a job keeps them."""
    return dict(sorted({**requires, **dict.fromkeys(needs, True)}.items()))


@dataclass(frozen=True, slots=True)
class Offers:
    """What a worker says of itself besides its capabilities; kept in its row.

    Args:
        queues: whose kinds it runs; its row's own ``queues`` are those from whose common lists it takes jobs.
        kinds: which of these its version knows.
        direct: whether it takes jobs from a queue of its own.
        memory_mb: what one of its jobs may take, in MiB.
        tenants: ids of those whose jobs it takes; None: all.
        not_tenants: ids of those whose jobs it does not take.
    """

    queues: Sequence[str] = ()
    kinds: Sequence[str] = ()
    direct: bool = False
    labels: Sequence[str] = ()
    memory_mb: int = 0
    cpus: int = 0
    tenants: Sequence[str] | None = None
    not_tenants: Sequence[str] = ()

    @property
    def is_restricted(self) -> bool:
        """Whether it may not take jobs of some tenants, and so leaves the common lists alone."""
        return self.tenants is not None or bool(self.not_tenants)

    def serves(self, tenant_id: str) -> bool:
        """Tell whether it takes jobs of this tenant."""
        return (self.tenants is None or tenant_id in self.tenants) and tenant_id not in self.not_tenants

    def as_row(self) -> dict[str, Any]:
        """Return it as the ledger keeps it."""
        return asdict(self)


def offers_of(worker: Worker) -> Offers:
    """Return what a worker's row says that it offers; one of a version that says nothing offers its queues."""
    if worker.offers is None:
        return Offers(queues=worker.queues)
    known = Offers.__dataclass_fields__
    return Offers(**{name: value for name, value in worker.offers.items() if name in known})


def direct_queue(worker: str) -> str:
    """Name the queue from which this worker alone takes jobs."""
    return f"{worker}.direct"


@dataclass(frozen=True, slots=True)
class Asked:
    """Jobs that need the same.

    Args:
        place: where the job ran that ``same_worker_as`` names, as ``place_among`` tells. None: it has not run.
    """

    tenant_id: str
    queue: str
    kind: str
    requires: Mapping[str, Any] = field(default_factory=dict)
    place: str | None = None


def lacking(asked: Asked, worker: Worker) -> list[str]:
    """Name all that a worker lacks for these jobs; an empty list: it fits. Its state is not looked at."""
    offers = offers_of(worker)
    missing = [] if asked.queue in offers.queues else [f"queue:{asked.queue}"]
    if offers.kinds and asked.kind not in offers.kinds:
        missing.append(f"kind:{asked.kind}")
    if not offers.serves(asked.tenant_id):
        missing.append("tenant")
    for name, value in asked.requires.items():
        missing += _unmet(name, value, worker, offers=offers, asked=asked)
    return missing


def _unmet(name: str, value: Any, worker: Worker, *, offers: Offers, asked: Asked) -> list[str]:
    if name in {"memory_mb", "cpus"}:
        return [] if getattr(offers, name) >= value else [f"{name}:{value}"]
    if name == "labels":
        return [f"label:{label}" for label in value if label not in offers.labels]
    if name == "not_labels":
        return [f"not_label:{label}" for label in value if label in offers.labels]
    if name == "worker":
        return [] if worker.name == value else [f"worker:{value}"]
    if name == "host":
        return [] if worker.host == value else [f"host:{value}"]
    if name == "same_worker_as":
        return [] if asked.place is not None and _is_place(worker, asked.place) else [f"same_worker_as:{value}"]
    if (name in worker.capabilities) == value:
        return []
    return [name if value else f"not:{name}"]


def _is_place(worker: Worker, place: str) -> bool:
    # The name is exact; a host alone is written with nothing before the sign.
    return worker.host == place[1:] if place.startswith("@") else worker.name == place


def place_among(workers: Iterable[Worker], ran_on: str | None) -> str | None:
    """Return where a job has to go that belongs to what ``ran_on`` left: that worker, or its host once it has gone."""
    if ran_on is None or any(worker.name == ran_on for worker in workers):
        return ran_on
    return "@" + ran_on.partition("@")[2].rpartition("#")[0]


@dataclass(frozen=True, slots=True)
class Unmet:
    """Why no worker can run a job.

    Args:
        what: the first thing that is missing, as ``waiting_for`` shows it.
        words: the whole of it.
    """

    what: str
    words: str


def unmet(asked: Asked, workers: Sequence[Worker]) -> Unmet | None:
    """Tell why none of these live workers can run such a job; None: one can."""
    serving = [worker for worker in workers if asked.queue in offers_of(worker).queues]
    if not serving:
        return Unmet(f"queue:{asked.queue}", f"No live worker serves the queue {asked.queue}.")
    found = [lacking(asked, worker) for worker in serving]
    fewest = min(found, key=len)
    if not fewest:
        return None
    nobody = [code for code in fewest if all(code in codes for codes in found)]
    of = f"Of the {len(serving)} live workers" if len(serving) > 1 else "The only live worker"
    if nobody:
        verb = "none offers" if len(serving) > 1 else "does not offer"
        return Unmet(nobody[0], f"{of} of the queue {asked.queue} {verb}: {_words(nobody)}.")
    nearest = serving[found.index(fewest)].name
    words = f"{of} of the queue {asked.queue} none offers all of it; the nearest, {nearest}, lacks: {_words(fewest)}."
    return Unmet(fewest[0], words)


_TEMPLATES: Mapping[str, str] = {
    "queue": "the queue {}",
    "kind": "a version that knows {}",
    "memory_mb": "{} MiB of memory for a job",
    "cpus": "{} processors",
    "label": "the label {}",
    "not_label": "the absence of the label {}",
    "not": "the absence of {}",
    "worker": "being {}",
    "host": "the host {}",
    "same_worker_as": "having run the job {}, or being on the host that did",
}


def _words(codes: Sequence[str]) -> str:
    return ", ".join(in_words(code) for code in codes)


def in_words(code: str) -> str:
    """Return what a code of ``lacking`` stands for."""
    if code == "tenant":
        return "taking this tenant's jobs"
    name, colon, value = code.partition(":")
    return _TEMPLATES[name].format(value) if colon else name
