"""The words that a written network's answer rests on, by finite differences."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from niwt_tf.config.settings import Settings
from niwt_tf.data.schema import Descriptions
from niwt_tf.errors import InputError
from niwt_tf.methods.n3.adapted import targets_of
from niwt_tf.methods.n3.evidence import EvidenceReader, text_evidence
from niwt_tf.methods.n3.generator import N3Generator, embedded_of
from niwt_tf.methods.n3.meta_model import MetaModel
from niwt_tf.methods.n3.prior import LinearPrior
from niwt_tf.methods.standard import Standard
from niwt_tf.methods.text_evidence import ClassEvidence, whole_words
from niwt_tf.methods.token_table import encoder_of, table_of
from niwt_tf.models.backbones import build_network
from studies.evidence import first_variants, margin_fall, value_share
from tests.shared import further

CLASSES = Descriptions(
    ("ant", "bee", "cow"), np.zeros((3, 0), np.float32),
    ("a red bird with wings.\n\nthe bird is striped.", "a blue bird.", "this bird has redwings and a long tail.")
)
SEEN = Descriptions(("ox", "yak"), np.zeros((2, 0), np.float32), ("a green bird.", "a brown bird with long legs."))


@pytest.fixture(scope="module")
def network():
    return build_network("small_vgg", SEEN.names, input_size=16, seed=1)


def made(network, tiny_bert, adapt="head", prior=False, form="equivariant"):
    """Return a generator of random weights that writes for features around those of noise."""
    settings = Settings(text_features=f"encoder:{tiny_bert}", knowledge="texts", n3_adapt=adapt, n3_form=form)
    rng = np.random.default_rng(0)
    encoder = encoder_of(settings, SEEN)
    table = table_of(settings, SEEN, encoder)
    targets = targets_of(network, adapt)
    model = MetaModel(network.num_features, targets, width=8, blocks=1, form=form, way=2, mu=0.3, seed=3).ready(encoder.size)
    standard = Standard.of(rng.normal(0, 2, (20, network.num_features)).astype(np.float32))
    fitted = LinearPrior.fit(table.pooled, rng.normal(size=(2, network.num_features)))[0] if prior else None
    seen = SEEN.names, embedded_of(model, table), table.pooled
    return N3Generator(settings, network, model, standard, fitted, *seen, encoder.identity)


@pytest.fixture(scope="module")
def generator(network, tiny_bert):
    return made(network, tiny_bert, prior=True)


def _pixels():
    return np.random.default_rng(4).uniform(0, 255, (16, 16, 3)).astype(np.float32)


@pytest.mark.slow
@pytest.mark.parametrize("options", [{"adapt": "film"}, *further({"adapt": "all"}, {"form": "ordered"})])
def test_gradients_go_through_all_that_is_written(network, tiny_bert, options):
    check_by_finite_differences(made(network, tiny_bert, **options))


@pytest.mark.slow
def test_weights_are_what_finite_differences_say(generator):
    check_by_finite_differences(generator)


def check_by_finite_differences(generator):
    network = generator.network
    reader, table, pair = EvidenceReader(generator), generator.table(CLASSES), (1, 0)
    table = replace(table, values=table.values.astype(np.float32))
    given, read = reader.given(_pixels()[None]), reader.read(table)
    np.testing.assert_allclose(read.pooled, table.pooled, atol=1e-5)
    np.testing.assert_allclose(read.embedded, embedded_of(generator.model, table), atol=1e-4)
    # The logits are those of the network that is written.
    written = generator.synthesize(CLASSES).apply(network)
    logits = written.model(_pixels()[None], training=False).numpy()
    np.testing.assert_allclose(reader.logits(given, read), logits, rtol=1e-3, atol=1e-3 * np.abs(logits).max())

    gradients = reader.by_classes(given, read, *pair, np.array([0.5, 0.0, 0.0]))
    assert gradients.margin == pytest.approx(logits[0, 1] - logits[0, 0] + 0.5, rel=1e-3, abs=1e-3)
    assert gradients.probabilities.sum() == pytest.approx(1, abs=1e-5)

    def moved(c, v, token, change):
        values = table.values.copy()
        values[c, v, token] += change
        of = reader.logits(given, reader.read(replace(table, values=values)))[0].astype(np.float64) - [0.5, 0, 0]
        return of[1] - of[0], np.log(np.exp(of - of.max()).sum()) + of.max() - of[1]

    found = reader.by_tokens(table, [0, 1, 2], gradients)
    scale = max(float(np.abs(each.weights).max()) for each in found)
    for c, v, token in ((0, 0, 1), (0, 1, 3), (1, 0, 1), (2, 0, 4)):
        step = 1e-2
        along = step * table.values[c, v, token]
        slope = (moved(c, v, token, along)[0] - moved(c, v, token, -along)[0]) / (2 * step)
        assert found[c].weights[v, token] == pytest.approx(slope, abs=2e-2 * scale), (c, v, token)
    axes = step * np.eye(table.values.shape[3])
    slopes = np.array([np.subtract(moved(0, 0, 1, axis), moved(0, 0, 1, -axis)) / (2 * step) for axis in axes])
    np.testing.assert_allclose(np.sqrt(found[0].squares[:, 0, 1]), np.linalg.norm(slopes, axis=0), rtol=5e-2)


@pytest.mark.slow
def test_pieces_are_words_and_words_stand_where_they_are(generator):
    said = text_evidence(generator, CLASSES, _pixels(), "bee", "ant")
    assert [each.name for each in said.classes] == ["bee", "ant", "cow"]
    tokens = generator.table(CLASSES).words[2][0]
    cow, ant = said.classes[2], said.classes[1]
    assert "redwings" in cow.words and "redwings" not in tokens
    assert ant.text == "a red bird with wings.\nthe bird is striped."
    for each in said.classes:
        assert len(each.words) == len(each.spans) == len(each.weights) == len(each.sizes) == len(each.loss_sizes)
        assert [each.text[begin:end] for begin, end in each.spans] == list(each.words)
    best = ant.top(2)
    assert len(best) == 2 and best[0].weight == ant.weights.max() and ant.text[slice(*best[0].span)] == best[0].word
    turned = replace(ant, weights=-ant.weights)
    assert [(-word.weight, word.span) for word in turned.top(2, against=True)] == [(word.weight, word.span) for word in best]
    assert all(word.weight < 0 for word in ant.top(9, against=True))
    assert ant.largest(1)[0].weight == ant.sizes.max() and ant.largest(1, loss=True)[0].weight == ant.loss_sizes.max()
    assert {each.name for each in said.negative} == {"ant", "cow"}
    first = said.strongest(3, 2)[0]
    assert all(first.sentence[slice(*word.span)] == word.word and word.weight > 0 for word in first.words)
    assert all(weight < 0 for *_, weight in said.words(3, against=True))


@pytest.mark.slow
def test_seen_classes_are_read_only_where_they_matter(generator):
    network, every = generator.network, (*SEEN.names, *CLASSES.names)
    whole = Descriptions(every, np.zeros((5, 0), np.float32), (*SEEN.texts, *CLASSES.texts))
    all_read = text_evidence(generator, whole, _pixels(), "ox", "ant", num_seen=2, calibration=0.25)
    logits = generator.generate(CLASSES).apply(network).model(_pixels()[None], training=False).numpy()[0]
    assert all_read.margin == pytest.approx(logits[0] - logits[2] - 0.25, rel=1e-3, abs=1e-3)
    assert len(all_read.classes) == 5
    silent = replace(whole, texts=(SEEN.texts[0], "", *CLASSES.texts))
    two = text_evidence(generator, silent, _pixels(), "ox", "ant", num_seen=2, calibration=0.25, most=2)
    np.testing.assert_allclose(two.classes[0].weights, all_read.classes[0].weights, atol=1e-5)
    with pytest.raises(InputError, match="seen classes must be those"):
        text_evidence(generator, whole.take(np.array([1, 0, 2, 3])), _pixels(), "ox", "ant", num_seen=2)


@pytest.mark.slow
def test_the_margin_falls_as_if_the_words_were_not_there(generator):
    reader, table = EvidenceReader(generator), generator.table(CLASSES)
    given, classes = reader.given(_pixels()[None]), reader.read(table)
    # All tokens of "a blue bird." but one: what stays is the text of that token.
    taken = margin_fall(reader, given, table, classes, 1, 0, np.random.default_rng(0), count=99)
    gradients = reader.by_classes(given, classes, 1, 0)
    (found,) = reader.by_tokens(table.take([1]), [1], gradients)
    length = int(table.valid[1, 0].sum())
    kept = np.zeros_like(table.valid)
    kept[[0, 2]] = table.valid[[0, 2]]
    kept[1, 0, found.weights[0, :length].argmin()] = True
    logits = reader.logits(given, reader.read(table, kept))[0]
    assert taken.before == gradients.margin
    assert taken.top == pytest.approx(taken.before - float(logits[1] - logits[0]), rel=1e-3, abs=1e-3)
    one = margin_fall(reader, given, table, classes, 1, 0, np.random.default_rng(0), count=2, of_all=True)
    assert np.isfinite([one.top, one.chance]).all() and one.top != one.chance
    first = first_variants(table)
    assert first.counts.tolist() == [1, 1, 1] and first.texts[0] == ("a red bird with wings.",)


def test_the_share_of_words_of_a_set():
    words = ("A", "red", "bird", "red", ".")
    evidence = ClassEvidence(
        "ant", "A red bird red.", words, ((0, 1), (2, 5), (6, 10), (11, 14), (14, 15)),
        *(np.array(each, np.float32) for each in ([1, 5, -9, 4, 3], [1, 5, 9, 4, 3], [9, 1, 8, 2, 3])), 0.5
    )
    assert value_share(evidence, {"red"}, count=2) == (1.0, 0.4)
    assert value_share(evidence, {"red"}, by="size", count=2) == (0.5, 0.4)
    assert value_share(evidence, {"red"}, by="loss", count=2) == (0.0, 0.4)
    assert evidence.negative_ratio == 18
    pieces = [(0, 3), (3, 4), (4, 8), (8, 10), (11, 15), (15, 16)]
    assert whole_words("red-winged gulls", pieces) == [[0], [1], [2, 3], [4, 5]] and whole_words("", []) == []
