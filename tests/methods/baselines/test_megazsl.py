"""MEGAZSL: a head is the nearest mean of what is generated, classes do not know each other, and words are learnt."""

from __future__ import annotations

import numpy as np
import pytest

from niwt_tf.errors import InputError
from niwt_tf.methods.baselines import megazsl
from niwt_tf.methods.baselines.megazsl import METHOD, MEGAZSLGenerator, judged, made_features
from niwt_tf.methods.baselines.pooled_text import TextCandidate
from tests.methods.baselines.text_world import NEW, accuracy, text_tasks


@pytest.fixture(scope="module")
def fitted(coloured_seen, tiny_bert):
    """Return a task, its candidates, and the generator of the first."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(megazsl, "STEPS", (40, 2))
        patch.setattr(megazsl.MEGAZSL, "steps", (40, 2))
        patch.setattr(megazsl, "RATE", 3e-3)
        tasks = text_tasks(coloured_seen, tiny_bert, text_pooling=("mean",))
        candidates = METHOD.candidates(tasks[0].settings, tasks)
        yield tasks[0], candidates, METHOD.fit(tasks[0], candidates[0])


@pytest.mark.slow
def test_words_are_learnt(fitted):
    task, candidates, generator = fitted
    assert candidates == [TextCandidate("mean", 40), TextCandidate("mean", 2)]
    assert METHOD.candidate_of(candidates[0].as_dict()) == candidates[0]
    images = task.partition.training.images
    late, early = (METHOD.fit(task, each).generate(NEW).scores(task, images) for each in candidates)
    assert late.shape == (len(images), 7)
    assert accuracy(task, late) > 0.7 >= accuracy(task, early) - 0.2
    # What is made of a class lies about where its images are.
    standard = generator.standard(task.features(images))
    pivots = np.stack([standard[images.labels == c].mean(axis=0) for c in range(5)])
    distances = ((generator.means(generator.seen)[:, None] - pivots[None]) ** 2).sum(axis=2)
    assert (distances.argmin(axis=1) == np.arange(5)).mean() >= 0.6


def test_the_head_is_that_of_the_nearest_mean(fitted):
    task, _, generator = fitted
    features = task.features(task.partition.training.images)
    means = np.concatenate([generator.means(generator.seen), generator.means(generator.reader(NEW))])
    squares = ((generator.standard(features)[:, None] - means[None]) ** 2).sum(axis=2)
    scores = generator.generate(NEW).scores_of(features)
    np.testing.assert_array_equal(scores.argmax(axis=1), squares.argmin(axis=1))
    # Up to a term that all classes of an image have in common.
    apart = scores + squares
    np.testing.assert_allclose(apart - apart[:, :1], 0, atol=2e-3 * np.abs(scores).max())


def test_classes_do_not_know_each_other_and_all_is_found_again(fitted):
    task, _, generator = fitted
    whole = generator.generate(NEW)
    for place in (0, 1):
        one = generator.synthesize(NEW.take(np.array([place])))
        np.testing.assert_allclose(one.new[0][:, 0], whole.new[0][:, place], rtol=1e-4, atol=1e-5)
    alone = generator.synthesize(NEW).apply(task.network)
    assert (alone.class_names, alone.num_seen) == (("teal", "rust"), 0)
    assert whole.apply(task.network).class_names == (*task.descriptions.names, "teal", "rust")
    again = METHOD.generator_of(task.settings, task.network, generator.arrays())
    assert isinstance(again, MEGAZSLGenerator) and again.reads_texts and again.independent and METHOD.reads_texts
    for value, same in zip(whole.head, again.generate(NEW).head, strict=True):
        np.testing.assert_allclose(same, value, rtol=1e-5, atol=1e-6)
    assert all(each.dtype != object for each in generator.arrays().values())
    with pytest.raises(InputError, match="at least one class"):
        generator.synthesize(NEW.take(np.arange(0)))
    assert "mean-pooled" in METHOD.how(TextCandidate("mean", 2))


@pytest.mark.slow
def test_the_same_seed_makes_the_same(fitted, coloured_seen, tiny_bert):
    task, candidates, _ = fitted
    made = [METHOD.fit(task, candidates[1]).weights]
    for seed in (0, 1):
        other = text_tasks(coloured_seen, tiny_bert, seed=seed)[0]
        made.append(METHOD.fit(other, candidates[1]).weights)
    for one, same, other in zip(*made, strict=True):
        np.testing.assert_array_equal(one, same)
        assert not np.array_equal(one, other)


def test_generator_and_critic_by_hand():
    # One number of text, one of noise, one feature; a unit below 0 leaks a fifth.
    weights = [np.array(each, np.float32) for each in ([[2.0]], [1.0], [[1.0], [-1.0]], [0.5], [[3.0]], [1.0])]
    texts, noise = np.array([[1.0], [-1.0]], np.float32), np.array([[-5.0], [10.0]], np.float32)
    # (2 + 1, -5) -> (3, -1) -> 4.5 -> 14.5; (-2 + 1, 10) -> (-0.2, 10) -> -9.7 -> -1.94 -> -4.82
    np.testing.assert_allclose(made_features(weights, texts, noise), [[14.5], [-4.82]], rtol=1e-5)
    critic = [np.array(each, np.float32) for each in ([[1.0]], [1.0], [[2.0]], [[1.0, -1.0]], [0.0, 1.0])]
    real, classes = judged(critic, np.array([[1.0], [-2.0]], np.float32))
    np.testing.assert_allclose(real, [4.0, -0.4], rtol=1e-5)
    np.testing.assert_allclose(classes, [[2.0, -1.0], [-0.2, 1.2]], rtol=1e-5)
