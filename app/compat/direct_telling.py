"""What the monitor tells, in the earlier hub's words, whatever carries it."""

from collections.abc import Collection
from typing import Any

from app.compat.direct_monitor_words import Figures, TheirTopic, messages_of, snapshot_of, stats_of
from app.monitor.viewer import MonitorViewer
from app.streams.cursor import Cursor


class Telling:
    """What a viewer is shown, in their words. For one thread."""

    def __init__(self, viewer: MonitorViewer, topics: Collection[TheirTopic]) -> None:
        self.viewer = viewer
        self.topics = topics
        self._figures = Figures()

    def turn_to(self, topics: Collection[TheirTopic]) -> None:
        """Tell of these topics; figures come at once."""
        self.topics, self._figures = topics, Figures()

    @property
    def patience_s(self) -> float:
        """How long to wait for more, at most: figures may be due although nothing else happens."""
        return self._figures.every_s

    def take(self) -> list[tuple[Cursor, dict[str, Any]]]:
        """Return what is new, each with the place after it.

        Raises:
            LedgerUnavailable: it cannot be told.
        """
        told: list[tuple[Cursor, dict[str, Any]]] = []
        for message in self.viewer.take():
            if message.type == "snapshot":
                told.append((message.cursor, snapshot_of(self.viewer, message)))
            elif message.told is None:
                told.append((message.cursor, {"type": "resumed", **message.data}))
            elif message.told.found.topic in {"queue", "system"}:
                self._figures.changed()
            else:
                told += [(message.cursor, one) for one in messages_of(message.told, self.topics)]
        if "system_stats" in self.topics and self._figures.are_due():
            told.append((self.viewer.cursor, {"type": "system_stats", "data": stats_of(self.viewer)}))
        return told
