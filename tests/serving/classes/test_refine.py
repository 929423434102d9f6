"""Photographs of a class that came from a description: one column and one bias change, and nothing else."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from niwt_tf.errors import InputError
from niwt_tf.files import read_json
from niwt_tf.serving.bundle.bundle import CARDS, Bundle
from niwt_tf.serving.bundle.paged_head import column_of
from niwt_tf.serving.classes.edit import write_change
from niwt_tf.serving.classes.refine import FEW_SHOT, features_of, few_shot_prior_of, refine_class
from niwt_tf.serving.predict import opened
from tests.shared import further


def refined_version(bundle, name, images) -> Path:
    return write_change(bundle, refine_class(bundle, name, images))


HEN = 5  # of cat, dog, eel, fox é, gnu, hen, ibis; the first four are seen


@pytest.fixture
def versions(saved_model, tmp_path) -> Path:
    """Return a folder with a copy of the export as version 1."""
    shutil.copytree(saved_model, tmp_path / "toy" / "1")
    return tmp_path / "toy"


@pytest.fixture(scope="module")
def refined(saved_model, image_paths, tmp_path_factory) -> tuple[Bundle, Bundle]:
    """Return the export and its next version, in which a class has seen three images."""
    folder = tmp_path_factory.mktemp("refined") / "toy"
    shutil.copytree(saved_model, folder / "1")
    before = Bundle.open(folder)
    return before, Bundle.open(refined_version(before, "hen", image_paths[:3]))


def column_and_bias(bundle: Bundle, place: int = HEN) -> tuple[np.ndarray, float]:
    slot = int(bundle.variable("slots")[place])
    return column_of(bundle.variable("columns"), slot), float(bundle.variable("biases")[place])


def logits(bundle: Bundle, pixels: np.ndarray) -> np.ndarray:
    with opened(bundle.folder) as servable:
        return servable.run("logits", {"images": pixels})["logits"]


def test_the_column_is_the_update_of_the_old_one(refined, image_paths):
    before, after = refined
    with opened(before.folder) as servable:
        features = features_of(servable, image_paths[:3], before.metadata["input_size"])
    expected = few_shot_prior_of(before).refine(*column_and_bias(before), features)
    column, bias = column_and_bias(after)
    np.testing.assert_allclose(column, expected.column, rtol=1e-5)
    assert bias == pytest.approx(expected.bias, rel=1e-5)
    assert not np.allclose(column, column_and_bias(before)[0])


@pytest.mark.slow
def test_the_logits_of_other_classes_are_the_same_to_the_last_bit(refined):
    pixels = np.random.default_rng(0).uniform(0, 255, (5, 16, 16, 3)).astype(np.float32)
    before, after = (logits(bundle, pixels) for bundle in refined)
    others = np.arange(7) != HEN
    np.testing.assert_array_equal(after[:, others], before[:, others])
    assert (after[:, HEN] != before[:, HEN]).all()


def test_its_card_says_so_and_others_do_not(refined):
    before, after = refined
    assert (after.folder.name, before.folder.name) == ("2", "1")
    card = after.cards[HEN]
    assert (card.name, card.seen, card.images) == ("hen", False, 3)
    assert card.how == "from its description; refined with 3 images"
    assert card.description == before.cards[HEN].description
    assert card.made >= before.cards[HEN].made
    assert card.validation.items() >= before.cards[HEN].validation.items()
    assert [*after.cards[:HEN], *after.cards[HEN + 1 :]] == [*before.cards[:HEN], *before.cards[HEN + 1 :]]
    assert (after.folder / "saved_model.pb").read_bytes() == (before.folder / "saved_model.pb").read_bytes()


@pytest.mark.slow
@pytest.mark.combination
def test_two_calls_are_one_in_any_order(refined, versions, image_paths):
    first = Bundle.open(refined_version(Bundle.open(versions), "hen", image_paths[2:3]))
    assert first.cards[HEN].how == "from its description; refined with 1 image"
    second = Bundle.open(refined_version(first, "hen", image_paths[1::-1]))
    assert second.cards[HEN].images == 3
    for ours, theirs in zip(column_and_bias(second), column_and_bias(refined[1]), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_the_same_photograph_counts_once(refined, versions, image_paths, tmp_path):
    """Given twice, given again later, and under another name."""
    copy = Path(shutil.copy(image_paths[0], tmp_path / "copy.png"))
    change = refine_class(Bundle.open(versions), "hen", [image_paths[0], image_paths[0], copy])
    assert change.notes == ("2 of 3 photographs are already known or given twice, and are not used.",)
    assert change.cards[HEN].images == len(change.cards[HEN].photographs) == 1
    first = Bundle.open(write_change(Bundle.open(versions), change))
    with pytest.raises(InputError, match="one photograph that 'hen' was not refined with. Received: 2 that it already knows"):
        refine_class(first, "hen", [copy, image_paths[0]])
    second = Bundle.open(refined_version(first, "hen", [copy, *image_paths[1:3]]))
    assert second.cards[HEN].images == 3 and len(second.cards[HEN].photographs) == 3
    for ours, theirs in zip(column_and_bias(second), column_and_bias(refined[1]), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("hem", "name must be the name of one of the bundle's 7 classes. Received: 'hem'. Did you mean 'hen'?"),
        ("cat", "name must be a class that was made from a description; .*trained on. Received: 'cat'."),
    ],
)
def test_classes_that_cannot_be_refined(versions, image_paths, name, sentence):
    with pytest.raises(InputError, match=sentence):
        refine_class(Bundle.open(versions), name, image_paths)
    assert [path.name for path in versions.iterdir()] == ["1"]


@pytest.mark.parametrize("content", [b"no image", None, *further(b"")])
def test_an_image_that_cannot_be_used_is_named(versions, image_paths, tmp_path, content):
    bad = tmp_path / "bad.png"
    if content is not None:
        bad.write_bytes(content)
    with pytest.raises(InputError, match=r"images must be files that can be (decoded|read)\. Received: .*bad\.png"):
        refine_class(Bundle.open(versions), "hen", [image_paths[0], bad])
    assert [path.name for path in versions.iterdir()] == ["1"]


def test_no_image(versions):
    with pytest.raises(InputError, match=r"images must name at least one file\. Received: none\."):
        refine_class(Bundle.open(versions), "hen", [])


@pytest.mark.parametrize("damage", ["absent", "other arrays"])
def test_bundles_without_the_prior(versions, image_paths, damage):
    bundle = Bundle.open(versions)
    path = bundle.folder / "assets.extra" / f"{FEW_SHOT}.npz"
    path.unlink()
    if damage == "other arrays":
        np.savez(path, other=np.zeros(3))
    with pytest.raises(InputError, match=r"assets\.extra/few_shot\.npz"):
        refined_version(bundle, "hen", image_paths)


@pytest.mark.slow
def test_a_card_without_a_scale_is_taken_as_matched(versions, image_paths):
    bundle = Bundle.open(versions)
    cards = list(bundle.cards)
    cards[HEN] = replace(cards[HEN], images=2)
    refined = Bundle.open(refined_version(replace(bundle, cards=tuple(cards)), "hen", image_paths[:1]))
    assert refined.cards[HEN].images == 3


@pytest.mark.slow
def test_the_job_needs_no_keras(versions, image_paths):
    code = (
        "import sys; sys.modules['keras'] = sys.modules['tf_keras'] = None\n"
        "from niwt_tf.cli import main\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    flags = [f"--bundle={versions}", "--name=hen", f"--images={image_paths[0].parent}"]
    done = subprocess.run([sys.executable, "-c", code, "refine_class", *flags], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Refined 'hen' with 5 more photographs: ")
    assert read_json(versions / "2" / CARDS)["cards"][HEN]["images"] == 5
