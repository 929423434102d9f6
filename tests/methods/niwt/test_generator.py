"""NIWT's generator: what it hands on, and that it goes through its arrays, with a column formula and without."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from niwt_tf.config.settings import Settings
from niwt_tf.data.schema import Descriptions
from niwt_tf.methods.few_shot import FewShotChoice, SeenMoments
from niwt_tf.methods.importance import ClassImportance
from niwt_tf.methods.niwt.generator import NiwtGenerator
from niwt_tf.methods.niwt.mapping import fit_ridge_map
from niwt_tf.methods.niwt.measuring import MeasuredHead
from niwt_tf.methods.niwt.solving import NiwtCandidate
from niwt_tf.methods.niwt.support import Support
from niwt_tf.methods.seen_heads import SeenHead
from niwt_tf.metrics.calibration import logit_statistics
from niwt_tf.models.backbones import build_network

SEEN = ("red", "green", "blue", "grey")
NEW = Descriptions(("violet", "orange"), np.array([[0.5, 0.0, 1.0], [1.0, 0.5, 0.0]], np.float32))


@pytest.fixture(scope="module")
def generator():
    """Return one before its column formula is made, with a head of random columns and importances."""
    network, random = build_network("small_vgg", SEEN, input_size=16), np.random.default_rng(4)
    columns = random.normal(size=(network.num_features, 4)).astype(np.float32)
    head = SeenHead(2.0, columns, random.normal(size=4).astype(np.float32))
    targets = random.normal(size=(4, network.num_neurons)).astype(np.float32)
    measured = MeasuredHead(head, ClassImportance(2 * targets, np.arange(4), 0.5, 0.25), targets, (network.num_neurons,))
    fitted = fit_ridge_map(random.normal(size=(4, 3)).astype(np.float32), targets)
    features = random.normal(size=(12, network.num_features)).astype(np.float32)
    labels, statistics = np.arange(12) % 4, logit_statistics(features, np.arange(12) % 4, head.columns, head.biases)
    prior = SeenMoments.of(features, labels, statistics).prior(FewShotChoice("total", 0.3, 2.0, 0.5), 1.0)
    operator = random.normal(size=(network.num_neurons, network.num_features)).astype(np.float32)
    support = Support(operator, np.empty((0, 2, 2, network.num_neurons), np.float32))
    candidate = NiwtCandidate(0, "closed_form", 0.1, 1e-2)
    settings = Settings(map="ridge", finetune="head")
    return NiwtGenerator(settings, network, measured, fitted, candidate, support, features, labels, prior=prior)


def test_what_others_ask_it_for(generator):
    assert generator.few_shot is generator.prior
    assert generator.importances is generator.head.targets
    assert dict(generator.figures) == {
        "rank_correlation_within": 0.5,
        "rank_correlation_across": 0.25,
        "map_rank_correlation": generator.importance_map.rank_correlation,
    }
    assert generator.with_formula().formula.normaliser is generator.importance_map.normaliser


def test_of_no_class_there_is_the_seen_part_alone(generator):
    for made in (generator, generator.with_formula()):
        found = made.generate(Descriptions((), np.empty((0, 3), np.float32)))
        assert found.names == ()
        assert [part.shape for part in found.new] == [(generator.network.num_features, 0), (0,)]
        np.testing.assert_array_equal(found.head[0], generator.head.head.columns)
        np.testing.assert_array_equal(found.head[1], generator.head.head.biases)


def test_the_formula_gives_the_columns_that_are_solved_for(generator):
    solved, made = (each.generate(NEW) for each in (generator, generator.with_formula()))
    for one, other in zip(solved.new, made.new, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)
    assert made.figures["transfer_cosine"] == pytest.approx(solved.figures["transfer_cosine"], abs=1e-5)


@pytest.mark.parametrize("scale", ["matched", "raw"])
def test_a_formula_matches_the_scale_of_seen_logits_only_where_that_is_asked_for(generator, scale):
    options = generator.options.replace(column_scale=scale)
    formula = replace(generator, options=options).with_formula().formula
    assert (formula.statistics is not None) == (scale == "matched")


def test_a_descent_has_no_formula(generator):
    descent = replace(generator, candidate=replace(generator.candidate, engine="tape"))
    assert descent.with_formula().formula is None


@pytest.mark.parametrize("has_formula", [True, False])
@pytest.mark.parametrize("has_prior", [True, False])
def test_it_goes_through_its_arrays(generator, tmp_path, has_formula, has_prior):
    made = generator.with_formula() if has_formula else generator
    made = made if has_prior else replace(made, prior=None)
    np.savez(tmp_path / "generator.npz", **made.arrays())
    with np.load(tmp_path / "generator.npz", allow_pickle=False) as file:
        again = NiwtGenerator.from_arrays(made.options, made.network, dict(file))
    assert (again.formula is not None, again.prior is not None) == (has_formula, has_prior)
    assert (again.candidate, again.head.sizes, again.support.exact) == (made.candidate, made.head.sizes, None)
    assert dict(again.figures) == dict(made.figures)
    np.testing.assert_array_equal(again.importances, made.importances)
    np.testing.assert_array_equal(again.head.importance.means, made.head.importance.means)
    np.testing.assert_array_equal(again.head.importance.counts, made.head.importance.counts)
    for one, other in zip(again.generate(NEW).head, made.generate(NEW).head, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    if has_prior:
        column = np.ones(made.network.num_features, np.float32)
        refined = [each.few_shot.refine(column, 0.0, made.features[:2]).column for each in (again, made)]
        np.testing.assert_allclose(*refined, rtol=1e-5)


def test_an_operator_engine_s_operator_is_made_again(generator):
    maps = np.random.default_rng(5).normal(size=(2, *generator.network.tail.input_shape[1:])).astype(np.float32)
    descent = replace(
        generator,
        candidate=replace(generator.candidate, engine="operator"),
        support=replace(generator.support, maps=maps),
    )
    again = NiwtGenerator.from_arrays(descent.options, descent.network, descent.arrays())
    assert again.support.exact.num_images == 2
