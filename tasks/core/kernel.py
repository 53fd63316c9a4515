"""What one process needs of the kernel, opened once and closed by its owner."""

from dataclasses import dataclass, field

from tasks.core.artifacts import Artifacts
from tasks.core.events import Events
from tasks.core.ledger import Ledger
from tasks.core.ledger.limits import KnownLimits
from tasks.core.ledger.pauses import KnownPauses
from tasks.core.meanwhile import Meanwhile
from tasks.core.memory import MemoryKills
from tasks.core.relay import Ended
from tasks.core.setting_values import Profile
from tasks.core.settings import Settings
from tasks.core.soon import Soon
from tasks.core.uploads.store import UploadLimits, Uploads, Watch
from tasks.core.warm import Warm

# How long the news that an attempt has begun may wait for the rest of the story.
_SOON_S = 0.05


@dataclass(frozen=True, slots=True)
class Kernel:
    """Settings, ledger, events and artifacts of this process, what it knows of memory, and what its jobs keep warm.

    With ``meanwhile`` the end of an attempt is told there, while the worker's parent already fetches the next job.
    """

    settings: Settings
    ledger: Ledger
    events: Events
    artifacts: Artifacts
    soon: Soon = field(default_factory=lambda: Soon(_SOON_S))
    memory_kills: MemoryKills = field(default_factory=MemoryKills)
    warm: Warm = field(default_factory=Warm)
    meanwhile: Meanwhile[Ended] | None = None
    limits: KnownLimits = field(init=False, compare=False)
    pauses: KnownPauses = field(init=False, compare=False)

    def __post_init__(self) -> None:
        """Begin to know the limits and pauses when they are first asked for."""
        object.__setattr__(self, "limits", KnownLimits(self.ledger))
        object.__setattr__(self, "pauses", KnownPauses(self.ledger))

    @property
    def uploads(self) -> Uploads:
        """The files that tenants sent."""
        return self.uploads_watched_by(None)

    def uploads_watched_by(self, watch: Watch | None) -> Uploads:
        """Return the files that tenants sent; ``watch`` is told what arrives."""
        limits = UploadLimits(self.settings.upload_limit_bytes, self.settings.upload_quota_bytes)
        return Uploads(self.ledger, self.settings.resolved_storage_dir, limits, watch=watch)

    def close(self) -> None:
        """Close every connection, and what is warm."""
        self.warm.close()
        self.soon.close()
        if self.meanwhile is not None:
            self.meanwhile.close()
        self.events.close()
        self.ledger.close()


def open_kernel(settings: Settings, *, pool_size: int = 8) -> Kernel:
    """Open the kernel; connections are made on first use.

    Raises:
        ConfigurationRefused: the ledger's tables do not fit this version and may not be migrated.
        LedgerUnavailable: the ledger cannot be reached.
    """
    ledger = Ledger(settings.resolved_ledger_url, auto_migrate=settings.auto_migrate, pool_size=pool_size)
    ledger.prepare()
    return Kernel(settings, ledger, open_events(settings, ledger), Artifacts(settings.resolved_storage_dir, ledger))


def open_events(settings: Settings, ledger: Ledger) -> Events:
    """Open the live streams where the profile keeps them: in the ledger without Redis, else in Redis."""
    if settings.profile is Profile.LOCAL:
        from tasks.core.ledger_events import LedgerEvents  # noqa: PLC0415  # each profile loads only its own

        return LedgerEvents(ledger, maxlen=settings.stream_maxlen, ttl_s=settings.stream_ttl_s)
    from tasks.core.redis_events import RedisEvents  # noqa: PLC0415  # not where there is no Redis

    return RedisEvents(settings.redis_url, maxlen=settings.stream_maxlen, ttl_s=settings.stream_ttl_s)
