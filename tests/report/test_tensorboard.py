"""What TensorBoard is given, read back as TensorBoard reads it."""

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from niwt_tf.compute.execution import Execution
from niwt_tf.data.schema import test_data as data_of
from niwt_tf.metrics.probabilities import Probabilities
from niwt_tf.report.gallery import gallery
from niwt_tf.report.tensorboard import Embedding, class_embedding, image_embedding, scalars_of, sprite, write_tensorboard

METRICS = {
    "acc_zsl": 0.5,
    "num_seen": 2,
    "ece": None,
    "faithfulness": {"energy_in_box": {"seen": {"value": 0.6, "count": 3}, "unseen": {"value": 0.4, "low": 0.1, "count": 1}}},
}


@pytest.fixture(scope="module")
def entries(world):
    return gallery(world.network, world.explainer, Probabilities(), world.dataset, world.scored, Execution())


@pytest.fixture(scope="module")
def embeddings(world):
    return [image_embedding(world.network, data_of(world.dataset), world.scored, Execution()), class_embedding(world.network)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, entries, embeddings):
    parent = tmp_path_factory.mktemp("report")
    Image.new("RGB", (30, 20), "red").save(parent / "confusion.png")
    (parent / "tensorboard").mkdir()
    (parent / "tensorboard" / "old").touch()
    plots = {"confusion": parent / "confusion.png", "ausuc": parent / "absent.png"}
    write_tensorboard(parent / "tensorboard", METRICS, entries, plots, embeddings)
    return parent / "tensorboard"


