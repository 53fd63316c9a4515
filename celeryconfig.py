"""Celery's configuration, derived from the settings and the registry when Celery first needs it.

Why each value is as it is: docs/decisions and ``docs/operations.md``. Delivery guarantees are the ledger's work, so
messages are acknowledged when taken, and no delay, priority or result ever sits in the broker.
"""

import sys

from kombu import Exchange, Queue

from tasks.core.errors import ConfigurationRefused
from tasks.core.settings import load_settings
from tasks.core.spec import Queue as QueueName
from tasks.registry import FAMILIES, load_specs

try:
    _settings = load_settings()
    _specs = load_specs(_settings.extra_families)
except ConfigurationRefused as refusal:
    # Every `celery -A tasks …` loads this module first, and would show a traceback.
    sys.stderr.write(f"Refused to start:\n{refusal.message}\n")
    sys.exit(2)
_limits = {
    "socket_timeout": _settings.redis_timeout_s,
    "socket_connect_timeout": _settings.redis_timeout_s,
    "socket_keepalive": True,
    "health_check_interval": 10,
}

imports = (*(f"{family}.task" for family in (*FAMILIES, *_settings.extra_families)), "workers.lifecycle")

broker_url = _settings.redis_url
broker_connection_retry_on_startup = True
broker_connection_max_retries = None
# A full Redis answers writes with an error that is no lost connection; without this it would end every worker.
broker_channel_error_retry = True
# One list a queue instead of the four of Kombu's priorities, each of which every BRPOP would name.
broker_transport_options = {**_limits, "global_keyprefix": "sy:", "priority_steps": [0]}
result_backend = "tasks.core.backend:LedgerBackend"

task_serializer = "json"
result_serializer = "json"
accept_content = ["json"]
enable_utc = True
timezone = "UTC"

# Kombu's unnamed exchange needs no binding kept in Redis, so routing survives a wipe.
# Nor does Kombu note in Redis, at two round trips a message, what was taken and not acknowledged: the ledger knows.
task_queues = [Queue(name.value, Exchange(""), routing_key=name.value, no_ack=True) for name in QueueName]
task_create_missing_queues = False
task_default_queue = QueueName.MAINTENANCE.value
task_routes = {spec.kind: {"queue": spec.queue.value} for spec in _specs.values()}
task_annotations = {
    spec.kind: {"soft_time_limit": spec.soft_limit_s, "time_limit": spec.hard_limit_s} for spec in _specs.values()
}
task_acks_late = False
task_track_started = False
task_send_sent_event = False

worker_prefetch_multiplier = 1
worker_disable_prefetch = True
worker_pool = "prefork"
worker_pool_start_method = "spawn"
worker_proc_alive_timeout = 30.0
worker_send_task_events = True
worker_hijack_root_logger = False
worker_redirect_stdouts = False
worker_cancel_long_running_tasks_on_connection_loss = False
