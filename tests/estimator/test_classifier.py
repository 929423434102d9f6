"""`Niwt` in scikit-learn's manners, and that it does what the jobs do."""

from __future__ import annotations

import inspect
import shutil
from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf
from sklearn.base import clone

from niwt_tf import InputError, Niwt, load_dataset
from niwt_tf.config.settings import SETTINGS, Settings
from niwt_tf.data.images.decode import decode_image
from niwt_tf.data.schema import Dataset, Descriptions, test_data
from niwt_tf.estimator import classifier as estimator
from niwt_tf.estimator.parameters import DATA_SETTINGS
from niwt_tf.files import read_json
from niwt_tf.metrics.probabilities import Probabilities
from niwt_tf.models.network import Network

# As a share of an array's largest entry. `fit` hands arrays on in the order of memory that the jobs' files have, and gives the
# same bits on the processors at hand; for the kernels of others nobody can promise that. Another kernel moved the columns by
# 3e-7 of the largest; one pixel of one training image moves them by 0.2, and each other array of the network by 4e-4 or more.
ROUNDING = 1e-5


@pytest.fixture(scope="module")
def dataset(tiny_birds, tmp_path_factory) -> Dataset:
    """Return the data set of `finished_run`, from a copy of its folder."""
    folder = shutil.copytree(tiny_birds, tmp_path_factory.mktemp("copy") / "birds")
    return load_dataset("birds", folder, num_unseen=3, seed=3)


@pytest.fixture(scope="module")
def test_paths(dataset):
    images = test_data(dataset).images
    return [images.root / path for path in images.paths]


@pytest.fixture(scope="module")
def fitted_blind(dataset, test_paths) -> Callable[..., Niwt]:
    """Return a function that fits a model while every test image holds garbage."""

    def fit(**settings) -> Niwt:
        kept = [path.read_bytes() for path in test_paths]
        for path in test_paths:
            path.write_bytes(b"garbage")
        try:
            return Niwt(**settings).fit(dataset)
        finally:
            for path, contents in zip(test_paths, kept, strict=True):
                path.write_bytes(contents)

    return fit


@pytest.fixture(scope="module")
def as_the_job(fitted_blind, tiny_settings) -> Niwt:
    """Return a model of the settings of `finished_run`."""
    return fitted_blind(**tiny_settings)


@pytest.fixture(scope="module")
def model(fitted_blind, tiny_settings) -> Niwt:
    """Return a model that has less to train and to choose from."""
    return fitted_blind(**{**tiny_settings, "epochs": 1, "num_folds": 1, "head_regularization": (10.0,)})


@pytest.mark.slow
def test_training_and_every_choice_are_blind_to_test_images(as_the_job, finished_run):
    """Where `niwt run` had whole test images, garbage gave the same columns, choices and calibration, but for rounding."""
    network = Network.load(finished_run.path / "transfer" / "network.keras")
    assert as_the_job.network_.class_names == network.class_names
    for expected, found in zip(network.model.get_weights(), as_the_job.network_.model.get_weights(), strict=True):
        np.testing.assert_allclose(found, expected, rtol=0, atol=ROUNDING * np.abs(expected).max())
    assert as_the_job.network_.calibration == pytest.approx(network.calibration, rel=ROUNDING)
    assert network.calibration != 0
    chosen = read_json(finished_run.path / "transfer" / "selection.json")["chosen"]
    found = as_the_job.chosen_.trial.as_dict()
    found["layer_weights"] = list(found["layer_weights"])
    numbers = {name: pytest.approx(value, rel=ROUNDING) for name, value in chosen.items() if isinstance(value, float)}
    assert found == {**chosen, **numbers}
    # Two ridge heads and two discriminants, then eight penalties of the map for the best of each kind.
    assert len(as_the_job.trials_) == 4 + 2 * 8


