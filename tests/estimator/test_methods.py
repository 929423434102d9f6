"""`Niwt(method=...)`: from Python, every method does what NIWT does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone

from niwt_tf import InputError, Niwt, load_dataset
from niwt_tf.data.schema import Dataset, Descriptions, test_data
from niwt_tf.estimator import classifier as estimator
from niwt_tf.explain.counterfactual import Counterfactual
from niwt_tf.files import read_json, write_json
from niwt_tf.serving.bundle.bundle import Bundle
from niwt_tf.serving.export import verification
from niwt_tf.serving.predict import opened, read_pixels
from tests.serving.answers import answered_here
from tests.shared import further

# Those that need texts are in tests/methods/n3 and tests/methods/baselines.
# NIWT itself is what tests/test_estimator.py is about; tests/jobs/test_every_method.py has all others.
# These are of three kinds: a matrix, a network, a kernel.
METHODS = [pytest.param("ale", marks=pytest.mark.slow), *further("dem", "class_mean_gp")]
# Fits the head of all classes at once.
ANEW = "cvae"


@pytest.fixture(scope="module")
def dataset(tiny_birds) -> Dataset:
    return load_dataset("birds", tiny_birds, num_unseen=3, seed=3)


@pytest.fixture(scope="module")
def photos(dataset) -> list[Path]:
    images = test_data(dataset).images
    return [images.root / path for path in images.paths][::5]


@pytest.fixture(scope="module")
def trained_once():
    """Train networks for the first model alone: they are the same whatever the method is."""
    kept = {}

    def train(settings, partitions, execution, **given):
        of = settings.replace(method="niwt")
        if of not in kept:
            kept[of] = real(settings, partitions, execution)
        return kept[of]

    real = estimator.train_partitions
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(estimator, "train_partitions", train)
        yield kept


@pytest.fixture
def fitted(dataset, tiny_settings, trained_once, short_grids):
    """Return a function that fits a method."""
    return lambda method: Niwt(**tiny_settings, method=method).fit(dataset)


@pytest.mark.parametrize("method", METHODS)
def test_from_fitting_to_a_bundle(fitted, dataset, photos, tmp_path, monkeypatch, method):
    model = fitted(method)
    before = model.decision_function(photos)
    assert before.shape == (len(photos), 10) and np.isfinite(before).all() and np.ptp(before) > 0
    assert model.chosen_.method == method
    assert max(model.trials_, key=lambda trial: trial.harmonic_mean) == model.chosen_.trial
    assert clone(model).get_params()["method"] == method
    found = model.evaluate(dataset)
    assert (found["num_seen"], found["num_unseen"]) == (7, 3)
    assert 0 <= found["acc_unseen"] <= 1 and 0 <= found["acc_seen"] <= 1

    model.save(tmp_path / "model")
    record = read_json(tmp_path / "model" / "model.json")
    assert (record["format"], record["method"]) == (6, method)
    loaded = Niwt.load(tmp_path / "model")
    assert loaded.get_params() == model.get_params()
    np.testing.assert_array_equal(loaded.decision_function(photos), before)
    np.testing.assert_array_equal(loaded.predict_proba(photos), model.predict_proba(photos))
    assert loaded.chosen_.trial == model.chosen_.trial
    assert loaded.trials_ == []
    assert loaded.evaluate(dataset) == found

    # What the generator makes of a description is the same from disk, and of an unseen class what it has been.
    rows = dataset.knowledge.values[[dataset.class_names.index(model.classes_[place]) for place in (-1, 0)]]
    row, between = rows[0], rows.mean(axis=0)
    for changed in (model, loaded):
        changed.add_class("twin", row).add_class("newcomer", between)
    after = loaded.decision_function(photos)
    np.testing.assert_array_equal(after, model.decision_function(photos))
    scale = np.abs(before).max()
    np.testing.assert_allclose(after[:, :10], before, rtol=0, atol=1e-5 * scale)
    np.testing.assert_allclose(after[:, 10], before[:, 9], rtol=0, atol=1e-4 * scale)
    assert np.abs(after[:, 11] - after[:, 10]).max() > 1e-5 * scale
    explained = loaded.explain(photos[0], "newcomer", loaded.classes_[0])
    assert explained["class"]["label"] == "newcomer"

    # In this process; test_estimator.py and tests/jobs have exports that are compared in one without Keras.
    monkeypatch.setattr(verification, "ask", answered_here)
    path = loaded.export(tmp_path / "exports", check_images=photos[:2])
    bundle = Bundle.open(path)
    assert bundle.labels == tuple(loaded.classes_)
    assert bundle.metadata["column_map"]["method"] == method
    column, bias = bundle.formula()(row[None])
    np.testing.assert_allclose(column[:, 0], loaded.network_.columns[:, 10], rtol=0, atol=1e-4 * np.abs(column).max())
    assert bias[0] == pytest.approx(loaded.network_.biases[10], abs=1e-4 * (1 + abs(float(bias[0]))))
    pixels = np.stack([read_pixels(photo, 32) for photo in photos])
    with opened(path) as servable:
        np.testing.assert_allclose(servable.run("logits", {"images": pixels})["logits"], after, rtol=0, atol=1e-3 * scale)

    loaded.remove_class("twin").remove_class(loaded.classes_[0])
    assert len(loaded.classes_) == 10
    assert loaded.explain(photos[0])["class"]["label"] in loaded.classes_


@pytest.mark.slow
def test_a_head_that_is_fitted_at_once_is_fitted_anew_for_another_class(fitted, dataset, photos, tmp_path):
    model = fitted(ANEW)
    before = model.decision_function(photos)
    model.save(tmp_path / "model")
    loaded = Niwt.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.decision_function(photos), before)
    row = dataset.knowledge.values[:2].mean(axis=0)
    for changed in (model, loaded):
        changed.add_class("newcomer", row)
    after = loaded.decision_function(photos)
    np.testing.assert_allclose(after, model.decision_function(photos), rtol=1e-4, atol=1e-4)
    assert after.shape == (len(photos), 11) and loaded.classes_[-1] == "newcomer"
    assert (np.abs(after[:, :10] - before).max(axis=0) > 0).all()
    assert loaded.explain(photos[0])["class"]["label"] in loaded.classes_
    loaded.remove_class("newcomer")
    assert list(loaded.classes_) == list(fitted(ANEW).classes_)


@pytest.mark.slow
def test_a_counterfactual_is_of_the_method_that_was_fitted(fitted, photos, monkeypatch):
    """The changed description, given to the fitted generator, moves the class's logit by what the explanation says."""
    model, kept = fitted("class_mean"), []
    real = estimator.explanation_record
    monkeypatch.setattr(estimator, "explanation_record", lambda said, *rest: kept.append(said) or real(said, *rest))
    checked = 0
    for photo in photos:
        model.explain(photo)
        contrast = kept[-1].contrast
        found = contrast.counterfactual
        if not isinstance(found, Counterfactual):
            continue
        checked += 1
        before = model.knowledge_.values[model.network_.index_of(contrast.changed.label)]
        both = Descriptions(("before", "after"), np.stack([before, found.description]))
        columns, biases = model.chosen_.generator.generate(both).new
        network = model.network_
        maps = network.trunk(read_pixels(photo, 32)[None], training=False)
        logits = network.tail(maps, training=False).numpy()[0] @ columns + biases
        assert found.margin_after < 0 <= found.margin_before
        gained = found.margin_before - found.margin_after
        assert logits[1] - logits[0] == pytest.approx(gained, rel=1e-2, abs=1e-4 * float(np.abs(logits).max()))
    assert checked, "no photograph has a counterfactual"


