"""The client of Switchyard: ``Switchyard`` and ``AsyncSwitchyard`` submit, follow and fetch jobs over HTTP only.

It imports nothing of the server's code; the one exception is the command ``switchyard settings``, which prints the
server's settings and runs where the server is installed.
"""

from client.async_switchyard import AsyncSwitchyard
from client.errors import (
    AnswerTimedOut,
    ConfigurationRefused,
    Conflict,
    ConnectionFailed,
    Draining,
    EgressRefused,
    FieldError,
    IdempotencyKeyReused,
    InputRejected,
    JobCancelled,
    JobEnded,
    JobFailed,
    LedgerBusy,
    LedgerUnavailable,
    Malformed,
    NotAllowed,
    NotAuthenticated,
    NotFound,
    NotSupported,
    ServerFailed,
    SwitchyardError,
    TooLarge,
    TransportRefused,
    Unavailable,
    UnknownKind,
    WaitTimedOut,
)
from client.limits import Limits
from client.models import Artifact, Change, Event, Job, Kind, LogLine, Page, Progress, QueueInfo, WorkerInfo
from client.steps import Notice
from client.switchyard import Switchyard

__all__ = [
    "Switchyard",
    "AsyncSwitchyard",
    "Limits",
    "Notice",
    "Job",
    "Event",
    "Progress",
    "LogLine",
    "Artifact",
    "Kind",
    "QueueInfo",
    "WorkerInfo",
    "Page",
    "Change",
    "SwitchyardError",
    "ConfigurationRefused",
    "ConnectionFailed",
    "AnswerTimedOut",
    "TransportRefused",
    "InputRejected",
    "FieldError",
    "Malformed",
    "NotSupported",
    "NotAuthenticated",
    "NotAllowed",
    "EgressRefused",
    "NotFound",
    "UnknownKind",
    "Conflict",
    "IdempotencyKeyReused",
    "TooLarge",
    "ServerFailed",
    "Unavailable",
    "LedgerUnavailable",
    "LedgerBusy",
    "Draining",
    "WaitTimedOut",
    "JobEnded",
    "JobFailed",
    "JobCancelled",
]