@pytest.mark.slow
def test_the_score_is_that_of_the_jobs(as_the_job, dataset, finished_run):
    metrics = read_json(finished_run.path / "metrics.json")
    others = {"validation_harmonic_mean", "validation_acc_zsl", "transfer_cosine", "faithfulness", "optimistic", "test_ledger"}
    found = as_the_job.evaluate(dataset)
    # Counts of images are the same, so an accuracy that is another differs by far more than this.
    assert found == pytest.approx({name: value for name, value in metrics.items() if name in found}, abs=ROUNDING)
    assert metrics.keys() - found.keys() <= others


def test_predictions_of_paths_and_of_pixels(model, dataset, test_paths):
    paths = test_paths[::4]
    names = model.predict(paths)
    assert names.shape == (len(paths),)
    assert set(names) <= set(model.classes_) == set(dataset.class_names)
    probabilities = model.predict_proba([str(path) for path in paths])
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(model.classes_[probabilities.argmax(axis=1)], names)
    ratio = np.log(probabilities[:, 0] / probabilities[:, -1]) * model.chosen_.probabilities.temperature
    logits = model.decision_function(paths)
    np.testing.assert_allclose(ratio, logits[:, 0] - logits[:, -1], atol=1e-3)
    # Pillow decodes a JPEG to slightly other levels, so the pixels are those of our decoder.
    pixels = np.stack([decode_image(tf.constant(path.read_bytes()), 32).numpy() for path in paths])
    np.testing.assert_allclose(model.decision_function(pixels), model.decision_function(paths), atol=1e-2)
    assert model.predict(np.repeat(np.repeat(pixels, 2, axis=1), 3, axis=2)).shape == names.shape
    assert model.predict([]).shape == (0,)
    assert model.predict(np.empty((0, 8, 8, 3))).shape == (0,)


@pytest.mark.parametrize(
    ("images", "sentence"),
    [
        ("a.png", "images must be a list of paths or an array .* Received: str"),
        (3, "images must be a list of paths or an array .* Received: int"),
        (["/no/such.png"], "images must be files that exist. Received: '/no/such.png'"),
        ([3], "images must be a list of paths or an array .* Received: "),
        (np.zeros((2, 8, 8)), r"Received: shape \(2, 8, 8\)"),
        (np.zeros((2, 8, 8, 4)), r"Received: shape \(2, 8, 8, 4\)"),
        (np.full((1, 8, 8, 3), np.nan), "finite"),
        (np.full((1, 8, 8, 3), 1j), "images must be numbers in 0..255. Received: complex128"),
        ([None], "images must be a list of paths or an array .* Received: None in a list"),
        ([np.zeros((8, 8, 3))], r"images must be a list of paths or an array .* Received: array\(.*\.\.\. in a list"),
        (np.array([["a", "b"]]), "images must be"),
        (np.full((1, 4, 4, 3), 0.5, np.float32), "in 0..255. Received: numbers in 0..1; multiply them by 255"),
        (np.full((1, 4, 4, 3), -3.0), "in 0..255. Received: numbers from -3 to -3"),
        (np.full((1, 4, 4, 3), 256, np.uint16), "in 0..255. Received: numbers from 256 to 256"),
    ],
)
def test_images_of_another_form(model, images, sentence):
    with pytest.raises(InputError, match=sentence):
        model.predict(images)


def test_an_image_that_cannot_be_decoded_is_named(model, tmp_path):
    (tmp_path / "torn.png").write_bytes(b"torn")
    with pytest.raises(InputError, match=r"torn\.png"):
        model.predict([tmp_path / "torn.png"])


def test_a_class_comes_and_goes(model, dataset, test_paths, tmp_path):
    model.save(tmp_path / "model")
    changed = Niwt.load(tmp_path / "model")
    row = dataset.knowledge.values[dataset.split.unseen[0]]
    before = changed.decision_function(test_paths[:5])
    assert changed.add_class("new bird", row) is changed
    assert changed.classes_[-1] == "new bird"
    after = changed.decision_function(test_paths[:5])
    np.testing.assert_allclose(after[:, :-1], before, atol=1e-4)
    named = dict(zip(dataset.knowledge.names, row.tolist(), strict=True))
    assert changed.add_class("again", named).classes_[-1] == "again"
    np.testing.assert_array_equal(changed.network_.columns[:, -1], changed.network_.columns[:, -2])
    assert changed.evaluate(dataset)["num_unseen"] == 5
    changed.remove_class("new bird").remove_class("again")
    np.testing.assert_allclose(changed.decision_function(test_paths[:5]), before, atol=1e-4)
    gone = dataset.class_names[dataset.split.seen[0]]
    changed.remove_class(gone)
    assert gone not in changed.predict(test_paths)
    with pytest.raises(InputError, match="must know every class"):
        changed.evaluate(dataset)


