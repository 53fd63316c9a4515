"""The process that sends callbacks, and who keeps it: one beside each dispatcher, once anybody wants to be called."""

import os
import signal
import sys
import time

import structlog
from billiard.util import set_pdeathsig

from tasks.core.errors import LedgerUnavailable
from tasks.core.heap_trimming import keep_trimmed
from tasks.core.ledger import Ledger, webhooks
from tasks.core.settings import Settings
from workers.judge import Every
from workers.supervisor import Supervised

log = structlog.get_logger()

_LOOK_EVERY_S = 1.0
_STOP_LIMIT_S = 5.0


class SenderKeeper:
    """Starts the process when the first webhook is there, and again when it dies.

    A process of its own: what receivers make it wait for, and its share of the interpreter, are nobody else's.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        command = [sys.executable, "-m", "workers", "callbacks", "--keeper", str(os.getpid())]
        self._sender = Supervised("callbacks", command)
        self._looks = Every(_LOOK_EVERY_S)
        self._is_wanted = False

    def look_after(self) -> None:
        """Call it often, always from the same thread: when that ends, so does the process.

        Raises:
            LedgerUnavailable: whether anybody wants to be called is not known.
        """
        if not self._looks.is_due():
            return
        self._is_wanted = self._is_wanted or webhooks.are_there_any(self._ledger)
        if self._is_wanted:
            self._sender.look_after()

    def stop(self) -> None:
        """End the process; tries that are under way get a moment."""
        process = self._sender.process
        if process is None:
            return
        process.terminate()
        deadline = time.monotonic() + _STOP_LIMIT_S
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        if process.poll() is None:
            process.kill()
            process.wait()


def run_sender(settings: Settings, *, keeper: int | None) -> None:
    """Send callbacks until SIGTERM, or until the process ``keeper`` is gone."""
    from tasks.core.callbacks.sender import Sender  # noqa: PLC0415  # httpx, which a dispatcher has no use for
    from tasks.core.egress import Egress, EgressPolicy  # noqa: PLC0415  # as above

    if keeper is not None:
        set_pdeathsig(signal.SIGTERM)
        if os.getppid() != keeper:  # gone before we could ask to be told
            return
    ledger = Ledger(settings.resolved_ledger_url, auto_migrate=False)
    try:
        ledger.prepare()
        with Egress(EgressPolicy.of(settings)) as egress:
            sender = Sender(ledger, settings, egress)
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: sender.stop())
            keep_trimmed()
            sender.run()
    except LedgerUnavailable as exc:
        log.warning("callback_sender_without_ledger", code=exc.code)
        sys.exit(1)
    finally:
        ledger.close()
