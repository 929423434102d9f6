"""The texts of classes as tokens: what a method reads that takes words in their order, and not one vector a class.

Dimensions: C classes, V variants of a text, L tokens, E numbers of a token.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tqdm import tqdm

from niwt_tf.config.settings import Settings
from niwt_tf.data.descriptions.token_encoders import TokenEncoder, token_encoder, tokens_by
from niwt_tf.data.descriptions.tokens import sentences
from niwt_tf.data.schema import Descriptions
from niwt_tf.errors import InputError, brief
from niwt_tf.methods.text_options import TextOptions

_LOOKED_AT = 2000  # characters
_SPELLED = 0.5  # tokens a letter; English has 0.2 to 0.3
_PARAGRAPH = re.compile(r"\n\s*\n")


@dataclass(frozen=True)
class TokenTable:
    """Tokens of the texts of C classes, each in up to V variants.

    Attributes:
        names: C.
        texts: the variants of each class.
        values: float16 [C, V, L, E], 0 where there is no token: half of the memory, and as exact as tokens need to be.
        valid: bool [C, V, L], whether there is a token.
        words: the tokens of each variant of each class, as the encoder names them.
        spans: (begin, end) of each in its variant's text.
    """

    names: tuple[str, ...]
    texts: tuple[tuple[str, ...], ...]
    values: np.ndarray
    valid: np.ndarray
    words: tuple[tuple[tuple[str, ...], ...], ...]
    spans: tuple[tuple[tuple[tuple[int, int], ...], ...], ...]

    def __len__(self) -> int:
        return len(self.names)

    @property
    def counts(self) -> np.ndarray:
        """How many variants each class has, int [C]."""
        return self.valid.any(axis=2).sum(axis=1)

    @property
    def pooled(self) -> np.ndarray:
        """The mean of each class's tokens, float32 [C, E]: over a variant, then over variants, which weigh the same."""
        return np.asarray([rows.mean(axis=0) for rows in self.parts_pooled("mean")], np.float32)

    def parts_pooled(self, how: str) -> list[np.ndarray]:
        """Return, for each class, a vector for each of its variants, float32 [V, E].

        It is the "mean" of the variant's tokens, or their "max": the largest value of each number.
        """
        made = []
        for values, valid, count in zip(self.values, self.valid, self.counts, strict=True):
            tokens = [values[v][valid[v]].astype(np.float32) for v in range(count)]
            made.append(np.stack([each.max(axis=0) if how == "max" else each.mean(axis=0) for each in tokens]))
        return made

    def take(self, indices: Sequence[int]) -> TokenTable:
        """Return the classes at indices; of all classes in their order nothing is copied."""
        if list(indices) == list(range(len(self))):
            return self

        def of(values: tuple[Any, ...]) -> tuple[Any, ...]:
            return tuple(values[index] for index in indices)

        return TokenTable(
            of(self.names), of(self.texts), self.values[indices], self.valid[indices], of(self.words), of(self.spans)
        )

    @classmethod
    def of(
        cls, classes: Descriptions, encoder: TokenEncoder, *, most_tokens: int, most_variants: int, progress: bool = False
    ) -> TokenTable:
        """Return the tokens of classes that have texts.

        Raises:
            InputError: a class has no text, or none that the encoder knows a token of.
        """
        parted = []
        for name, text in zip(classes.names, _texts_of(classes), strict=True):
            _check_language(name, text, encoder)
            parted.append(variants(text, encoder, most_tokens, most_variants))
        distinct = list(dict.fromkeys(one for of_class in parted for one in of_class))
        with tqdm(total=len(distinct), desc="texts", delay=5, leave=False, disable=not progress) as bar:
            known = dict(zip(distinct, tokens_by(encoder, distinct, most_tokens, bar), strict=True))
        kept = [tuple(one for one in of_class if known[one].understood) for of_class in parted]
        empty = next((name for name, of_class in zip(classes.names, kept, strict=True) if not of_class), None)
        if empty is not None:
            rule = "The text of each class must have words that the encoder knows"
            raise InputError(f"{rule}. Received: none in that of {empty!r}.")
        count = max((len(of_class) for of_class in kept), default=0)
        length = max((len(known[one].words) for of_class in kept for one in of_class), default=0)
        values = np.zeros((len(kept), count, length, encoder.size), np.float16)
        valid = np.zeros(values.shape[:3], bool)
        for c, of_class in enumerate(kept):
            for v, one in enumerate(of_class):
                width = len(known[one].words)
                values[c, v, :width], valid[c, v, :width] = known[one].values, True
        words = tuple(tuple(known[one].words for one in of_class) for of_class in kept)
        spans = tuple(tuple(known[one].spans for one in of_class) for of_class in kept)
        return cls(classes.names, tuple(kept), values, valid, words, spans)


