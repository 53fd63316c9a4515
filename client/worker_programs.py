"""Worker processes as programs of supervisord: which there are, and its configuration file."""

import json
import shlex
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from client.errors import ConfigurationRefused

QUEUES = ("critical", "ai", "crawler", "voice", "analytics", "maintenance")
MOST_OF_A_QUEUE = 64
ALL_PROGRAMS = [(f"{queue}-{number}", queue) for queue in QUEUES for number in range(1, MOST_OF_A_QUEUE + 1)]
# What a worker ends with when it refuses its settings: to start it again would not help.
_REFUSED = 2


def counts_of(given: Iterable[str]) -> dict[str, int]:
    """Read ``queue=number`` pairs; a queue alone is one worker.

    Raises:
        ConfigurationRefused: no such queue, no such number, or a queue that is given twice.
    """
    counts: dict[str, int] = {}
    for pair in given:
        queue, _, number = pair.partition("=")
        if queue not in QUEUES:
            raise ConfigurationRefused(f"{pair}: no such queue; there are {', '.join(QUEUES)}")
        if queue in counts:
            raise ConfigurationRefused(f"{pair}: {queue} is given twice")
        if "=" in pair and not (number.isascii() and number.isdigit() and int(number) <= MOST_OF_A_QUEUE):
            raise ConfigurationRefused(f"{pair}: expected a number from 0 to {MOST_OF_A_QUEUE}")
        counts[queue] = int(number) if "=" in pair else 1
    return counts


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to run.

    Args:
        counts: workers by queue.
        directory: where the workers find the package ``tasks``; of all of them, as long as any run.
        grace_s: until a worker that was told to stop is killed.
        start_s: for so long a worker must stay up to count as started.
    """

    counts: Mapping[str, int]
    directory: str
    grace_s: float
    start_s: int

    @property
    def programs(self) -> Iterator[tuple[str, str]]:
        """Each worker's name and queue."""
        left = dict(self.counts)
        for name, queue in ALL_PROGRAMS:
            if left.get(queue, 0) > 0:
                left[queue] -= 1
                yield name, queue

    def written(self) -> str:
        """Return the plan as it is kept for the next command."""
        facts = {"counts": dict(self.counts), "directory": self.directory}
        return json.dumps(facts | {"grace_s": self.grace_s, "start_s": self.start_s})

    @classmethod
    def read(cls, path: Path) -> "Plan | None":
        """Return the kept plan; None where none is.

        Raises:
            ConfigurationRefused: the file is not one of ours.
        """
        try:
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError) as exc:
            raise ConfigurationRefused(f"{path}: not readable; remove it") from exc


def configuration(plan: Plan, *, folder: Path, socket: Path, logs: Path) -> str:
    """Return supervisord's file: one program for each worker, so that a change of one leaves the others alone.

    Raises:
        ConfigurationRefused: a path that cannot be written there.

    Source: http://supervisord.org/configuration.html, version 4.3.
    """
    sections: dict[str, Mapping[str, object]] = {
        "unix_http_server": {"file": socket, "chmod": "0700"},
        "supervisord": {
            "logfile": folder / "supervisord.log",
            "pidfile": folder / "supervisord.pid",
            "childlogdir": logs,
            "umask": "077",
        },
        "rpcinterface:supervisor": {
            "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"
        },
    }
    sections |= {f"program:{name}": _program(plan, name, queue, logs) for name, queue in plan.programs}
    return "\n".join(f"[{name}]\n{_lines(values)}" for name, values in sections.items())


def _program(plan: Plan, name: str, queue: str, logs: Path) -> dict[str, object]:
    return {
        "command": shlex.join([sys.executable, "-m", "celery", "-A", "tasks", "worker", "-Q", queue]),
        "directory": plan.directory,
        "autorestart": "unexpected",
        "exitcodes": _REFUSED,
        "startsecs": plan.start_s,
        "startretries": 3,
        "stopsignal": "TERM",
        "stopwaitsecs": round(plan.grace_s),
        # Only the parent is told to stop, and lets its children finish; what is left after the grace is killed.
        "stopasgroup": "false",
        "killasgroup": "true",
        "redirect_stderr": "true",
        "stdout_logfile": logs / f"worker-{name}.log",
        "stdout_logfile_maxbytes": "10MB",
        "stdout_logfile_backups": 3,
    }


def _lines(values: Mapping[str, object]) -> str:
    for value in map(str, values.values()):
        # Supervisord has no way to write these: it takes what follows for a comment, an expansion or another setting.
        if " ;" in value or "%" in value or "\n" in value:
            raise ConfigurationRefused(f"{value!r}: supervisord takes no path with '%', ' ;' or a line's end")
    return "".join(f"{key}={value}\n" for key, value in values.items())
