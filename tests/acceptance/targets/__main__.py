"""Start a target for a person to look at: `python -m tests.acceptance.targets NAME`, until Ctrl-C."""

import signal
import sys
from types import FrameType

from tests.acceptance.targets.starting import NAMES, started


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main(arguments: list[str]) -> int:
    """Run one target in the foreground; return the exit code."""
    if len(arguments) != 1 or arguments[0] not in NAMES:
        print(f"usage: python -m tests.acceptance.targets {{{'|'.join(NAMES)}}}", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        with started(arguments[0]) as target:
            for path in target.starts:
                print(target.url + path)
            if target.account is not None:
                print(f"sign in at {target.account.login_path} as {target.account.username}: {target.account.password}")
            print("Ctrl-C stops it", flush=True)
            signal.pause()
    except KeyboardInterrupt:
        return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
