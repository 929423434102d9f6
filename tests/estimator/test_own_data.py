"""`Niwt` on data as they come in Python, and what scikit-learn and Keras ask of it."""

from __future__ import annotations

import doctest
import pickle
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from sklearn.base import clone, is_classifier

from niwt_tf import InputError, Niwt, estimator
from niwt_tf.compute.features import Reader
from niwt_tf.estimator import classifier
from niwt_tf.estimator.own_data import dataset_of, descriptions_of_classes, logits_of, values_of
from niwt_tf.estimator.plain_model import plain_model
from niwt_tf.models.backbones import build_network
from tests.shared import further

COLOURS = {
    "red": (200, 30, 30), "green": (30, 180, 40), "brown": (120, 70, 30), "yellow": (220, 210, 40), "white": (240, 240, 240),
    "black": (20, 20, 20),
}
ATTRIBUTES = ("crown: red", "crown: green", "wings: blue")
DESCRIBED = {
    **{name: dict(zip(ATTRIBUTES, np.array(colour) / 255, strict=True)) for name, colour in COLOURS.items()},
    "grey": {"crown: red": 0.5, "crown: green": 0.5, "wings: blue": 0.5},
    "pink": {"crown: red": 1.0, "crown: green": 0.7, "wings: blue": 0.7},
}
SETTINGS = {
    "input_size": 16, "epochs": 2, "num_folds": 1, "num_support": 8, "map": "ridge", "heat": "grad_cam",
    "transfer_lambda": (1e-2,), "head_regularization": (10.0,), "seed": 1,
}


class Table(dict):
    """Enough of a pandas DataFrame: pandas is no dependency."""

    def __init__(self, columns, index=()):
        super().__init__(columns)
        self.columns, self.index = list(columns), list(index)


class Row(dict):
    """Enough of a row of a DataFrame, a Series."""

    dtype = np.dtype(float)

    @property
    def index(self):
        return list(self)

    def __array__(self, dtype=None, copy=None):
        return np.array(list(self.values()), dtype)


def coloured(count: int = 6) -> tuple[np.ndarray, list[str]]:
    random, images, labels = np.random.default_rng(0), [], []
    for name, colour in COLOURS.items():
        images += list(np.clip(np.array(colour) + random.normal(0, 12, (count, 20, 20, 3)), 0, 255))
        labels += [name] * count
    return np.rint(images).astype(np.uint8), labels


class Heard(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.said = []

    def on_train_begin(self, logs=None):
        self.said.append("begin")

    def on_epoch_end(self, epoch, logs=None):
        self.said.append((epoch, sorted(logs)))

    def on_train_end(self, logs=None):
        self.said.append("end")


@pytest.fixture(scope="module")
def heard(tmp_path_factory):
    return Heard(), keras.callbacks.TensorBoard(str(tmp_path_factory.mktemp("board")))


@pytest.fixture(scope="module")
def model(heard) -> Niwt:
    pixels, labels = coloured()
    return Niwt(**SETTINGS).fit(pixels, labels, descriptions=DESCRIBED, callbacks=heard)


def test_arrays_are_learnt_from_and_what_has_no_image_is_unseen(model):
    assert model.classes_.tolist() == [*COLOURS, "grey", "pink"]
    assert model.network_.num_seen == 6
    assert len(model.history_) == 2 and model.history_[0]["loss"] > 0


def test_callbacks_are_told_of_each_epoch(model, heard):
    said, board = heard
    logs = ["accuracy", "loss", "val_accuracy"]
    assert said.said == ["begin", (0, logs), (1, logs), "end"]
    assert list(Path(board.log_dir).rglob("events*"))


def test_every_form_of_images_is_predicted_the_same(model, tmp_path):
    pixels, labels = coloured(1)
    expected = model.decision_function(pixels)
    paths = [tmp_path / f"{name}.png" for name in labels]
    for path, image in zip(paths, pixels, strict=True):
        Image.fromarray(image).save(path)
    stream = tf.data.Dataset.from_tensor_slices((pixels.astype(np.float32), labels))
    forms = paths, Table({"path": list(map(str, paths))}), stream, stream.batch(4), stream.map(lambda image, _: image).batch(4)
    for form in forms:
        np.testing.assert_allclose(model.decision_function(form), expected, atol=1e-3)
    assert model.score(pixels, labels) == model.score(stream.batch(4)) == np.mean(model.predict(pixels) == np.array(labels))
    assert model.score(stream.shuffle(6).batch(2)) == model.score(stream.batch(4))  # another order each time
    with pytest.raises(InputError, match="images and labels. Received: only images"):
        model.score(stream.map(lambda image, _: image).batch(4))
    with pytest.raises(InputError, match="y must be of classes that the model knows. Received: 'Red'. Did you mean 'red'"):
        model.score(pixels, ["Red", *labels[1:]])
    weights = np.arange(6.0)
    right = model.predict(pixels) == np.array(labels)
    assert model.score(pixels, labels, weights) == pytest.approx((right * weights).sum() / weights.sum())
    with pytest.raises(InputError, match="numbers in 0..1; multiply them by 255"):
        model.predict(stream.map(lambda image, _: image / 255).batch(2))


@pytest.mark.slow
def test_scikit_learn_takes_it_for_a_classifier(model):
    assert is_classifier(model)
    assert clone(model).get_params() == model.get_params()
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.decision_function(coloured(1)[0]), model.decision_function(coloured(1)[0]))
    assert again.get_params() == model.get_params()
    assert pickle.loads(pickle.dumps(Niwt(seed=3))).seed == 3


