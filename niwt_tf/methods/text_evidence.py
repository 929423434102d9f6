"""Which words of the classes' texts speak for a class against its rival: the record that a method which reads texts fills.

Dimensions: K classes, W words of a text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from niwt_tf.data.descriptions.tokens import sentences

Span = tuple[int, int]
_PAPER = 3  # classes with negative evidence by the paper's measure


class EvidenceWord(NamedTuple):
    """A word where it stands.

    Attributes:
        word: as it is written.
        weight: above 0 where it speaks for the class that is explained.
        span: (begin, end) in its class's text.
    """

    word: str
    weight: float
    span: Span


class Sentence(NamedTuple):
    """A sentence of a class's text with its words that speak most for the class that is explained, or against it.

    Attributes:
        name: of the class that it describes.
        sentence: itself.
        words: strongest first, with spans in the sentence.
        strength: the sum of the weights of all its words of that side, without a sign.
    """

    name: str
    sentence: str
    words: tuple[EvidenceWord, ...]
    strength: float


@dataclass(frozen=True)
class ClassEvidence:
    """The words of a class's text and what they say of the margin, the logit of the explained class minus its rival's.

    Attributes:
        name: of the class that the text describes.
        text: its parts that were read, one a line.
        words: W.
        spans: (begin, end) of each in the text.
        weights: float32 [W], the gradient of the margin by a word's tokens, times these tokens: to first order what the margin
            loses without the word. Above 0 the word speaks for the class that is explained.
        sizes: float32 [W], the length of that gradient.
        loss_sizes: float32 [W], the length of the gradient of the cross-entropy of the explained class.
        probability: of this class, softmax of the calibrated logits.
    """

    name: str
    text: str
    words: tuple[str, ...]
    spans: tuple[Span, ...]
    weights: np.ndarray
    sizes: np.ndarray
    loss_sizes: np.ndarray
    probability: float

    def top(self, count: int, against: bool = False) -> tuple[EvidenceWord, ...]:
        """Return the words that speak most for the class that is explained, or against it, strongest first."""
        sign = -1.0 if against else 1.0
        order = np.argsort(-sign * self.weights, kind="stable")[:count]
        return tuple(self._word(place) for place in order if sign * self.weights[place] > 0)

    def largest(self, count: int, loss: bool = False) -> tuple[EvidenceWord, ...]:
        """Return the words of the largest gradient of the margin, or of the loss; its length is the weight."""
        sizes = self.loss_sizes if loss else self.sizes
        order = np.argsort(-sizes, kind="stable")[:count]
        return tuple(EvidenceWord(self.words[place], float(sizes[place]), self.spans[place]) for place in order)

    @property
    def negative_ratio(self) -> float:
        """The largest gradient of the loss by the class's probability: so the paper ranks negative evidence (5.2)."""
        return float(self.loss_sizes.max(initial=0.0)) / max(self.probability, float(np.finfo(np.float32).tiny))

    @cached_property
    def sentence_spans(self) -> tuple[Span, ...]:
        """Where the sentences of the text are."""
        found, start = [], 0
        for sentence in sentences(self.text):
            begin = self.text.index(sentence, start)
            start = begin + len(sentence)
            found.append((begin, start))
        return tuple(found)

    def sentence(self, span: Span, count: int, against: bool = False) -> Sentence:
        """Return the sentence at a span of `sentence_spans` with at most `count` words of a side."""
        begin, end = span
        sign = -1.0 if against else 1.0
        inside = [place for place, (first, _) in enumerate(self.spans) if begin <= first < end]
        speaking = sorted((place for place in inside if sign * self.weights[place] > 0), key=lambda at: -abs(self.weights[at]))
        words = tuple(
            EvidenceWord(self.words[at], float(self.weights[at]), (self.spans[at][0] - begin, self.spans[at][1] - begin))
            for at in speaking[:count]
        )
        return Sentence(self.name, self.text[begin:end], words, float(np.abs(self.weights[speaking]).sum()))

    def _word(self, place: int) -> EvidenceWord:
        return EvidenceWord(self.words[place], float(self.weights[place]), self.spans[place])


@dataclass(frozen=True)
class TextEvidence:
    """What the texts of classes say of one image.

    Attributes:
        own: the class that is explained.
        rival: what it is compared with.
        margin: the own logit minus the rival's, calibrated.
        classes: those whose texts were read for it, own and rival first, then those with the largest part in the margin.
    """

    own: str
    rival: str
    margin: float
    classes: tuple[ClassEvidence, ...]

    def strongest(self, count: int, words: int, against: bool = False) -> tuple[Sentence, ...]:
        """Return the `count` sentences of any class that say most for the own class, or against it, each with its `words`.

        The same sentence of a class counts once, where it says most.
        """
        found: dict[tuple[str, str], Sentence] = {}
        for each in self.classes:
            for span in each.sentence_spans:
                one = each.sentence(span, words, against)
                key = one.name, one.sentence
                if one.words and (key not in found or one.strength > found[key].strength):
                    found[key] = one
        return tuple(sorted(found.values(), key=lambda one: -one.strength)[:count])

    def words(self, count: int, against: bool = False) -> tuple[tuple[str, str, float], ...]:
        """Return the words that say most for the own class, or against it: word, class of the text, weight.

        A word counts once for a class, with the sum of its weights wherever it stands. Signs without a letter are left out.
        """
        sums: dict[tuple[str, str], float] = {}
        for each in self.classes:
            for word, weight in zip(each.words, each.weights, strict=True):
                if any(letter.isalnum() for letter in word):
                    key = word.casefold(), each.name
                    sums[key] = sums.get(key, 0.0) + float(weight)
        sign = -1.0 if against else 1.0
        order = sorted((key for key in sums if sign * sums[key] > 0), key=lambda key: -abs(sums[key]))
        return tuple((*key, sums[key]) for key in order[:count])

    @property
    def negative(self) -> tuple[ClassEvidence, ...]:
        """The classes with the largest `negative_ratio` but the own one: the paper's negative evidence."""
        others = [each for each in self.classes if each.name != self.own]
        return tuple(sorted(others, key=lambda each: -each.negative_ratio)[:_PAPER])


def whole_words(text: str, spans: Sequence[Span]) -> list[list[int]]:
    """Return which tokens make a word each: pieces that follow each other without a gap, with letters or digits at the seam."""
    groups: list[list[int]] = [[0]] if spans else []
    for place, ((_, end), (begin, after)) in enumerate(pairwise(spans), start=1):
        one = end == begin < after and text[end - 1 : end].isalnum() and text[begin : begin + 1].isalnum()
        if one:
            groups[-1].append(place)
        else:
            groups.append([place])
    return groups
