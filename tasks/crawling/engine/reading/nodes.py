"""The elements around a page's blocks, a column for each of their properties, and what their subtrees hold."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from lxml import etree

from tasks.crawling.engine.reading.columns import Columns
from tasks.crawling.engine.reading.table import Whole

Kind = tuple[str, str]
"""Tag and classes."""


class _Run(Protocol):
    @property
    def owner(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Sums:
    """What the whole subtree of each node holds, a number a node."""

    words: Whole
    link_words: Whole
    links: Whole
    blocks: Whole
    prose_words: Whole
    images: Whole
    group: Whole
    """Siblings with words, of the same tag and classes, have the same number, in the order in which they first come; a
    node without words has -1."""
    group_size: Whole
    same: Whole
    """How many siblings with words have the node's tag and classes, itself among them; 1 where there are none."""
    total_words: int


@dataclass(slots=True)
class Nodes:
    """Each element in the order of the document; a column for each property."""

    tags: list[str] = field(default_factory=list)
    kinds: list[int] = field(default_factory=list)
    """Numbers of pairs of tag and classes."""
    parent: list[int] = field(default_factory=list)
    own_names: list[int] = field(default_factory=list)
    names: list[int] = field(default_factory=list)
    """Of the element and of all around it, as ``flags`` are."""
    flags: list[int] = field(default_factory=list)
    with_image: list[int] = field(default_factory=list)
    end: list[int] = field(default_factory=list)
    """The number of the first node after the subtree."""
    elements: dict[int, etree._Element] = field(default_factory=dict)
    """Those that are asked again for their attributes."""
    _kinds: dict[Kind, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.parent)

    def kind_of(self, tag: str, classes: str) -> int:
        """Return the number that stands for elements of this tag and these classes."""
        return self._kinds.setdefault((tag, classes), len(self._kinds))

    def add(self, tag: str, kind: int, parent: int, own_names: int, own_flags: int) -> None:
        """Add an element that begins."""
        self.tags.append(tag)
        self.kinds.append(kind)
        self.parent.append(parent)
        self.own_names.append(own_names)
        self.names.append(self.names[parent] | own_names if parent >= 0 else own_names)
        self.flags.append(self.flags[parent] | own_flags if parent >= 0 else own_flags)
        self.end.append(0)

    @property
    def kind_count(self) -> int:
        """How many pairs of tag and classes there are."""
        return len(self._kinds)

    @property
    def kinds_in_order(self) -> list[Kind]:
        """Tag and classes of each kind, by its number."""
        return list(self._kinds)

    def depths(self) -> Whole:
        """Return how many elements are around each."""
        count = len(self.parent)
        ended = np.cumsum(np.bincount(np.array(self.end, dtype=np.int64), minlength=count + 1))
        depths: Whole = np.arange(count) - ended[:count]
        return depths

    def span(self, number: int, blocks: Sequence[_Run]) -> tuple[int, int]:
        """Return the numbers of the first and the last block within a node; -1 where there is none."""
        end = self.end[number]
        inside = [at for at, block in enumerate(blocks) if number <= block.owner < end]
        return (inside[0], inside[-1]) if inside else (-1, -1)

    def sums(self, columns: Columns) -> Sums:
        """Add up what blocks hold over the nodes around them."""
        count = len(self.parent)
        end = np.array(self.end, dtype=np.int64)
        words, linked = columns.words, columns.link_words
        prose = np.where((words >= 10) & (linked * 3 < words), words, 0)
        own = np.zeros((6, count + 1), dtype=np.int64)
        for row, numbers in enumerate((words, linked, columns.links, None, prose)):
            own[row, 1:] = np.bincount(columns.owner, numbers, minlength=count)
        if self.with_image:
            own[5, 1:] = np.bincount(self.with_image, minlength=count)
        before = np.cumsum(own, axis=1)
        whole = before[:, end] - before[:, :-1]
        group, group_size, same = self._groups(whole[0])
        return Sums(
            words=whole[0],
            link_words=whole[1],
            links=whole[2],
            blocks=whole[3],
            prose_words=whole[4],
            images=whole[5],
            group=group,
            group_size=group_size,
            same=same,
            total_words=int(words.sum()),
        )

    def _groups(self, words: Whole) -> tuple[Whole, Whole, Whole]:
        kinds, parents = np.array(self.kinds, dtype=np.int64), np.array(self.parent, dtype=np.int64)
        keys = ((parents + 1) * self.kind_count + kinds).tolist()
        wordy = words > 0
        numbers: dict[int, int] = {}
        for key in itertools.compress(keys, wordy.tolist()):
            numbers.setdefault(key, len(numbers))
        every = np.array([numbers.get(key, -1) for key in keys], dtype=np.int64)
        group = np.where(wordy, every, -1)
        sizes = np.bincount(group[wordy], minlength=len(numbers))
        # Whose key no node with words has is alone.
        return group, sizes, np.append(sizes, 1)[every]