def test_a_class_is_added_in_words(model, caplog):
    grown = pickle.loads(pickle.dumps(model)).add_class("cyan", text="A green crown and blue wings.")
    assert grown.classes_[-1] == "cyan"
    assert "Of the text" in caplog.text
    with pytest.raises(InputError, match="Either description or text must be given"):
        grown.add_class("other")
    with pytest.raises(InputError, match="text must|nothing"):
        grown.add_class("other", text="A loud and cheerful song at dawn.")


def test_a_row_of_a_table_is_taken_by_the_names_of_its_numbers(model):
    known = model.knowledge_
    described = Row({name: float(place) for place, name in enumerate(known.names)})
    expected = values_of([*described.values()], known)
    assert values_of(Row(reversed(described.items())), known).tolist() == expected.tolist()
    assert values_of(Row(enumerate(described.values())), known).tolist() == expected.tolist()
    others = Row({f"other {name}": value for name, value in described.items()})
    assert values_of(others, known).tolist() == expected.tolist()
    with pytest.raises(InputError, match="description has an unknown entry. Received: 'colour'"):
        values_of(Row({**described, "colour": 1.0}), known)


@pytest.mark.slow
def test_the_plain_model_needs_nothing_of_this_package(model, tmp_path):
    pixels, _ = coloured(1)
    model.keras_model().save(tmp_path / "plain.keras")
    np.save(tmp_path / "pixels.npy", pixels.astype(np.float32))
    code = (
        "import sys, keras, numpy as np\n"
        f"model = keras.saving.load_model({str(tmp_path / 'plain.keras')!r})\n"
        f"np.save({str(tmp_path / 'logits.npy')!r}, model.predict(np.load({str(tmp_path / 'pixels.npy')!r}), verbose=0))\n"
        "assert not any(name.split('.')[0] == 'niwt_tf' for name in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, capture_output=True)
    np.testing.assert_allclose(np.load(tmp_path / "logits.npy"), model.decision_function(pixels), atol=1e-3)


@pytest.mark.parametrize(
    ("preprocessing", "resize"),
    [("none", "crop"), ("caffe", "squash"), *further(("unit", "pad"), ("tf", "squash"), ("torch", "squash"))],
)
def test_the_plain_model_takes_pixels_of_every_size_and_range(preprocessing, resize, tmp_path):
    given = keras.Input((16, 16, 3))
    conv_map = keras.layers.Conv2D(5, 3, activation="relu")(keras.layers.Conv2D(4, 3)(given))
    keras.Model(given, conv_map).save(tmp_path / "own.keras")
    options = {"preprocessing": preprocessing, "resize": resize}
    network = build_network(str(tmp_path / "own.keras"), ("a", "b", "c"), **options)
    network.calibration = 0.25
    side = 24 if resize == "pad" else 30  # Keras pads before it resizes
    pixels = np.random.default_rng(0).uniform(0, 255, (2, 24, side, 3)).astype(np.float32)
    expected = logits_of(pixels, Reader(network))
    np.testing.assert_allclose(plain_model(network)(pixels), expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())


def dataset(data, labels=None, descriptions=DESCRIBED, class_names=None, *, folder):
    return dataset_of(data, labels, descriptions, class_names, folder, "lsa", False)


def test_every_form_makes_the_same_data_set(tmp_path):
    pixels, labels = coloured(2)
    expected = dataset(pixels, labels, folder=tmp_path)
    assert expected.split.unseen.tolist() == [6, 7]
    for number, (path, label) in enumerate(zip(expected.paths, labels, strict=True)):
        target = tmp_path / "folder" / label
        target.mkdir(parents=True, exist_ok=True)
        Image.open(f"/{path}").save(target / f"{number:02d}.png")
        np.testing.assert_array_equal(np.asarray(Image.open(f"/{path}")), pixels[number])
    files = [f"/{path}" for path in expected.paths]
    names = list(COLOURS)
    stream = keras.utils.image_dataset_from_directory(tmp_path / "folder", image_size=(20, 20), shuffle=False, verbose=0)
    one_hot = tf.data.Dataset.from_tensor_slices((pixels, np.eye(6)[[names.index(label) for label in labels]]))
    for data, given, classes in (
        (files, labels, None),
        (Table({"file": files, "class": labels}), None, None),
        (pixels.astype(float), [names.index(label) for label in labels], names),
        (tf.data.Dataset.from_tensor_slices((pixels, labels)).batch(5), None, None),
        (one_hot.batch(5), None, names),
        (stream, None, None),
    ):
        (tmp_path / "more").mkdir(exist_ok=True)
        found = dataset(data, given, class_names=classes, folder=tmp_path / "more")
        assert found.class_names == expected.class_names
        assert sorted(found.labels) == sorted(expected.labels)
        first = found.paths[list(found.labels).index(3)]
        np.testing.assert_allclose(np.asarray(Image.open(f"/{first}")), pixels[6], atol=1)


def test_descriptions_in_every_form(tmp_path):
    expected = descriptions_of_classes(DESCRIBED)
    attributes = list(DESCRIBED["red"])
    columns = {name: [each[name] for each in DESCRIBED.values()] for name in attributes}
    rows = [["class", *attributes], *([name, *map(str, values.values())] for name, values in DESCRIBED.items())]
    (tmp_path / "classes.csv").write_text("\n".join(map(",".join, rows)))
    named = [Table({title: list(DESCRIBED), **columns}) for title in ("class", "Class ")]
    with_blanks = {f"{name} ": each for name, each in DESCRIBED.items()}
    turned = {name: Row(reversed(each.items()) if name == "pink" else each.items()) for name, each in DESCRIBED.items()}
    for given in (Table(columns, DESCRIBED), *named, with_blanks, turned, tmp_path / "classes.csv"):
        names, knowledge, texts = descriptions_of_classes(given)
        assert (names, knowledge.names, texts) == (expected[0], expected[1].names, None)
        np.testing.assert_allclose(knowledge.values, expected[1].values)
    assert descriptions_of_classes({"a": [1, 2], "b": (3, 4)})[1].values.tolist() == [[1, 2], [3, 4]]
    assert descriptions_of_classes({"a": "red wings", "b": "blue"})[2] == ("red wings", "blue")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"descriptions": None}, "descriptions must be given with images"),
        ({"labels": None}, "y must be the class of each image. Received: None"),
        ({"labels": ["red"]}, "y must have a class for each of 12 images. Received: 1"),
        ({"labels": ["rde"] * 12}, "descriptions must have every class of y. Received: none for 'rde'. Did you mean 'red'"),
        ({"labels": [0] * 12}, "class_names must be given if y holds integers"),
        ({"labels": [9] * 12, "class_names": ["red"]}, "y must index the 1 class_names"),
        ({"labels": [0] * 12, "class_names": "red"}, "class_names must be a list of names. Received: 'red'"),
        ({"labels": [0] * 12, "class_names": {"red"}}, "class_names must be a list of names. Received: {'red'}"),
        ({"labels": [0] * 12, "class_names": 1}, "class_names must be a list of names. Received: 1"),
        ({"labels": np.ones((12, 2)), "class_names": ["red", "green"]}, "one number must be the greatest.*in row 0"),
        ({"labels": [0.5] * 12}, "y must hold names of classes, or integers"),
        ({"data": coloured(2)[0] / 255}, "numbers in 0..1; multiply them by 255"),
        ({"data": [], "labels": []}, "X must hold at least one image"),
        ({"data": np.zeros((12, 4, 0, 3), np.uint8)}, "images must be a list of paths or an array .* shape .12, 4, 0, 3."),
        ({"descriptions": Table({"a": [1, 2], "A": [1, 2]}, ["red", "green"])}, "descriptions must name each column once"),
        ({"data": ["gone.png"] * 12}, "X must name files that exist"),
        ({"data": "gone.png"}, "X must be an array .* Received: str"),
        ({"data": Table({"pixels": []})}, "a DataFrame with a column path.*Received: columns pixels"),
        ({"descriptions": {"red": {"a": 1}, "green": {"b": 1}}}, "same attributes for all classes. Received: 'b' of 'green'"),
        ({"descriptions": {"red": [1, 2], "green": [1]}}, "descriptions must all have the same number of values"),
        ({"descriptions": {"red": "red", "green": [1]}}, "descriptions must have the same form"),
        ({"descriptions": {"red": [np.nan], "green": [1]}}, "descriptions must be finite"),
        ({"descriptions": Table({"a": [1, 2]}, ["red", "red"])}, "descriptions must give each class a name.*'red' twice"),
        ({"descriptions": [1]}, "descriptions must be a dict by class name"),
    ],
)
def test_what_is_not_in_order(change, sentence, tmp_path):
    pixels, labels = coloured(2)
    given = {"data": pixels, "labels": labels, "descriptions": DESCRIBED, **change}
    with pytest.raises(InputError, match=sentence) as raised:
        dataset(**given, folder=tmp_path)
    assert "\n" not in str(raised.value)


