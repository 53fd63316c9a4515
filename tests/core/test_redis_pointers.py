"""Pointers to earlier answers, copied to a real Redis: bounded in number, exactly as old as was said, never missed."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tasks.core.artifacts import Artifacts
from tasks.core.ledger import Ledger, cached_results, transitions
from tasks.core.ledger.tenants import Tenant
from tasks.core.records import Cause, Job, JobState
from tasks.core.redis_pointers import RedisPointers
from tasks.core.result_cache import Pointer, SharedResultCache
from tests.integration.processes import RedisContainer, await_true
from tests.samples import accepted, eventually, running
from tests.servers import free_port

KEY = "a" * 64


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    server = RedisContainer(tmp_path_factory.mktemp("redis"))
    try:
        await_true(lambda: answers(server), what="Redis answers")
        yield server.url
    finally:
        server.teardown()


def answers(server: RedisContainer) -> bool:
    with server.client as client:
        try:
            return bool(client.ping())
        except redis.ConnectionError:
            return False


@pytest.fixture
def pointers(redis_url: str) -> Iterator[RedisPointers]:
    found = RedisPointers(redis_url, limit_s=20)  # a busy machine is no dead Redis
    yield found
    found.close()


def put(
    pointers: RedisPointers, key: str, *, shelf: str = "s", age_s: float = 0, left_s: float = 60, most: int = 100
) -> None:
    pointers.put(shelf, key, Pointer(f"job-{key}", 3, age_s, left_s), max_entries=most)


def test_what_was_put_is_found_with_its_age(pointers: RedisPointers) -> None:
    """By Redis' own clock."""
    put(pointers, "a", shelf="one")
    found = pointers.get("one", "a")
    assert found is not None
    assert ("job-a", 3) == (found.job_id, found.fence)
    assert 0 <= found.age_s < 60
    assert 59.9 <= found.age_s + found.left_s <= 60.001
    assert pointers.get("one", "b") is pointers.get("other", "a") is None


def test_what_is_copied_late_is_as_old_as_it_is(pointers: RedisPointers) -> None:
    """And lives no longer for that."""
    put(pointers, "a", shelf="late", age_s=3600, left_s=40)
    found = pointers.get("late", "a")
    assert found is not None
    assert 3600 <= found.age_s < 3640
    assert 3639.9 <= found.age_s + found.left_s <= 3640.001


def test_reading_prolongs_nothing(pointers: RedisPointers) -> None:
    """An entry ends when it was said that it would, however often it is asked for."""
    began = time.monotonic()
    put(pointers, "a", shelf="short", left_s=2)
    seen = 0
    while pointers.get("short", "a") is not None:
        seen += 1
        assert time.monotonic() - began < 60
    assert time.monotonic() - began >= 1.99
    assert seen > 0


def test_a_new_entry_lives_for_its_own_time(pointers: RedisPointers) -> None:
    """Longer than those that were there, whose shelf goes on as long as it does."""
    put(pointers, "a", shelf="mixed", left_s=0.2)
    put(pointers, "b", shelf="mixed", left_s=60)
    assert eventually(lambda: pointers.get("mixed", "a") is None, within_s=30)
    assert pointers.get("mixed", "b") is not None


def test_what_was_used_longest_ago_makes_room(pointers: RedisPointers) -> None:
    """What was asked for is used."""
    for key in "abc":
        put(pointers, key, shelf="full", most=3)
    pointers.get("full", "a")
    put(pointers, "d", shelf="full", most=3)
    assert ["a", "c", "d"] == [key for key in "abcd" if pointers.get("full", key) is not None]


def test_dropped_entries_are_gone(pointers: RedisPointers) -> None:
    """At once; to drop none is nothing."""
    for key in "abc":
        put(pointers, key, shelf="dropped")
    pointers.drop("dropped")
    pointers.drop("dropped", "a", "b")
    assert ["c"] == [key for key in "abc" if pointers.get("dropped", key) is not None]


def test_a_redis_that_is_away_knows_nothing() -> None:
    """And raises nothing."""
    away = RedisPointers(f"redis://127.0.0.1:{free_port()}/0")
    assert away.get("s", "a") is None
    put(away, "a")
    away.drop("s", "a")
    away.close()


@pytest.fixture
def cache(ledger: Ledger, pointers: RedisPointers, tmp_path: Path) -> SharedResultCache:
    return SharedResultCache(ledger, Artifacts(tmp_path / "artifacts", ledger), pointers, max_entries=2)


def answered(cache: SharedResultCache, tenant: Tenant, key: str = KEY, *, ttl_s: float = 60) -> Job:
    """A job that has succeeded, with a file, and answers to the key."""
    job = running(cache.ledger, tenant)
    cache.artifacts.save(job.id, "a.json", b"x", fence=job.fence, attempt=1, media_type="text/plain")
    cache.remember(job.id, fence=job.fence, key=key, ttl_s=ttl_s)
    how = {"fence": job.fence, "state": JobState.SUCCEEDED, "cause": Cause.COMPLETED, "result": {"n": 1}}
    ended = transitions.finish(cache.ledger, job.id, **how)
    assert ended is not None
    return ended


