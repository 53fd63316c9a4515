"""Why a worker must not start: settings under which Celery on Redis would lose, hoard or repeat jobs."""

from collections.abc import Mapping, Sequence
from typing import Any

import redis

from tasks.core.redis_events import connect
from tasks.core.spec import Queue

# name: (the only safe value, why)
_EXACT: Mapping[str, tuple[object, str]] = {
    "worker_prefetch_multiplier": (1, "a worker would hoard jobs"),
    "worker_disable_prefetch": (True, "a child would hoard one job behind a long one"),
    "task_acks_late": (False, "a visibility timeout would deliver a running job again"),
    "broker_channel_error_retry": (True, "a full Redis would end the worker"),
    "task_create_missing_queues": (False, "a mistyped queue would wait for jobs that never come"),
    "worker_pool_start_method": ("spawn", "a fork would copy the ledger's connections and locks"),
    "task_serializer": ("json", "messages carry data, not objects"),
    "result_backend": ("tasks.core.backend:LedgerBackend", "killed children would not be noticed"),
    "worker_send_task_events": (True, "Flower would see nothing"),
}
_TRANSPORT_LIMITS = ("socket_timeout", "socket_connect_timeout", "socket_keepalive", "health_check_interval")


def unsafe_settings(conf: Any) -> list[str]:
    """List what is unsafe in Celery's configuration."""
    reasons = [
        f"{name} is {getattr(conf, name)!r}, must be {safe!r}: {why}"
        for name, (safe, why) in _EXACT.items()
        if getattr(conf, name) != safe
    ]
    options = conf.broker_transport_options or {}
    reasons += [
        f"broker_transport_options lacks {name}: a half-open socket would leave the worker deaf"
        for name in _TRANSPORT_LIMITS
        if not options.get(name)
    ]
    if set(conf.accept_content) != {"json"}:
        reasons.append(f"accept_content is {conf.accept_content!r}, must be ['json']: pickles run code")
    return reasons


def unsafe_options(options: Mapping[str, Any], pool: Any) -> list[str]:
    """List what is unsafe in the worker's command line."""
    reasons = []
    name = pool if isinstance(pool, str) else getattr(pool, "__module__", str(pool))
    if "prefork" not in str(name) and name != "processes":
        reasons.append(f"pool {name!r}: use prefork; no other can beat while it works or be killed")
    if options.get("autoscale"):
        reasons.append("--autoscale: the number of slots must stand still; start another worker instead")
    return reasons


def unknown_queues(queues: Sequence[str]) -> list[str]:
    """List names that are not among the six."""
    known = ", ".join(queue.value for queue in Queue)
    return [f"queue {name!r} does not exist; the queues are {known}" for name in queues if name not in set(Queue)]


def unsafe_redis(url: str) -> list[str]:
    """List what is unsafe in the broker's own settings; nothing when it cannot be asked (it may come up later)."""
    client = connect(url, timeout_s=2.0)
    try:
        policy = client.config_get("maxmemory-policy").get("maxmemory-policy")
    except redis.RedisError:
        return []
    finally:
        client.close()
    if policy in {None, "noeviction"}:
        return []
    return [f"Redis evicts keys (maxmemory-policy {policy}), must be noeviction: messages would vanish"]