def test_help_says_what_each_parameter_does():
    for name in Niwt().get_params():
        assert f"        {name}: " in estimator.Niwt.__doc__
    public = [value for name, value in vars(Niwt).items() if not name.startswith("_") and callable(value)]
    for method in public:
        code = getattr(method, "__func__", method).__code__
        names = code.co_varnames[1 : code.co_argcount + code.co_kwonlyargcount]
        assert all(f"{name}: " in method.__doc__ for name in names), method.__name__


@pytest.mark.slow
def test_the_examples_of_the_docstrings(model):
    pixels, labels = coloured()
    known = {"model": model, "pixels": pixels, "labels": labels, "described": DESCRIBED, "settings": SETTINGS, "pickle": pickle}
    runner = doctest.DocTestRunner()
    found = doctest.DocTestFinder().find(classifier.Niwt, globs={**vars(classifier), **known})
    tests = [test for test in found if test.examples]
    assert len(tests) >= 6
    for test in tests:
        runner.run(test)
    assert runner.summarize(verbose=False).failed == 0


SCRIPT = """
from pathlib import Path

from niwt_tf import Niwt, load_dataset

dataset = load_dataset("folder", Path("pets"))
model: Niwt = Niwt("mobilenet_v2", weights="imagenet", finetune="head").fit(dataset)
accuracy: float = model.score(dataset)
figures: dict[str, float | int | None] = model.evaluate(dataset)
model.add_class("tiger", text="Orange fur with black stripes.").save("pets_model")
print(Niwt.load("pets_model").predict(["photo.jpg"]).tolist(), accuracy, figures)
"""


@pytest.mark.slow
def test_a_users_script_has_types(tmp_path, repository, monkeypatch):
    pytest.importorskip("mypy")
    monkeypatch.setenv("MYPYPATH", str(repository))  # mypy does not follow the link of an editable installation
    (tmp_path / "script.py").write_text(SCRIPT)
    options = ["--strict", "--follow-imports=silent", "--cache-dir", str(tmp_path / "cache")]
    command = [sys.executable, "-m", "mypy", *options, "script.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (tmp_path / "script.py").write_text(SCRIPT.replace("accuracy: float", "accuracy: str"))
    assert 'has type "float"' in subprocess.run(command, cwd=tmp_path, capture_output=True, text=True).stdout
