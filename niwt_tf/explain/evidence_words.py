"""What the words of the classes' texts say of an image, for people and programs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from niwt_tf.explain.words import shortest, shown_weight
from niwt_tf.methods.text_evidence import EvidenceWord, Sentence, TextEvidence

_SENTENCES, _WORDS, _LISTED = 5, 5, 5


def evidence_record(evidence: TextEvidence) -> dict[str, Any]:
    """Return the evidence as values for `write_json`.

    Returns:
        margin (logit of the class minus its rival's); for and against: the sentences that say most, each with class, sentence
        and words (word, weight, above 0 for the class, and span in the sentence); by_loss, the paper's measure
        (section 5.2): positive, the words of the class's own text with the largest gradient of the loss (which is the weight),
        and negative, the classes with the largest ratio of such a gradient to their probability, with their words.
    """
    own = next(each for each in evidence.classes if each.name == evidence.own)
    return {
        "margin": shortest(evidence.margin),
        "for": [_sentence(each) for each in evidence.strongest(_SENTENCES, _WORDS)],
        "against": [_sentence(each) for each in evidence.strongest(_SENTENCES, _WORDS, against=True)],
        "by_loss": {
            "positive": _words(own.largest(_WORDS, loss=True)),
            "negative": [
                {
                    "class": each.name,
                    "probability": shortest(each.probability),
                    "ratio": shortest(each.negative_ratio),
                    "words": _words(each.largest(_WORDS, loss=True)),
                }
                for each in evidence.negative
            ],
        },
    }


def evidence_line(evidence: TextEvidence, against: bool = False, called: Mapping[str, str] | None = None) -> str:
    """Return the words that say most for the class, or against it, each with the class whose text has it, or "nothing".

    Classes are called what `called` says by label; by default, and where one is absent, by their labels.
    """
    called = called or {}
    found = evidence.words(_LISTED, against)
    return ", ".join(f"{word} ({called.get(name, name)}) {shown_weight(weight)}" for word, name, weight in found) or "nothing"


def _sentence(said: Sentence) -> dict[str, Any]:
    return {"class": said.name, "sentence": said.sentence, "words": _words(said.words)}


def _words(words: Iterable[EvidenceWord]) -> list[dict[str, Any]]:
    return [{"word": each.word, "weight": shortest(each.weight), "span": list(each.span)} for each in words]