@pytest.fixture(scope="module")
def events(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    return EventAccumulator(str(folder)).Reload()


def test_scalars_and_images_are_read_back(events):
    def tensors(tag):
        (event,) = events.Tensors(tag)
        return tf.make_ndarray(event.tensor_proto)

    by_plugin = {name: set(events.PluginTagToContent(name)) for name in ("scalars", "images")}
    assert by_plugin["scalars"] == {
        "acc_zsl", "num_seen", "faithfulness/energy_in_box/seen", "faithfulness/energy_in_box/unseen"
    }  # fmt: skip
    assert tensors("faithfulness/energy_in_box/unseen") == pytest.approx(0.4)
    assert len(by_plugin["images"]) == 7 and "plots/ausuc" not in by_plugin["images"]
    width, height, png = tensors("gallery/03 unseen wrong")
    assert (int(width), int(height)) == (384, 64)
    assert tf.io.decode_png(png).shape == (64, 384, 3)
    assert "blue_like_red.png" in events.SummaryMetadata("gallery/03 unseen wrong").summary_description
    assert tensors("plots/confusion")[:2].astype(int).tolist() == [30, 20]


def test_figures_that_are_absent_have_no_tag():
    assert scalars_of({"a": None, "b": 1, "name": "x"}) == {"b": 1.0}


def test_a_name_of_a_file_that_is_no_text_is_written_as_escapes(tmp_path, entries):
    odd = [replace(entries[0], path="a/caf\udce9.jpg")]
    points = Embedding("images", np.eye(2), {"Path": ["a/caf\udce9.jpg", "b.jpg"]}, ())
    write_tensorboard(tmp_path / "tensorboard", {}, odd, {}, [points])
    assert "a/caf\\udce9.jpg" in (tmp_path / "tensorboard/images_metadata.tsv").read_text(encoding="utf-8")


def test_the_folder_is_replaced(folder):
    assert not (folder / "old").exists()


def test_the_projector_finds_every_file(folder, embeddings):
    from google.protobuf import text_format
    from tensorboard.plugins import projector

    text = (folder / "projector_config.pbtxt").read_text()
    config = text_format.Parse(text, projector.ProjectorConfig())
    assert [each.tensor_name for each in config.embeddings] == ["test_images", "classes"]
    for info, made in zip(config.embeddings, embeddings, strict=True):
        vectors = np.loadtxt(folder / info.tensor_path, delimiter="\t", ndmin=2)
        np.testing.assert_allclose(vectors, made.vectors, rtol=1e-4)
        assert tuple(info.tensor_shape) == made.vectors.shape
        lines = (folder / info.metadata_path).read_text(encoding="utf-8").splitlines()
        assert len(lines) == 1 + len(made.vectors)  # a header, since there is more than one column
    lines = (folder / "test_images_metadata.tsv").read_text().splitlines()
    assert lines[0] == "class\trole\tpredicted\tright" and "Blue\tunseen\tRed\twrong" in lines
    sprites = config.embeddings[0].sprite
    assert Image.open(folder / sprites.image_path).size == (3 * 48, 3 * 48)
    assert list(sprites.single_image_dim) == [48, 48]


def test_the_projector_plugin_serves_them(folder, embeddings):
    from tensorboard.plugins import base_plugin
    from tensorboard.plugins.projector.projector_plugin import ProjectorPlugin
    from werkzeug.test import Client

    apps = ProjectorPlugin(base_plugin.TBContext(logdir=str(folder))).get_plugin_apps()
    assert Client(apps["/runs"]).get("/runs").json == ["."]
    answer = Client(apps["/tensor"]).get("/tensor?run=.&name=classes").data
    np.testing.assert_allclose(np.frombuffer(answer, np.float32), embeddings[1].vectors.ravel(), rtol=1e-4)
    for route, name in (("/metadata", "classes"), ("/sprite_image", "test_images")):
        assert Client(apps[route]).get(f"{route}?run=.&name={name}").status_code == 200


def test_points_say_what_they_are(world, embeddings):
    images, classes = embeddings
    assert [path.name for path in images.pictures] == [path for path in data_of(world.dataset).images.paths]
    assert images.metadata["class"] == ["Red", "Green", "Green", "Blue", "Blue", "Blue"]
    np.testing.assert_allclose(images.vectors[0], [60, 0, 0])
    np.testing.assert_allclose(classes.vectors, np.eye(3) / 20)
    assert list(classes.metadata["role"]) == ["seen", "seen", "unseen"]


def test_few_points_are_balanced_and_drawn_by_the_seed(world, monkeypatch):
    monkeypatch.setattr("niwt_tf.report.tensorboard.Reader.features", lambda _, images: np.zeros((len(images), 3)))

    def drawn(seed):
        return image_embedding(world.network, data_of(world.dataset), world.scored, Execution(), most=3, seed=seed)

    assert all(sorted(drawn(seed).metadata["class"]) == ["Blue", "Green", "Red"] for seed in range(3))
    assert drawn(0).pictures == drawn(0).pictures
    assert len({drawn(seed).pictures for seed in range(8)}) > 1


def test_long_vectors_are_reduced_with_their_distances_kept(tmp_path):
    random = np.random.default_rng(0)
    vectors = random.standard_normal((20, 300)).astype(np.float32)
    names = {"class": ["a\tb\nc"] * 20, "role": ["seen"] * 20}
    write_tensorboard(tmp_path / "out", {}, (), {}, [Embedding("points", vectors, names), Embedding("none", vectors[:0], {})])
    short = np.loadtxt(tmp_path / "out" / "points.tsv", delimiter="\t")
    assert short.shape == (20, 20)
    np.testing.assert_allclose(np.linalg.norm(short[0] - short[1:]), np.linalg.norm(vectors[0] - vectors[1:]), rtol=1e-3)
    assert (tmp_path / "out" / "points_metadata.tsv").read_text().splitlines()[1] == "a b c\tseen"
    assert not (tmp_path / "out" / "none.tsv").exists()


def test_a_sprite_has_a_cell_for_each_and_a_size_that_browsers_take(tmp_path, monkeypatch):
    for number, colour in enumerate(("red", "lime", "blue")):
        Image.new("RGB", (40, 20), colour).save(tmp_path / f"{number}.png")
    paths = [tmp_path / f"{number}.png" for number in range(3)]
    whole = sprite(paths, side=10)
    assert whole.size == (20, 20)
    centres = [whole.getpixel(place) for place in ((5, 5), (15, 5), (5, 15), (15, 15))]
    assert centres == [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)]
    monkeypatch.setattr("niwt_tf.report.tensorboard._LARGEST_SPRITE", 12)
    assert sprite(paths, side=10).size == (12, 12)