def _texts_of(classes: Descriptions) -> tuple[str, ...]:
    """Return the text of each class; refuse one without."""
    texts = classes.texts or ("",) * len(classes)
    absent = next((name for name, text in zip(classes.names, texts, strict=True) if not text.strip()), None)
    if absent is not None:
        raise InputError(f"A method that reads words needs a text for each class. Received: none for {absent!r}.")
    return texts


def _check_language(name: str, text: str, encoder: TokenEncoder) -> None:
    """Refuse a text that the encoder would spell letter by letter, as it does with scripts that it was not trained on."""
    start = text[:_LOOKED_AT]
    letters = sum(letter.isalpha() for letter in start)
    if not letters:
        raise InputError(f"The text of each class must have words. Received: that of {name!r}, {brief(start)}.")
    if encoder.count(start) > max(_SPELLED * letters, 1):
        rule = "The text of each class must be in a language that the encoder knows"
        raise InputError(f"{rule}. Received: that of {name!r}, {brief(start)}, which the encoder spells letter by letter.")


def variants(text: str, encoder: TokenEncoder, most_tokens: int, most_variants: int) -> list[str]:
    """Return the parts of a text that each describe the class: its paragraphs, cut between sentences where they are too long.

    Of more than `most_variants` parts, as many are taken, evenly over the text.
    """
    parts: list[str] = []
    for paragraph in _PARAGRAPH.split(text):
        count = 0
        for sentence in sentences(paragraph):
            tokens = encoder.count(sentence)
            if count and count + tokens <= most_tokens:
                parts[-1] += " " + sentence
                count += tokens
            else:
                parts.append(sentence)
                count = tokens
    if len(parts) <= most_variants:
        return parts
    places: Sequence[int] = np.linspace(0, len(parts) - 1, most_variants).round().astype(int).tolist()
    return [parts[place] for place in places]


def encoder_of(settings: Settings, classes: Descriptions) -> TokenEncoder:
    """Return the encoder that settings name, for the texts of classes.

    Raises:
        InputError: a class has no text, or what settings name has no tokens or is not in order.
    """
    return token_encoder(settings.text_features, _texts_of(classes))


def table_of(settings: Settings, classes: Descriptions, encoder: TokenEncoder, progress: bool = False) -> TokenTable:
    """Return the classes' tokens as the settings cut them."""
    own = TextOptions.of(settings)
    return TokenTable.of(classes, encoder, most_tokens=own.n3_tokens, most_variants=own.n3_variants, progress=progress)


def table_again(settings: Settings, classes: Descriptions, identity: str, trained: str) -> TokenTable:
    """Return the tokens of other classes than those of a training, by its encoder, whose identity is given.

    Raises:
        InputError: a class has no text, or the encoder is another one than then; the sentence says what was `trained`.
    """
    encoder = encoder_of(settings, classes)
    if encoder.identity != identity and not settings.text_features.startswith("vectors:"):
        rule = f"--text_features={settings.text_features} must be the encoder that {trained} was trained with"
        raise InputError(f"{rule}. Received: another one, {encoder.identity[:12]} for {identity[:12]}.")
    return table_of(settings, classes, encoder)
