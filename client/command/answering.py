"""An answer to a question, written as it comes: sentences with the numbers of their sources, then the sources."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any, TypeAlias

import click

from client.command.exits import Exit
from client.command.follow import left_alone
from client.command.plain import clean, unlinked
from client.command.session import Session, dumped
from client.models import Event

Citation: TypeAlias = Mapping[str, Any]

_KIND = "knowledge.answer"


class Sheet:
    """What has been written of the answer of one attempt."""

    def __init__(self) -> None:
        self._begin(0)

    def _begin(self, attempt: int) -> None:
        self.attempt = attempt
        self.sentences = 0
        self._numbers: dict[tuple[object, object, object], int] = {}
        self._sources: list[str] = []

    def take(self, event: Event) -> None:
        """Write the sentence of a ``delta``; those of another attempt begin anew."""
        if event.type != "delta":
            return
        if self.sentences and event.attempt != self.attempt:
            click.echo("the attempt failed; the answer begins anew", err=True)
            self._begin(event.attempt)
        self.attempt = event.attempt
        self.write(event.data.get("text", ""), event.data.get("citations", ()))

    def write(self, sentence: object, citations: Iterable[Citation]) -> None:
        """Write a sentence, and remember its sources."""
        numbers = dict.fromkeys(self._number(one) for one in citations)
        click.echo(clean(f"{unlinked(str(sentence))} {' '.join(f'[{number}]' for number in numbers)}"))
        self.sentences += 1

    def _number(self, one: Citation) -> int:
        place = (one.get("document_id"), one.get("start"), one.get("end"))
        if place not in self._numbers:
            self._numbers[place] = len(self._numbers) + 1
            self._sources.append(str(one.get("url") or one.get("document_id")))
        return self._numbers[place]

    def end(self, confidence: float) -> None:
        """Write where it all stands."""
        for number, source in enumerate(self._sources, start=1):
            click.echo(clean(f"[{number}] {source}"))
        click.echo(f"confidence {confidence:.2f}")


def answer_to(session: Session, site: str, question: str) -> Exit:
    """Have a question answered; a model's sentences are written as they come."""
    sheet = Sheet()
    with session.client() as client:
        job = client.submit(_KIND, {"site": site, "question": question})
        try:
            if not session.as_json:
                with client.events(job.id, after="0") as events:
                    for event in events:
                        sheet.take(event)
            job = client.wait(job.id)
        except KeyboardInterrupt:
            return left_alone(job.id)
    if session.as_json:
        click.echo(dumped(job))
        return Exit.OK
    result = job.result or {}
    if result.get("answer") is None:
        click.echo("Nothing answers that well enough.")
        return Exit.OK
    for sentence, citations in _sentences_of(result["citations"])[sheet.sentences :]:
        sheet.write(sentence, citations)
    sheet.end(result["confidence"])
    return Exit.OK


def _sentences_of(citations: Sequence[Citation]) -> list[tuple[str, list[Citation]]]:
    """Group citations by their sentence: one that rests on several passages has one each."""
    return [(sentence, list(of)) for sentence, of in groupby(citations, key=lambda one: str(one["sentence"]))]
