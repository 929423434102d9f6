"""N3 on coloured squares: it learns from words, goes on after an interruption with the same result, and is kept in a file."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from niwt_tf.compute.features import Reader
from niwt_tf.config.settings import Settings
from niwt_tf.data.folds import Fold, class_folds, main_partition
from niwt_tf.data.schema import Descriptions, SeenData
from niwt_tf.errors import InputError
from niwt_tf.methods.n3 import generator, meta_training, n3
from niwt_tf.methods.n3.meta_training import Recipe, episode
from niwt_tf.methods.n3.n3 import METHOD, N3Candidate
from niwt_tf.methods.standard import Standard
from niwt_tf.methods.task import Task, tasks_of
from niwt_tf.methods.token_table import encoder_of, table_of
from niwt_tf.models.backbones import build_network
from tests.shared import further

TEXTS = {
    "red": "a red bird.\n\nthe bird is red and long.", "green": "a green bird.", "blue": "this bird is blue.",
    "grey": "a bird of black and white.", "dark": "a black bird.",
}
SMALL = {"n3_width": 8, "n3_blocks": 1, "n3_way": 3, "n3_steps": 6, "n3_network_steps": 2, "num_folds": 1}


@pytest.fixture(scope="module")
def seen(coloured_seen):
    names = coloured_seen.descriptions.names
    described = Descriptions(names, coloured_seen.descriptions.values, tuple(TEXTS[name] for name in names))
    return SeenData(coloured_seen.images, described)


@pytest.fixture(scope="module")
def networks():
    """Return the networks of the tasks, which no test changes, by the names of their partitions."""
    return {}


@pytest.fixture
def tasks(seen, networks, tiny_bert):
    """Return a function that makes the tasks of settings: the main one and a fold of two validation classes."""

    def make(**options) -> list[Task]:
        settings = Settings(text_features=f"encoder_words:{tiny_bert}", knowledge="texts", **{**SMALL, **options})
        partitions = [main_partition(seen, 0), *class_folds(seen, num_folds=1, num_validation=2, num_unseen=2, seed=0)]
        names = {each.name: each.training.images.class_names for each in partitions}
        for name, classes in names.items():
            if name not in networks:
                networks[name] = build_network("small_vgg", classes, input_size=16, seed=1)
        return tasks_of(settings, partitions, networks, {name: Reader(networks[name]) for name in names})

    return make


def _new(tiny=("teal", "rust")):
    return Descriptions(tiny, np.zeros((2, 3), np.float32), ("a blue and green bird.", "a red and brown bird."))


@pytest.mark.parametrize(
    "options",
    [
        {},
        *further(
            {"n3_adapt": "all", "n3_adapt_if_better": False},
            {"n3_adapt": "film", "n3_adapt_if_better": False, "n3_prior": True},
            {"n3_form": "ordered"},
        ),
    ],
)
@pytest.mark.slow
def test_a_fitted_method_writes_networks_and_is_found_again_in_arrays(tasks, options, coloured, monkeypatch):
    made = tasks(**options)
    with monkeypatch.context() as patched:  # the validation classes' texts are read with the others
        patched.delattr(generator, "table_again")
        METHOD.prepare(made[0].settings, made)
    (candidate,) = METHOD.candidates(made[0].settings, made)
    assert candidate == METHOD.candidate_of(candidate.as_dict()) and candidate.steps <= 8
    table = table_of(made[0].settings, made[0].descriptions, encoder_of(made[0].settings, made[0].descriptions))
    for task in made:
        fitted = METHOD.fit(task, candidate)
        if isinstance(task.partition, Fold):  # its validation classes have no part in it
            of_fold = task.partition.validation_descriptions
            assert not set(of_fold.names) & set(fitted.seen)
            written = [each.synthesize(of_fold).columns for each in (fitted, replace(fitted, known=table))]
            np.testing.assert_allclose(written[1], written[0], atol=1e-5 * np.abs(written[0]).max())
        assert not fitted.independent and fitted.reads_texts
        whole, alone = fitted.generate(_new()), fitted.synthesize(_new())
        num_seen = task.num_seen
        network = whole.apply(task.network)
        assert network.class_names == (*task.descriptions.names, "teal", "rust") and network.num_seen == num_seen
        assert alone.apply(task.network).class_names == ("teal", "rust")
        adapted = options.get("n3_adapt", "head") != "head"
        assert bool(whole.weights) == adapted and (whole.figures.get("adaptation", 0) > 0) == adapted
        scores = whole.scores(task, coloured)
        assert scores.shape == (len(coloured), num_seen + 2) and np.isfinite(scores).all()
        # The order in which new classes are given is theirs alone to have.
        if "n3_form" not in options:
            turned = fitted.synthesize(_new().take(np.array([1, 0])))
            np.testing.assert_allclose(turned.columns[:, ::-1], alone.columns, atol=1e-5 * np.abs(alone.columns).max())
        again = METHOD.generator_of(task.settings, network, fitted.arrays())
        np.testing.assert_allclose(again.generate(_new()).scores(task, coloured), scores, atol=1e-4 * np.abs(scores).max())


@pytest.mark.slow
def test_words_that_tell_classes_apart_are_learnt(tasks):
    made = tasks(n3_steps=80, n3_way=5, n3_learning_rate=1e-2)
    main = made[:1]
    METHOD.prepare(main[0].settings, main)
    generator = METHOD.fit(main[0], METHOD.candidates(main[0].settings, main)[0])
    images = main[0].partition.training.images
    scores = generator.generate(_new()).scores(main[0], images)[:, : main[0].num_seen]
    assert (scores.argmax(axis=1) == images.labels).mean() > 0.6


@pytest.mark.slow
@pytest.mark.combination  # tests/jobs/test_interruption.py kills a whole job
def test_an_interrupted_training_goes_on_with_the_same_result(tasks, tmp_path, monkeypatch):
    (stage,) = METHOD.stages
    options = {"n3_adapt": "film", "n3_adapt_if_better": False, "n3_steps": 5, "n3_network_steps": 4}
    monkeypatch.setattr(meta_training, "_KEPT_EVERY", 2)
    folders = [tmp_path / name for name in ("whole", "stopped", "work_whole", "work_stopped")]
    for folder in folders:
        folder.mkdir()
    made = tasks(**options)
    stage.write(made[0].settings, made, folders[0], lambda: folders[2])

    real, count = meta_training.episode, [0]

    def stops(*arguments):
        count[0] += 1
        if count[0] == 8:  # in the fold's second part, two steps after a checkpoint
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(meta_training, "episode", stops)
    made = tasks(**options)
    with pytest.raises(KeyboardInterrupt):
        stage.write(made[0].settings, made, folders[1], lambda: folders[3])
    monkeypatch.setattr(meta_training, "episode", real)
    made = tasks(**options)
    stage.write(made[0].settings, made, folders[1], lambda: folders[3])
    for name in ("main", "fold_0"):
        with np.load(folders[0] / f"{name}.npz") as one, np.load(folders[1] / f"{name}.npz") as other:
            assert one.files == other.files
            for key in one.files:
                np.testing.assert_array_equal(one[key], other[key], err_msg=key)
    read = tasks(**options)
    stage.read(read, folders[0])
    assert METHOD.candidates(read[0].settings, read) == [N3Candidate(int(np.load(folders[0] / "main.npz")["steps"]))]


@pytest.mark.slow
def test_what_is_not_in_order_is_said(tasks, caplog):
    made = tasks()[:1]
    METHOD.prepare(made[0].settings, made)
    assert "N3 learns the meaning of words from only 5 seen classes. With fewer than 50, use --n3_prior." in caplog.text
    arrays = METHOD.fit(made[0], N3Candidate(1)).arrays()
    arrays["encoder"] = np.array("another")
    generator = METHOD.generator_of(made[0].settings, made[0].network, arrays)
    with pytest.raises(InputError, match="must be the encoder that the meta-model was trained with"):
        generator.synthesize(_new())
    with pytest.raises(InputError, match="at least one class"):
        METHOD.fit(made[0], N3Candidate(1)).synthesize(_new().take(np.arange(0)))


@pytest.mark.slow
def test_a_prior_may_be_all_that_is_kept(tasks, tmp_path):
    """Few classes may teach the meta-model nothing: then the head is what ridge regression predicts from the texts."""
    assert n3._stops(Settings(n3_prior=True))[:3] == [0, 62, 125] and n3._stops(Settings())[0] == 250
    (task, *_) = tasks(n3_prior=True)
    encoder = encoder_of(task.settings, task.descriptions)
    trained = n3._Training(task.settings, task, table_of(task.settings, task.descriptions, encoder), encoder.identity, tmp_path)
    trained.run(0, [0])
    generator = trained.generator(0)
    # Its factor is trained; at first a logit of D features is of the size of 10 of them.
    predicted = 10 / task.network.num_features * generator.prior(table_of(task.settings, _new(), encoder).pooled)
    columns, biases = generator.standard.head(predicted)
    made = generator.synthesize(_new())
    np.testing.assert_allclose(made.columns, columns, atol=1e-5 * np.abs(columns).max())
    np.testing.assert_allclose(made.biases, biases, atol=1e-5 * np.abs(biases).max())


@pytest.mark.parametrize(
    ("adapted", "gain", "error", "steps"),
    [
        # Over both networks 0.3, 0.1 and 0.2.
        ([[0.9, 0.5, 0.5], [0.5, 0.5, 0.5]], 20.0, 5.8, 10),
        # Ahead by 0.1 in the network of validation classes, behind in that of all: 0, -0.05 and -0.1.
        ([[0.8, 0.6, 0.4], [0.0, 0.1, 0.0]], -5.0, 2.9, 6),
        # 0.3, 0 and -0.03: less than the standard error.
        ([[1.0, 0.5, 0.3], [0.4, 0.3, 0.24]], 9.0, 10.5, 6),
    ],
)
def test_more_than_the_head_is_written_if_the_gain_is_above_its_standard_error(adapted, gain, error, steps, caplog):
    reached = {
        3: np.array([[0.9, 0.1, 0.1], [0.1, 0.1, 0.1]]), 6: np.array([[0.7, 0.5, 0.3], [0.1, 0.3, 0.3]]),
        8: np.zeros((2, 3)), 10: np.array(adapted),
    }
    options = {"n3_adapt": "all", "n3_steps": 6, "n3_network_steps": 4}
    settings = Settings(**options)
    assert n3._stops(settings) == [3, 4, 5, 6, 7, 9, 10]
    reached |= {stop: np.zeros((2, 3)) for stop in (4, 5, 7, 9)}
    caplog.set_level("INFO")
    assert n3._best(settings, reached) == steps
    said = "what --n3_adapt=all says" if steps > 6 else "only the head"
    assert f"gains {gain:.1f} points on validation classes (standard error {error:.1f}). N3 writes {said}." in caplog.text
    # An earlier head that is better than both is kept. Heads are compared as those of --n3_adapt=head are.
    assert n3._best(settings, {**reached, 3: np.array([[0.8, 0.8, 0.8], [1.0, 1.0, 1.0]])}) == 3
    reached[3] = np.array([[0.4, 0.4, 0.4], [1.0, 1.0, 1.0]])
    head_alone = {stop: reached[stop][:1] for stop in (3, 4, 5, 6)}
    assert n3._best(Settings(n3_steps=6), head_alone) == 6
    assert n3._best(settings, reached) == steps
    # Without validation classes nothing speaks for more than the head; one may ask for it all the same.
    assert n3._best(settings, {}) == 6
    always = Settings(n3_adapt_if_better=False, **options)
    assert n3._stops(always) == [7, 9, 10] and n3._best(always, {}) == 10


@pytest.mark.slow
@pytest.mark.parametrize("is_better", [False, True])
def test_layers_before_the_head_are_written_or_not_as_validation_classes_say(tasks, coloured, monkeypatch, is_better):
    accuracies = n3._Training.accuracies

    def given(self, stop, known):
        found = accuracies(self, stop, known)
        assert found.shape == (2, 2) and (found >= 0).all() and (found <= 1).all()
        return np.full((2, 2), float((stop == 7) == is_better))

    monkeypatch.setattr(n3._Training, "accuracies", given)
    made = tasks(n3_adapt="film")
    METHOD.prepare(made[0].settings, made)
    (candidate,) = METHOD.candidates(made[0].settings, made)
    assert candidate.steps == (7 if is_better else 3)
    generator = METHOD.fit(made[0], candidate)
    whole = generator.generate(_new())
    assert bool(whole.weights) == is_better
    again = METHOD.generator_of(made[0].settings, made[0].network, generator.arrays())
    scores = whole.scores(made[0], coloured)
    np.testing.assert_allclose(again.generate(_new()).scores(made[0], coloured), scores, atol=1e-4 * np.abs(scores).max())


@pytest.mark.slow
def test_where_only_the_head_is_written_it_is_that_of_a_training_of_the_head(tasks, tmp_path):
    made = {}
    for adapt in ("head", "film"):
        (task, *_) = tasks(n3_adapt=adapt)
        encoder = encoder_of(task.settings, task.descriptions)
        table = table_of(task.settings, task.descriptions, encoder)
        trained = n3._Training(task.settings, task, table, encoder.identity, tmp_path / adapt)
        trained.run(6, [6])
        made[adapt] = trained.generator(6).generate(_new())
    one, other = made.values()
    assert not one.weights and not other.weights
    np.testing.assert_allclose(other.columns, one.columns, atol=1e-5 * np.abs(one.columns).max())
    np.testing.assert_allclose(other.biases, one.biases, atol=1e-5 * np.abs(one.biases).max())


def test_episodes_are_drawn_by_seed_and_number():
    recipe = Recipe(way=3, steps=5, seed=2)
    members = [np.array([0, 1]), np.array([], int), np.array([2]), np.array([3, 4]), np.array([5])]
    counts = np.array([1, 1, 4, 2, 3])
    one, same, other = (episode(recipe, step, members, counts, 50) for step in (1, 1, 2))
    np.testing.assert_array_equal(one.rows, same.rows)
    assert not np.array_equal(one.rows, other.rows)
    assert len(set(one.classes.tolist())) == 3 and 1 not in one.classes
    assert (one.variants < counts[one.classes]).all()
    for row, label in zip(one.rows, one.labels, strict=True):
        assert row in members[one.classes[label]]


def test_a_head_for_standardised_features_is_one_for_features():
    rng = np.random.default_rng(0)
    features = rng.normal(3, 2, (20, 5)).astype(np.float32)
    features[:, 2] = 1.5  # a feature that never changes
    standard, head = Standard.of(features), rng.normal(size=(4, 6)).astype(np.float32)
    columns, biases = standard.head(head)
    expected = standard(features) @ head[:, :-1].T + head[:, -1]
    np.testing.assert_allclose(features @ columns + biases, expected, atol=2e-2)
    assert np.isfinite(columns).all()
