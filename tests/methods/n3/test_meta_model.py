"""The meta-model of N3: what another order of the classes does to it, and what it writes."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import tensorflow as tf

from niwt_tf.methods.n3.meta_model import MetaModel, Target
from tests.shared import further

WAY, LENGTH, SIZE, FEATURES = 4, 5, 6, 7
TARGETS = (Target("conv/kernel", 3, 8, 0.5), Target("conv/bias", 3, 1, 2.0))


@cache
def _model(form="equivariant", **options):
    """Return a model that nobody changes for longer than a test; `_model.__wrapped__` makes another."""
    return MetaModel(FEATURES, TARGETS, width=8, blocks=1, form=form, way=WAY, mu=0.1, seed=1, **options).ready(SIZE)


def _texts(seed=0):
    rng = np.random.default_rng(seed)
    tokens = rng.normal(size=(WAY, LENGTH, SIZE)).astype(np.float32)
    return tokens, np.arange(LENGTH) < np.array([5, 3, 1, 4])[:, None]


def test_another_order_of_classes_gives_the_same_columns_in_that_order():
    model, (tokens, valid) = _model(), _texts()
    order = np.array([2, 0, 3, 1])
    head, adapted = model(tokens, valid=valid)
    head_again, adapted_again = model(tokens[order], valid=valid[order])
    np.testing.assert_allclose(head_again, np.asarray(head)[order], atol=1e-5)
    for one, other in zip(adapted, adapted_again, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    assert [one.shape for one in adapted] == [(3, 8), (3, 1)]
    assert head.shape == (WAY, FEATURES + 1)


@pytest.mark.parametrize("form", [pytest.param("ordered", marks=pytest.mark.slow), *further("equivariant", "printed")])
def test_query_key_and_value_start_apart_but_where_they_are_tied(form):
    model, again = _model(form), _model.__wrapped__(form)
    attentions = [layer for layer in model._flatten_layers() if layer.__class__.__name__ == "MultiHeadAttention"]
    assert len(attentions) == 3 + len(TARGETS)
    for layer in attentions:
        query, key, value = (np.asarray(each.kernel) for each in (layer.query_dense, layer.key_dense, layer.value_dense))
        assert not np.array_equal(query, value) and not np.array_equal(key, value)
        assert np.array_equal(query, key) == (form == "ordered" and layer is model.head.attention)
    for one, other in zip(model.weights, again.weights, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("form", ["ordered", *further("printed")])
def test_the_ordered_forms_know_places(form):
    model, (tokens, valid) = _model(form), _texts()
    order = np.array([2, 0, 3, 1])
    head, head_again = model(tokens, valid=valid)[0], model(tokens[order], valid=valid[order])[0]
    assert np.abs(head_again - np.asarray(head)[order]).max() > 1e-3


@pytest.mark.slow
def test_the_mended_form_reads_the_class_at_its_own_place_and_the_printed_one_does_not():
    tokens, valid = _texts()
    found = {}
    for form in ("ordered", "printed"):
        model = _model(form)
        hidden, queries = model.encode(model.embed(tokens, valid))
        _, weights = model.head.attention(queries[None], hidden[None], return_attention_scores=True)
        found[form] = float(np.trace(np.asarray(weights)[0].mean(axis=0))) / WAY
    assert found["ordered"] > 0.3 > found["printed"]


def test_filling_changes_nothing():
    model, (tokens, valid) = _model(), _texts()
    changed = np.where(valid[..., None], tokens, 1e3).astype(np.float32)
    longer = np.concatenate([changed, np.ones((WAY, 3, SIZE), np.float32)], axis=1)
    wider = np.concatenate([valid, np.zeros((WAY, 3), bool)], axis=1)
    np.testing.assert_allclose(model(longer, valid=wider)[0], model(tokens, valid=valid)[0], atol=1e-5)


def test_mu_and_the_unit_of_a_weight_scale_its_adaptation():
    model, (tokens, valid) = _model(), _texts()
    before = [np.asarray(each) for each in model(tokens, valid=valid)[1]]
    own = model.mu.numpy()
    model.mu.assign(0.3)
    after = model(tokens, valid=valid)[1]
    model.mu.assign(own)
    for one, other in zip(before, after, strict=True):
        np.testing.assert_allclose(other, 3 * one, rtol=1e-4)


@pytest.mark.slow
def test_a_head_beside_a_prior_starts_at_zero():
    tokens, valid = _texts()
    np.testing.assert_array_equal(_model(zero=True)(tokens, valid=valid)[0], 0)


@pytest.mark.slow
def test_it_compiles_with_xla():
    model, (tokens, valid) = _model(), _texts()
    compiled = tf.function(lambda values, there: model(values, valid=there)[0], jit_compile=True)
    np.testing.assert_allclose(compiled(tokens, valid), model(tokens, valid=valid)[0], atol=1e-5)
