"""From a text to the mean of what an encoder makes of its sentences: MiniLM, a BERT, or a text module of TensorFlow Hub."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from tqdm import tqdm

from niwt_tf.data.descriptions.bert import bert
from niwt_tf.data.descriptions.token_encoders import WORDS, kept
from niwt_tf.data.descriptions.tokens import sentences, tokens
from niwt_tf.data.hub_location import locate
from niwt_tf.data.schema import dimension_names
from niwt_tf.errors import InputError, brief, first_line
from niwt_tf.files import literal_folder

_BATCH = 256
_PROBE = ("a bird.", "a red bird.")


class _SentenceMeans(ABC):
    """A text -> the mean of what an encoder makes of its sentences: a `niwt_tf.data.schema.TextEncoder`.

    Encoders are trained on sentences, and would cut a long text off or blur it.
    """

    size: int

    @cached_property
    def names(self) -> tuple[str, ...]:
        """K names."""
        return dimension_names(self.size)

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        """Return float32 [len(texts), K]; a text without a sentence is 0.

        Raises:
            InputError: the encoder cannot read a sentence, or its numbers are not finite.
        """
        parts = [sentences(text) for text in texts]
        distinct = list(dict.fromkeys(sentence for of_text in parts for sentence in of_text))
        place = {sentence: number for number, sentence in enumerate(distinct)}
        made = self._of_sentences(distinct)
        rows = [made[[place[sentence] for sentence in of_text]] for of_text in parts]
        return np.stack([row.mean(axis=0) if len(row) else np.zeros(self.size) for row in rows]).astype(np.float32)

    @abstractmethod
    def _of_sentences(self, distinct: Sequence[str]) -> np.ndarray:
        """Return what the encoder makes of sentences, [len(distinct), K]."""


class EncodedSentences(_SentenceMeans):
    """Sentences by a sentence encoder, or by only its word table: "encoder" or "encoder_words", with ":FOLDER" or without.

    What was encoded is kept in the user's cache folder, by the encoder and the sentences. With `progress` a bar is shown over
    sentences, if they take over 5 seconds.

    Raises:
        InputError: the encoder is not there or not in order.
    """

    def __init__(self, text_features: str, progress: bool = False) -> None:
        kind, _, folder = text_features.partition(":")
        self._features, self._progress = text_features, progress
        self._bert = bert(folder, kind == WORDS)
        self.size = self._bert.size

    def known(self, text: str) -> tuple[list[str], list[str]]:
        """Return the words of a text that the encoder has pieces for, each once, and the others."""
        words = list(dict.fromkeys(tokens(text)))
        known = [word for word in words if self._bert.knows(word)]
        return known, [word for word in words if word not in known]

    def arrays(self) -> dict[str, np.ndarray]:
        """Return its name and its identity: the weights stay where they are."""
        return {"encoder": np.array(self._features), "encoder_identity": np.array(self._bert.identity)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> EncodedSentences:
        """Return the encoder whose `arrays` these are.

        Raises:
            InputError: it is not there, or another one is in its place.
        """
        made = cls(str(arrays["encoder"]))
        if made.arrays()["encoder_identity"] != arrays["encoder_identity"]:
            rule = f"--text_features={arrays['encoder']} must be the same encoder as before"
            raise InputError(f"{rule}. Received: one with other weights.")
        return made

    def _of_sentences(self, distinct: Sequence[str]) -> np.ndarray:
        def make() -> dict[str, np.ndarray]:
            with tqdm(total=len(distinct), desc="sentences", delay=5, leave=False, disable=not self._progress) as bar:
                return {"values": self._bert.embeddings(distinct, bar)}

        return kept("sentences", [self._bert.identity, *distinct], make)["values"].astype(np.float64)


class TextModule(_SentenceMeans):
    """Sentences by a module of TensorFlow Hub.

    For the handle see `niwt_tf.data.hub_location.locate`: a module is fetched where it is not there. With `progress` a bar is
    shown over sentences, if they take over 5 seconds.

    Raises:
        InputError: there is no such module, or it does not make float numbers [B, K] of strings [B].
    """

    def __init__(self, handle: str, progress: bool = False) -> None:
        import tensorflow as tf

        self._handle, self._progress = handle, progress
        folder = locate(handle)
        try:
            self._loaded: Any = tf.saved_model.load(str(literal_folder(folder)))
        except Exception as error:  # TensorFlow raises whatever its reader of protos and tensors meets
            raise InputError(f"A hub module must be a readable SavedModel. Received: {folder}: {_reason(error)}.") from error
        # The call of a TF2 module, or the signature of one that was saved otherwise.
        calls = [self._loaded] if callable(self._loaded) else []
        signatures = dict(getattr(self._loaded, "signatures", {}))
        calls += [_by_name(signatures[name]) for name in sorted(signatures, key=lambda name: (name != "serving_default", name))]
        reasons = ["it has no function to call"]
        for call in calls:
            try:
                self._call, self.size = call, _numbers(call(tf.constant(_PROBE))).shape[1]
                return
            except Exception as error:  # a graph raises whatever its first operation does not take
                reasons.append(_reason(error))
        rule = "must be a text module, which turns strings [B] into float numbers [B, K]"
        raise InputError(f"--text_features=hub:{handle} {rule}. Received: {reasons[-1]}.")

    def known(self, text: str) -> tuple[list[str], list[str]]:
        """Return the words of a text, each once; what a module makes of a word it never saw is its own affair."""
        return list(dict.fromkeys(tokens(text))), []

    def arrays(self) -> None:
        """Return None: a module is a program, not numbers."""

    def _of_sentences(self, distinct: Sequence[str]) -> np.ndarray:
        import tensorflow as tf

        made = np.zeros((len(distinct), self.size))
        bar = tqdm(total=len(distinct), desc="sentences", delay=5, leave=False, disable=not self._progress)
        with bar:
            for start in range(0, len(distinct), _BATCH):
                batch = distinct[start : start + _BATCH]
                try:
                    made[start : start + len(batch)] = _numbers(self._call(tf.constant(batch)), len(batch))
                except Exception as error:  # as above
                    rule = f"The hub module {self._handle} must read every sentence"
                    received = f"{brief(batch[0])} and the sentences after it: {_reason(error)}"
                    raise InputError(f"{rule}. Received: {received}.") from error
                bar.update(len(batch))
        if not np.isfinite(made).all():
            sentence = distinct[int(np.argmin(np.isfinite(made).all(axis=1)))]
            raise InputError(
                f"The hub module {self._handle} must give finite numbers. Received: other values for {brief(sentence)}."
            )
        return made


def _by_name(signature: Any) -> Any:
    names = list(signature.structured_input_signature[1])
    return lambda batch: signature(**{names[0]: batch}) if len(names) == 1 else signature()


def _numbers(outputs: Any, count: int = len(_PROBE)) -> np.ndarray:
    """Return the one output [B, K] of floats of a module, or the one called "default", or raise a ValueError."""
    named = dict(outputs) if hasattr(outputs, "items") else {"default": outputs}
    value = named["default"] if "default" in named else next(iter(named.values())) if len(named) == 1 else None
    array = None if value is None else np.asarray(value)
    if array is None or array.ndim != 2 or len(array) != count or array.shape[1] < 1 or array.dtype.kind != "f":
        shown = f"{array.dtype} {list(array.shape)}" if array is not None else f"outputs {', '.join(sorted(named))}"
        raise ValueError(f"{shown} for {count} sentences")
    return array


def _reason(error: Exception) -> str:
    return first_line(error).rstrip(".:")[:200]
