"""Which blocks of a page are built alike: the boxes around them have the same tags and class names, all the way up."""

import re
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from tasks.crawling.engine.reading.blocks import Block
from tasks.crawling.engine.reading.nodes import Nodes
from tasks.crawling.engine.reading.table import Whole

# Elements so far up are near; what is around those is far.
NEAR_LEVELS = 3
# Of one path; of what stands further out no more is read.
MAX_WORDS = 500
_NAME = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")


class Paths:
    """``of_block`` has the number of each block's path. What is on a path is read once, however many blocks it has."""

    def __init__(self, nodes: Nodes, blocks: Sequence[Block]) -> None:
        self._words = [_words(tag, classes) for tag, classes in nodes.kinds_in_order]
        # Each path begins with another one, of the parent, and goes on with a kind of element.
        self._steps: list[tuple[int, int]] = [(0, -1)]
        self._known: dict[tuple[int, int], int] = {}
        self._of_node: dict[int, int] = {-1: 0}
        self.of_block: Whole = np.array([self._path(nodes, block.owner) for block in blocks], dtype=np.int64)

    def near_and_far(self, path: int) -> tuple[set[str], set[str]]:
        """Return the words of the tags and class names of the innermost elements, and of those around them."""
        near: set[str] = set()
        far: set[str] = set()
        level = 0
        while path and len(far) < MAX_WORDS:
            path, kind = self._steps[path]
            level += 1
            words = near if level <= NEAR_LEVELS else far
            words |= self._words[kind]
        return near, far

    def _path(self, nodes: Nodes, number: int) -> int:
        climbed = []
        while number not in self._of_node:
            climbed.append(number)
            number = nodes.parent[number]
        path = self._of_node[number]
        for node in reversed(climbed):
            step = (path, nodes.kinds[node])
            if step not in self._known:
                self._known[step] = len(self._steps)
                self._steps.append(step)
            path = self._of_node[node] = self._known[step]
        return path


@lru_cache(maxsize=4096)
def _words(tag: str, classes: str) -> frozenset[str]:
    return frozenset({tag, *(name.lower() for name in _NAME.findall(classes[:400]) if len(name) > 1)})