@pytest.mark.parametrize(
    ("description", "sentence"),
    [
        ([1.0, 2.0], "description must be 47 finite numbers"),
        ([float("nan")] * 47, "description must be 47 finite numbers"),
        ("blue", "description must be 47 finite numbers"),
        ({"has_crown_color::blue": 1.0}, "description must give all 47 entries"),
        (
            {"has_crown_colour::blue": 1.0},
            "unknown entry. Received: 'has_crown_colour::blue'. Did you mean 'has_crown_color::blue'",
        ),
    ],
)
def test_a_description_that_does_not_fit(model, description, sentence):
    with pytest.raises(InputError, match=sentence):
        model.add_class("new", description)
    assert "new" not in model.classes_


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda model: model.add_class(None, [0.0] * 47), "name must be the name of a class, a text. Received: None"),
        (lambda model: model.add_class(b"new", [0.0] * 47), "name must be the name of a class, a text. Received: b'new'"),
        (lambda model: model.add_class("new", {1: 2.0}), "description has an unknown entry. Received: 1"),
        (lambda model: model.add_class("new", text=5), "text must be a text. Received: 5"),
        (lambda model: model.remove_class(5), "name must be the name of a class, a text. Received: 5"),
        (lambda model: model.synthesize(["a", "b"]), "texts must be a dict of texts by class name. Received"),
        (lambda model: model.save(None), "path must be the path of a folder. Received: None"),
        (lambda model: model.save(""), "path must be the path of a folder. Received: ''"),
        (lambda model: model.save("pyproject.toml/model"), "path must not be inside a file. .*pyproject.toml' is a file"),
        (lambda model: model.export(None), "path must be the path of a folder. Received: None"),
        (lambda model: model.export("new", k="5"), "k must be an integer. Received: '5'"),
        (lambda model: model.export("new", k=2.5), "k must be an integer. Received: 2.5"),
        (lambda model: model.export("new", check_images="a.png"), "check_images must be a list of files. Received: 'a.png'"),
        (lambda model: model.export("new", check_images=[5]), "check_images must be files. Received: 5"),
        (lambda model: Niwt.load(5), "path must be the path of a folder. Received: 5"),
        (lambda model: model.evaluate("birds"), "dataset must be what load_dataset returns. Received: 'birds'"),
    ],
)
def test_arguments_of_a_wrong_type_are_named(model, call, sentence, repository, monkeypatch):
    monkeypatch.chdir(repository)
    with pytest.raises(InputError, match=f"^{sentence}"):
        call(model)
    assert not (repository / "new").exists()


def test_a_data_set_has_its_labels_and_descriptions(model, dataset, tiny_settings):
    """They would be dropped without a word."""
    for given in ({"y": [0]}, {"descriptions": {"wren": [1.0]}}, {"class_names": ["wren"]}):
        with pytest.raises(InputError, match=f"^{next(iter(given))} must be left out if X is what load_dataset returns"):
            Niwt(**tiny_settings).fit(dataset, **given)
    for given in ({"y": [0]}, {"sample_weight": [1.0]}):
        with pytest.raises(InputError, match=f"^{next(iter(given))} must be left out"):
            model.score(dataset, **given)


def test_callbacks_of_another_kind_are_refused_before_training(dataset, tiny_settings):
    for given in (print, [print], 5):
        with pytest.raises(InputError, match="callbacks must be a list of Keras callbacks. Received"):
            Niwt(**tiny_settings).fit(dataset, callbacks=given)


