"""How true the evidence of words is: what the margin loses without them, and whether they are words that name a value.

A token is deleted by masking it: the others keep the vectors that the encoder gave them.

Dimensions: K classes, V variants of a text, L tokens.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from niwt_tf.methods.n3.evidence import EvidenceReader, ReadClasses
from niwt_tf.methods.text_evidence import ClassEvidence
from niwt_tf.methods.token_table import TokenTable

_DRAWS = 5
_TOP = 5


@dataclass(frozen=True)
class MarginFall:
    """How far the margin of one image falls without some tokens.

    Attributes:
        before: the margin with all of them.
        top: without those that speak most for the class.
        chance: without as many at random, the mean over several draws.
    """

    before: float
    top: float
    chance: float


def margin_fall(
    reader: EvidenceReader, given: np.ndarray, table: TokenTable, classes: ReadClasses, own: int, rival: int,
    rng: np.random.Generator, *, count: int = 8, of_all: bool = False
) -> MarginFall:
    """Return how far the margin falls when `count` tokens are deleted.

    Args:
        reader: of the generator.
        given: one image, see `EvidenceReader.given`.
        table: the texts of the K classes.
        classes: what `reader.read` gives for the table.
        own: the class that is explained.
        rival: what it is compared with.
        rng: draws the random tokens.
        count: how many are deleted; never the last one of the texts that they are taken from.
        of_all: take them from the texts of all classes, by default from the own class's alone.
    """
    gradients = reader.by_classes(given, classes, own, rival)
    places = list(range(len(table))) if of_all else [own]
    found = reader.by_tokens(table.take(places), places, gradients)
    there = [np.argwhere(table.valid[place]) for place in places]
    tokens = np.concatenate([np.insert(at, 0, place, axis=1) for place, at in zip(places, there, strict=True)])
    weights = np.concatenate([each.weights[tuple(at.T)] for each, at in zip(found, there, strict=True)])
    taken = min(count, len(tokens) - 1)

    def fall(chosen: np.ndarray) -> float:
        touched = sorted(set(tokens[chosen, 0].tolist()))
        valid = table.valid[touched].copy()
        rows = [touched.index(place) for place in tokens[chosen, 0]]
        valid[rows, tokens[chosen, 1], tokens[chosen, 2]] = False
        read = reader.read(table.take(touched), valid)
        embedded, pooled = classes.embedded.copy(), classes.pooled.copy()
        embedded[touched], pooled[touched] = read.embedded, read.pooled
        logits = reader.logits(given, ReadClasses(embedded, pooled))[0]
        return gradients.margin - float(logits[own] - logits[rival])

    chance = [fall(rng.choice(len(tokens), taken, replace=False)) for _ in range(_DRAWS)]
    return MarginFall(gradients.margin, fall(np.argsort(-weights, kind="stable")[:taken]), float(np.mean(chance)))


def first_variants(table: TokenTable) -> TokenTable:
    """Return the table with the first text of each class alone, as an episode of the training reads one of each."""
    return replace(
        table, values=table.values[:, :1], valid=table.valid[:, :1], texts=tuple(each[:1] for each in table.texts),
        words=tuple(each[:1] for each in table.words), spans=tuple(each[:1] for each in table.spans)
    )


def value_share(evidence: ClassEvidence, values: Collection[str], by: str = "for", count: int = _TOP) -> tuple[float, float]:
    """Return which share of the top words of a text are words of a set, and which share of all its words: the base rate.

    Args:
        evidence: the words of a text.
        values: the set, in lower case, for instance colours and shapes.
        by: "for" ranks by what speaks for the class, "size" by the length of the gradient of the margin, "loss" of the loss.
        count: how many are the top ones.

    Returns:
        The two shares; NaN where there is no top word.
    """
    top = evidence.top(count) if by == "for" else evidence.largest(count, loss=by == "loss")
    return _share([word.word for word in top], values), _share(evidence.words, values)


def _share(words: Sequence[str], values: Collection[str]) -> float:
    return float(np.mean([word.casefold() in values for word in words])) if words else float("nan")
