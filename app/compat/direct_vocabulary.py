"""The 37 message types of the earlier hub: those that are answered here, and why each other one is refused."""

from tasks.core.errors import InputRejected

CHANGES = frozenset({"submit_job", "cancel_job", "force_retry_job"})
"""What a client may say that changes something."""

ANSWERED = CHANGES | {
    *("request_job_status", "subscribe_job", "sync_job_state"),
    *("request_stats", "subscribe_stats", "ack"),
}
"""Of the 37; newer clients' own words (``subscribe_progress`` …) and monitors' are answered as well."""

_WORKERS = "is a worker's: workers take their jobs from the queues, not over a socket"
_SERVERS = "is a server's: clients are told it, and do not say it"
REFUSED: dict[str, str] = {
    **dict.fromkeys(
        (
            *("register_worker", "worker_heartbeat", "worker_status", "claim_job", "update_job_progress"),
            *("complete_job", "fail_job", "subscribe_job_notifications", "service_request", "connector_ws_status"),
        ),
        _WORKERS,
    ),
    **dict.fromkeys(
        (
            *("worker_registered", "worker_heartbeat_ack", "connection_established", "job_accepted", "job_available"),
            *("job_assigned", "job_completed_ack", "job_failed_ack", "response_job_status", "response_stats"),
            *("subscription_confirmed", "stats_broadcast", "job_notifications_subscribed", "job_update"),
            *("job_completed", "system_status", "unknown", "error"),
        ),
        _SERVERS,
    ),
}


def refusal_of(type_: object) -> InputRejected:
    """Make the error for a message that is not answered."""
    if isinstance(type_, str) and type_ in REFUSED:
        return InputRejected(f"{type_} {REFUSED[type_]}.", field="type", code="message_refused")
    shown = type_[:100] if isinstance(type_, str) else type_ if isinstance(type_, int | None) else "what was sent"
    return InputRejected(f"No message type {shown!r}.", field="type", code="unknown_message")