def test_a_home_is_understood_in_paths(model, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    model.save("~/model")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert list(Niwt.load("~/model").classes_) == list(model.classes_)


def test_names_that_do_not_fit(model, dataset):
    with pytest.raises(InputError, match=dataset.class_names[0][:5]):
        model.add_class(dataset.class_names[0], dataset.knowledge.values[0])
    with pytest.raises(InputError, match=f"Did you mean '{dataset.class_names[0]}'"):
        model.remove_class(dataset.class_names[0] + "x")


def test_saved_and_loaded_it_is_the_same(model, dataset, test_paths, tmp_path):
    model.save(tmp_path / "model")
    held = {path.name for path in (tmp_path / "model").iterdir()}
    assert held == {"network.keras", "generator.npz", "classes.npz", "model.json"}
    loaded = Niwt.load(tmp_path / "model")
    assert loaded.get_params() == model.get_params()
    np.testing.assert_array_equal(loaded.classes_, model.classes_)
    np.testing.assert_array_equal(loaded.decision_function(test_paths), model.decision_function(test_paths))
    assert loaded.evaluate(dataset) == model.evaluate(dataset)
    row = dataset.knowledge.values[0] * 0.5
    one = Descriptions(("one",), row[None])
    ours, theirs = (each.chosen_.generator.generate(one) for each in (model, loaded))
    np.testing.assert_array_equal(ours.new[0], theirs.new[0])
    assert loaded.chosen_.trial == model.chosen_.trial
    assert loaded.chosen_.probabilities == model.chosen_.probabilities != Probabilities()
    np.testing.assert_array_equal(loaded.predict_proba(test_paths), model.predict_proba(test_paths))
    model.save(tmp_path / "model")  # over itself


@pytest.mark.parametrize("damage", ["absent", "json", "torn", "array", "network", "edited", "flipped", "future", "last"])
def test_what_is_not_a_saved_model(model, tmp_path, damage):
    folder = tmp_path / "model"
    if damage != "absent":
        model.save(folder)
    if damage == "json":
        (folder / "model.json").write_text("{}")
    elif damage == "torn":
        (folder / "generator.npz").write_bytes((folder / "generator.npz").read_bytes()[:1000])
    elif damage == "array":
        np.savez(folder / "generator.npz", columns=np.zeros(3))
    elif damage == "network":
        (folder / "network.keras").write_bytes(b"torn")
    elif damage == "edited":
        (folder / "model.json").write_text((folder / "model.json").read_text().replace('"calibration": ', '"calibration": 1'))
    elif damage == "flipped":
        content = bytearray((folder / "classes.npz").read_bytes())
        content[len(content) // 2] ^= 16
        (folder / "classes.npz").write_bytes(content)
    elif damage in ("future", "last"):
        other = '"format": 99' if damage == "future" else '"format": 4'
        (folder / "model.json").write_text((folder / "model.json").read_text().replace('"format": 6', other))
    with pytest.raises(InputError, match=r"Received: .*model|which was changed|fit and save it again\. Received: (4|99)\."):
        Niwt.load(folder)


def test_a_folder_of_something_else_is_left_alone(model, tmp_path):
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(InputError, match="path must be new, empty or a saved model"):
        model.save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.slow
def test_export_is_verified(model, test_paths, tmp_path):
    path = model.export(tmp_path / "bird", check_images=test_paths[:3], k=2)
    assert path == tmp_path / "bird" / "1"
    assert (path / "saved_model.pb").is_file()
    assert read_json(path / "niwt.json")["checked"]["images"] == 3


def test_parameters_in_scikit_learns_manner():
    model = Niwt(backbone="mobilenet_v2", layer=None, seed=4, head_regularization=(1.0,))
    assert model.get_params()["backbone"] == "mobilenet_v2"
    copied = clone(model)
    assert copied is not model
    assert copied.get_params() == model.get_params()
    assert model.set_params(seed=5, epochs=3) is model
    assert (model.seed, model.epochs, copied.seed) == (5, 3, 4)
    assert "seed=5" in repr(model)
    with pytest.raises(ValueError, match="Invalid parameter 'sed'"):
        model.set_params(sed=1)
    assert not hasattr(model, "classes_")


def test_parameters_are_the_settings_that_are_not_about_data():
    parameters = dict(inspect.signature(Niwt.__init__).parameters)
    del parameters["self"], parameters["verbose"], parameters["head"]  # the former name of method
    expected = {declared.name: declared.default for declared in SETTINGS if declared.name not in DATA_SETTINGS}
    assert {name: parameter.default for name, parameter in parameters.items()} == expected


@pytest.mark.parametrize(
    "wrong",
    [
        {"finetune": "haed"},
        {"backbone": "mobilenet_v3"},
        {"dropout": 1.5},
        {"seed": -1},
        {"epochs": "three"},
        {"transfer_lambda": ()},
        {"input_size": 8},
    ],
)
def test_a_wrong_parameter_is_the_jobs_sentence(dataset, wrong):
    with pytest.raises(InputError) as of_settings:
        Settings(**wrong)
    with pytest.raises(InputError) as of_model:
        Niwt(**wrong).fit(dataset)
    assert str(of_model.value) == str(of_settings.value)


def test_mistakes_that_only_fit_can_see(dataset, tiny_settings, tmp_path):
    with pytest.raises(InputError, match="has no split: choose one with"):
        Niwt().fit(dataset.replace(split=None))
    with pytest.raises(InputError, match="layer must name a layer of the network.*Received: 'conv9'"):
        Niwt(**{**tiny_settings, "layer": "conv9"}).fit(dataset)
    with pytest.raises(InputError, match="support must be seen, noise or a folder of images"):
        Niwt(**{**tiny_settings, "support": str(tmp_path)}).fit(dataset)
    with pytest.raises(InputError, match="descriptions must be given with images"):
        Niwt().fit([1, 2, 3])


def test_unfitted_it_says_so(dataset, tmp_path):
    for use in (lambda m: m.predict([]), lambda m: m.score(dataset), lambda m: m.save(tmp_path), lambda m: m.remove_class("x")):
        with pytest.raises(ValueError, match="not fitted yet"):
            use(Niwt())


def test_what_explains_is_made_once_for_the_same_classes(model, test_paths, dataset, tmp_path, monkeypatch):
    model.save(tmp_path / "model")
    changed, made = Niwt.load(tmp_path / "model"), []
    real = estimator.NetworkExplainer
    monkeypatch.setattr(estimator, "NetworkExplainer", lambda *given: made.append(given) or real(*given))
    changed.explain(test_paths[0])
    changed.explain(test_paths[1])
    assert len(made) == 1
    changed.add_class("new bird", dataset.knowledge.values[0])
    assert changed.explain(test_paths[0], "new bird")["class"]["label"] == "new bird"
    changed.remove_class("new bird")
    with pytest.raises(InputError, match="class_name must be one of"):
        changed.explain(test_paths[0], "new bird")
    assert len(made) == 3


def test_explain_is_of_the_class_that_is_predicted(model, test_paths, dataset):
    record = model.explain(test_paths[0])
    (predicted,), (scores,) = model.predict(test_paths[:1]), model.predict_proba(test_paths[:1])
    assert record["class"]["label"] == record["best"]["label"] == predicted
    assert record["class"]["probability"] == pytest.approx(scores.max(), rel=1e-4)
    other = next(name for name in model.classes_ if name != predicted)
    assert model.explain(test_paths[0], other, predicted)["class"]["label"] == other
    with pytest.raises(InputError, match="class_name must be one of"):
        model.explain(test_paths[0], "no such class")
    with pytest.raises(InputError, match="class_name must be the name of a class, or None. Received: 5"):
        model.explain(test_paths[0], 5)
    for path in ("gone.jpg", "a\0b"):
        with pytest.raises(InputError, match="image must be a file that can be read"):
            model.explain(path)
    for image in (np.zeros((4, 4, 3)), None, b"photo.jpg", [test_paths[0]]):
        with pytest.raises(InputError, match="image must be the path of a file. Received: ") as raised:
            model.explain(image)
        assert "\n" not in str(raised.value)