@pytest.mark.slow
def test_the_former_name_is_taken_and_warned_of(dataset, tiny_settings, trained_once, short_grids, tmp_path):
    with pytest.warns(FutureWarning, match=r"Niwt\(head=\.\.\.\) is now Niwt\(method=\.\.\.\)"):
        model = Niwt(**tiny_settings, head="class_mean").fit(dataset)
    assert model.chosen_.method == "class_mean"
    with pytest.warns(FutureWarning):
        model.save(tmp_path / "model")
    loaded = Niwt.load(tmp_path / "model")
    assert (loaded.method, loaded.head) == ("class_mean", None)


def test_a_method_that_there_is_not(dataset, tiny_settings):
    with pytest.raises(InputError, match="method must be one of niwt, n3, ale, .*Received: 'class_means'"):
        Niwt(**tiny_settings, method="class_means").fit(dataset)
    with pytest.raises(InputError, match="Received: 'random'"):
        Niwt(**tiny_settings, method="random").fit(dataset)


@pytest.mark.slow
def test_a_model_of_the_last_format_is_one_sentence(fitted, tmp_path):
    """It had a transferer in place of a generator, and settings with another name."""
    folder = tmp_path / "model"
    fitted("class_mean").save(folder)
    record = read_json(folder / "model.json")
    record["settings"]["head"] = record["settings"].pop("method")
    del record["method"], record["candidate"], record["trial"]
    write_json(folder / "model.json", {**record, "format": 4})
    (folder / "generator.npz").rename(folder / "transferer.npz")
    with pytest.raises(InputError) as raised:
        Niwt.load(folder)
    assert str(raised.value) == "path must hold a model of format 6: fit and save it again. Received: 4."
