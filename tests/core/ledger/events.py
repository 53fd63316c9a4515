"""What may happen to jobs, as Hypothesis draws it for the model test."""

from typing import Any

from hypothesis import strategies as st

from tests.core.ledger import reference

WORKERS = st.sampled_from(["one", "two"])
# How far back in a list, from its newest: mostly near, at times long ago.
_BACK = st.integers(0, 3) | st.integers(0, 20)
_ENDS = ("succeed", "fail", "retry", "lose by carry", "lose by fence", "drain")
_ACTS = st.sampled_from((*_ENDS, "resume", "progress", "sign", "look"))
NEW: dict[str, st.SearchStrategy[Any]] = {
    "key": st.sampled_from([None, None, "k1", "k2"]),
    "body": st.sampled_from(["a", "b"]),
    "priority": st.sampled_from([10, 50]),
    "max_attempts": st.sampled_from([1, 2, 3, 9]),
    "expires_in_s": st.sampled_from([None, None, None, 10]),
}
NEW_JOBS = st.fixed_dictionaries(NEW)
_STATES = st.lists(st.sampled_from(["queued", "running", *reference.TERMINAL]), unique=True, max_size=2)
Event = tuple[str, dict[str, Any]]


def _event(name: str, /, **values: st.SearchStrategy[Any]) -> st.SearchStrategy[Event]:
    return st.tuples(st.just(name), st.fixed_dictionaries(values))


# Each about as often as it stands here; Hypothesis is fond of the first.
EVENTS = st.one_of(
    *(_event("work", worker=WORKERS) for _ in range(2)),
    *(_event("submit", may_publish=st.booleans(), **NEW) for _ in range(2)),
    _event("submit_many", items=st.lists(NEW_JOBS, min_size=1, max_size=4)),
    *(_event("carry", arrives=st.booleans()) for _ in range(2)),
    *(_event("carry_again", back=_BACK, every=st.booleans(), arrives=st.booleans()) for _ in range(2)),
    *(_event("put_back", back=_BACK, late=st.booleans()) for _ in range(2)),
    *(_event("deliver", back=_BACK, worker=WORKERS) for _ in range(4)),
    *(_event("act", back=_BACK, act=_ACTS) for _ in range(6)),
    *(_event("freeze", frozen=WORKERS, other=WORKERS, acts=st.lists(_ACTS, max_size=2)) for _ in range(2)),
    _event("start_worker", name=WORKERS, slots=st.integers(1, 2)),
    _event("beat", name=WORKERS, state=st.sampled_from(["up", "up", "draining"])),
    _event("rescue", name=WORKERS),
    *(_event("cancel", back=_BACK) for _ in range(2)),
    *(_event("replay", back=_BACK, may_publish=st.booleans()) for _ in range(2)),
    _event("erase", back=_BACK),
    _event("change_many", verb=st.sampled_from(["cancel", "replay", "erase"]), states=_STATES, limit=st.integers(1, 5)),
    _event("expire"),
    _event("time_passes", seconds=st.sampled_from([1, 5, 30, 2 * reference.KEY_TTL_S])),
    _event("reload"),
    _event("relay", limit=st.integers(1, 20)),
)
