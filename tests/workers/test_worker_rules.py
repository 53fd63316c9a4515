"""What a worker asks of itself before it starts: profile, capabilities, and reasons not to."""

import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from celery import Celery
from celery.concurrency.prefork import TaskPool
from celery.concurrency.solo import TaskPool as SoloPool

from tasks.core.spec import Queue
from tests.servers import RedisServer
from workers.preflight import find_capabilities
from workers.profiles import PROFILES, Profile, strictest
from workers.refusals import unknown_queues, unsafe_options, unsafe_redis, unsafe_settings


def test_every_queue_has_a_profile() -> None:
    """None is served by accident."""
    assert set(Queue) == set(PROFILES)


def test_one_queue_has_its_own_profile() -> None:
    """Nothing is added or taken."""
    assert PROFILES[Queue.CRAWLER] == strictest(["crawler"])


def test_several_queues_get_the_least_of_each_limit() -> None:
    """Zero jobs a child means no limit, which is never the least."""
    assert Profile(concurrency=1, max_jobs_per_child=20, max_memory_mib=1024) == strictest(["ai", "crawler", "voice"])
    assert Profile(concurrency=1, max_jobs_per_child=0, max_memory_mib=1024) == strictest(["voice", "critical"])


def test_our_own_configuration_is_safe(sender: Celery) -> None:
    """What ``celeryconfig.py`` says passes its own check."""
    assert unsafe_settings(sender.conf) == []


def test_every_unsafe_setting_is_listed_at_once() -> None:
    """With the safe value and the reason."""
    conf = SimpleNamespace(
        worker_prefetch_multiplier=4,
        worker_disable_prefetch=False,
        task_acks_late=True,
        broker_channel_error_retry=False,
        task_create_missing_queues=True,
        worker_pool_start_method="fork",
        task_serializer="pickle",
        result_backend="redis://",
        worker_send_task_events=False,
        broker_transport_options={"socket_timeout": 5},
        accept_content=["json", "pickle"],
    )
    reasons = unsafe_settings(conf)
    assert [*vars(conf)][:9] == [reason.split()[0] for reason in reasons[:9]]
    assert ["lacks socket_connect_timeout", "lacks socket_keepalive", "lacks health_check_interval"] == [
        " ".join(reason.split()[1:3]).rstrip(":") for reason in reasons[9:12]
    ]
    assert "pickles run code" in reasons[12]
    assert 13 == len(reasons)


@pytest.mark.parametrize("pool", ["prefork", "processes", TaskPool])
def test_prefork_pool_is_accepted(pool: object) -> None:
    """By name and as Celery resolves it."""
    assert unsafe_options({}, pool) == []


@pytest.mark.parametrize("pool", ["solo", "threads", "gevent", "eventlet", SoloPool])
def test_other_pools_are_refused_beside_autoscale(pool: object) -> None:
    """No other can beat while it works or be killed."""
    reasons = unsafe_options({"autoscale": "4,1"}, pool)
    assert ["pool", "--autoscale:"] == [reason.split()[0] for reason in reasons]


def test_unknown_queues_are_named_with_the_known_ones() -> None:
    """A typo is seen at once."""
    reasons = unknown_queues(["crawlr", "ai", "Voice"])
    assert ["'crawlr'", "'Voice'"] == [reason.split()[1] for reason in reasons]
    assert "critical, ai, crawler, voice, analytics, maintenance" in reasons[0]


def test_redis_that_evicts_is_refused(redis_server: RedisServer) -> None:
    """Messages would vanish when memory runs out."""
    assert unsafe_redis(redis_server.url) == []
    redis_server.client.config_set("maxmemory-policy", "allkeys-lru")
    try:
        assert ["allkeys-lru" in reason for reason in unsafe_redis(redis_server.url)] == [True]
    finally:
        redis_server.client.config_set("maxmemory-policy", "noeviction")


def test_redis_that_does_not_answer_is_not_judged() -> None:
    """It may come up later; the worker waits for it."""
    assert unsafe_redis("redis://127.0.0.1:1/0") == []


def test_capabilities_are_found_without_loading_them() -> None:
    """Looking is cheap; a browser or R is not started to find out."""
    code = (
        "import sys; from workers.preflight import find_capabilities as find; print(find() == sorted(find()),"
        " {'playwright', 'rpy2', 'trafilatura'} & set(sys.modules))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout == "True set()\n"


def test_r_package_is_found_in_rs_libraries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever R looks, or in the library that is named; with all that it needs, and only beside R."""
    if shutil.which("Rscript") is None:
        pytest.skip("needs R (r-base-core)")
    monkeypatch.delenv("R_LIBS", raising=False)
    if "vacalibration" in find_capabilities():
        pytest.skip("the package is installed")
    (tmp_path / "vacalibration").mkdir()
    (tmp_path / "vacalibration" / "DESCRIPTION").write_text("Package: vacalibration\n")
    assert "vacalibration" not in find_capabilities(tmp_path)
    (tmp_path / "rstan").mkdir()
    (tmp_path / "rstan" / "DESCRIPTION").write_text("Package: rstan\n")
    assert "vacalibration" in find_capabilities(tmp_path)
    assert "vacalibration" not in find_capabilities()
    monkeypatch.setenv("R_LIBS", str(tmp_path))
    assert "vacalibration" in find_capabilities()
    monkeypatch.setenv("PATH", "")
    assert "vacalibration" not in find_capabilities(tmp_path)


def test_capability_is_a_program_on_the_path(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any of its names will do."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "chromium" not in find_capabilities()
    (tmp_path / "google-chrome").write_text("#!/bin/sh\n")
    (tmp_path / "google-chrome").chmod(0o755)
    assert "chromium" in find_capabilities()


def test_named_browser_counts_instead_of_the_path(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the operator says that Chromium is, it must be."""
    (tmp_path / "chromium").write_text("#!/bin/sh\n")
    (tmp_path / "chromium").chmod(0o755)
    named = tmp_path / "elsewhere"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "chromium" not in find_capabilities(browser_program=named)
    (tmp_path / "chromium").rename(named)
    assert "chromium" in find_capabilities(browser_program=named)
