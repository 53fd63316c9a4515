"""Running a tool: as a plain HTTP request where that is equal, else in the browser. ``runner.Runner`` is the door."""

from tasks.discovery.engine.running.runner import Runner

__all__ = ["Runner"]