def found(cache: SharedResultCache, tenant: Tenant, key: str = KEY, **how: float) -> str | None:
    known = cache.find(accepted(cache.ledger, tenant).id, key=key, **how)
    return None if known is None else known.job_id


def elsewhere(cache: SharedResultCache) -> SharedResultCache:
    """Another process's: the same stores, nothing of its own."""
    return SharedResultCache(cache.ledger, cache.artifacts, cache.pointers, max_entries=2)


def test_another_process_finds_the_answer(cache: SharedResultCache, tenant: Tenant) -> None:
    """With its result and files; nobody else's."""
    job = answered(cache, tenant)
    known = elsewhere(cache).find(accepted(cache.ledger, tenant).id, key=KEY)
    assert known is not None
    assert (job.id, {"n": 1}, ["a.json"]) == (known.job_id, known.result, [file.name for file in known.files])
    assert found(cache, tenant, "b" * 64) is None


def test_a_job_that_is_still_running_or_erased_answers_nothing(cache: SharedResultCache, tenant: Tenant) -> None:
    """The pointer only points."""
    job = running(cache.ledger, tenant)
    cache.remember(job.id, fence=job.fence, key=KEY, ttl_s=60)
    assert found(cache, tenant) is None
    job = answered(cache, tenant)
    assert job.id == found(cache, tenant)
    transitions.erase(cache.ledger, job.id, tenant_id=tenant.id)
    assert found(cache, tenant) is None


def test_an_answer_ends_here_as_it_ends_there(cache: SharedResultCache, tenant: Tenant) -> None:
    """In the process that wrote it, in one that read it, and where it is asked for all the while."""
    other = elsewhere(cache)
    answered(cache, tenant, ttl_s=3)
    assert found(other, tenant) is not None
    assert eventually(lambda: found(cache, tenant) is None and found(other, tenant) is None, within_s=30)
    assert found(elsewhere(cache), tenant) is None


def test_who_wants_a_younger_answer_gets_none(cache: SharedResultCache, tenant: Tenant) -> None:
    """Of an entry that still lives."""
    answered(cache, tenant)
    time.sleep(0.05)
    assert found(cache, tenant, max_age_s=0.01) is None
    assert found(cache, tenant, max_age_s=3600) is not None


def test_room_is_made_in_the_ledger_and_holds_everywhere(cache: SharedResultCache, tenant: Tenant) -> None:
    """Counted beside hits and misses; another process that knew the answer gives it no longer."""
    other = elsewhere(cache)
    jobs = [answered(cache, tenant, f"{n}" * 64) for n in range(2)]
    assert jobs[0].id == found(other, tenant, "0" * 64)
    assert jobs[1].id == found(cache, tenant, "1" * 64)
    newest = answered(cache, tenant, "2" * 64)
    standing = cached_results.standing(cache.ledger, tenant_id=tenant.id, kind=newest.kind)
    assert (1, 2) == (standing.evictions, standing.entries)
    for process in (cache, other, elsewhere(cache)):
        assert [None, jobs[1].id, newest.id] == [found(process, tenant, f"{n}" * 64) for n in range(3)]


def test_a_fresher_answer_replaces_the_one_that_others_know(cache: SharedResultCache, tenant: Tenant) -> None:
    """Who forces a discovery forces it for all."""
    other = elsewhere(cache)
    first = answered(cache, tenant)
    assert first.id == found(other, tenant)
    second = answered(cache, tenant)
    assert second.id == found(other, tenant)


def test_a_redis_that_was_wiped_has_lost_nothing(
    cache: SharedResultCache, pointers: RedisPointers, redis_url: str, tenant: Tenant
) -> None:
    """Entries, counts and times are the ledger's; the answer is copied anew, and ends when it would have ended."""
    jobs = [answered(cache, tenant, f"{n}" * 64, ttl_s=3600) for n in range(3)]
    cache.count(jobs[0].id, key=KEY, hit=True)
    standing = cached_results.standing(cache.ledger, tenant_id=tenant.id, kind=jobs[0].kind)
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
    shelf = f"{tenant.id}:{jobs[0].kind}"
    assert pointers.get(shelf, "2" * 64) is None
    assert [None, jobs[1].id, jobs[2].id] == [found(elsewhere(cache), tenant, f"{n}" * 64) for n in range(3)]
    copied = pointers.get(shelf, "2" * 64)
    assert copied is not None
    assert jobs[2].id == copied.job_id
    assert copied.left_s <= 3600.001 - copied.age_s
    assert standing == cached_results.standing(cache.ledger, tenant_id=tenant.id, kind=jobs[0].kind)


def test_without_redis_answers_are_found_all_the_same(cache: SharedResultCache, tenant: Tenant) -> None:
    """By the ledger alone."""
    away = RedisPointers(f"redis://127.0.0.1:{free_port()}/0")
    other = SharedResultCache(cache.ledger, cache.artifacts, away, max_entries=2)
    assert answered(cache, tenant).id == found(other, tenant)
    assert answered(other, tenant, "b" * 64).id == found(cache, tenant, "b" * 64)
    away.close()
