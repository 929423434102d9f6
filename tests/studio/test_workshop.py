"""The logic below the page: answers, claims and saving, on a toy bundle."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from niwt_tf.data.descriptions.new_classes import DescribedClass, Description
from niwt_tf.errors import InputError
from niwt_tf.serving.bundle.bundle import Bundle
from niwt_tf.serving.classes.edit import add_classes, write_change
from niwt_tf.serving.classes.rewrite import write_metadata
from niwt_tf.serving.predict import opened
from niwt_tf.studio.workshop import Workshop
from tests.serving.answers import predict
from tests.studio.conftest import export_toy

pytestmark = pytest.mark.slow


def test_answers_are_those_of_the_signatures(workshop, exported):
    bench = workshop.bench
    name = bench.gallery.images.names[3]
    path = bench.gallery.images.folder / name
    answer = bench.model.answer(path.read_bytes())
    expected = predict(exported, [path])
    assert tuple(label for label, _, _ in answer.best) == expected.labels[0]
    np.testing.assert_allclose([score for _, score, _ in answer.best], expected.scores[0], rtol=1e-5)
    with opened(exported) as servable:
        said = servable.run("explain", {"image_bytes": np.array([path.read_bytes()], object)})
    assert answer.label == said["label"][0].decode()
    assert answer.runner_up[0] == said["runner_up"][0].decode() != answer.label
    assert answer.heat_png.startswith(b"\x89PNG")
    assert all(weight < 0 for _, weight in answer.objections)


def test_claims_from_features_are_those_of_classify_with(workshop, exported):
    bench = workshop.bench
    images, labels = bench.gallery.images, bench.bundle.labels
    claimed_at_all = 0
    for scale in (3.0, -3.0, 6.0, -6.0):
        composition = bench.start(None).edited(1, scale).edited(4, -scale)
        found = bench.claims(composition)
        with opened(exported) as servable:
            contents = np.array([images.read(place) for place in range(len(images.names))], object)
            descriptions = np.repeat(composition.values[None, None], len(contents), axis=0)
            said = servable.run("classify_with", {"image_bytes": contents, "descriptions": descriptions})
        np.testing.assert_allclose(found.scores, said["scores"][:, -1], rtol=1e-3, atol=1e-6)
        best = said["scores"].argmax(axis=1)
        assert set(found.claimed) == set(np.flatnonzero(best == len(labels)).tolist())
        assert [labels[row[:-1].argmax()] for row in said["logits"]] == list(found.before)
        assert sum(count for _, count in found.lost()) == len(found.claimed)
        claimed_at_all += len(found.claimed)
    assert claimed_at_all


def test_the_reason_for_a_claim_is_what_the_saved_class_would_answer(exported, images, tmp_path):
    folder = tmp_path / "toy"
    shutil.copytree(exported, folder / "1")
    shop = Workshop(folder, images, 100)
    composition = next(
        tried
        for scale in (3.0, -3.0, 6.0, -6.0)
        if shop.bench.claims(tried := shop.bench.start(None).edited(1, scale).edited(4, -scale)).claimed
    )
    before = shop.bench.claims(composition)
    place = before.claimed[0]
    encoded = shop.bench.gallery.images.read(place)
    plain = shop.bench.model.answer(encoded)
    with shop.bench.with_class(composition) as name:
        tried = shop.bench.model.answer(encoded)
    assert tried.label == name
    np.testing.assert_allclose(tried.score, before.scores[place], rtol=1e-3)
    assert shop.bench.model.answer(encoded) == plain

    path, notes = shop.save("  a zebra\u0301 ", composition)
    assert path == folder / "2" and all("is newer than" not in note for note in notes)
    card = Bundle.open(path).cards[-1]
    assert card.name == "a zebrá" and not card.seen and card.source == "niwt studio"
    np.testing.assert_array_equal(np.float32(card.description), composition.values)
    assert shop.bench.bundle.folder == path
    saved = shop.bench.model.answer(encoded)
    assert saved.label == "a zebrá"
    assert (saved.score, saved.heat_png, saved.attributes) == (tried.score, tried.heat_png, tried.attributes)
    assert predict(folder, [images / shop.bench.gallery.images.names[place]]).labels[0][0] == "a zebrá"


@pytest.mark.parametrize("name", ["", " ", "cat", "a\nb", "x" * 201])
def test_a_name_that_is_not_allowed_writes_nothing(workshop, exported, name):
    with pytest.raises(InputError, match="name must"):
        workshop.save(name, workshop.bench.start("cat"))
    assert os.listdir(exported.parent) == ["1"]


def test_a_class_that_came_meanwhile_is_kept(exported, images, tmp_path):
    folder = tmp_path / "toy"
    shutil.copytree(exported, folder / "1")
    shop = Workshop(folder, images, 2)
    composition = shop.bench.start(None)
    older = Bundle.open(folder)
    theirs = DescribedClass("yak", Description(composition.edited(0, 1.0).values, ""), "niwt add_class")
    write_change(older, add_classes(older, [theirs]))
    path, notes = shop.save("zebra", composition.edited(1, 1.0))
    assert path == folder / "3"
    assert Bundle.open(folder).labels == (*older.labels, "yak", "zebra") == shop.bench.bundle.labels
    assert notes[-1] == "Version 2 is newer than 1, which was open. The class was added to 2."
    with pytest.raises(InputError, match="'yak', which exists"):
        shop.save("yak", composition)
    path, notes = shop.save("zorse", composition.edited(2, 1.0))
    assert path == folder / "4" and not any("is newer than" in note for note in notes)


@pytest.mark.parametrize("other", ["graph", "knowledge"])
def test_a_newer_version_of_another_model_is_not_added_to(exported, images, tmp_path, other):
    folder = tmp_path / "toy"
    shutil.copytree(exported, folder / "1")
    shop = Workshop(folder, images, 2)
    newer = Path(shutil.copytree(exported, folder / "2"))
    metadata = dict(shop.bench.bundle.metadata)
    if other == "graph":
        with open(newer / "saved_model.pb", "ab") as file:
            file.write(b"\x00")
    else:
        metadata["knowledge"] = {**metadata["knowledge"], "names": list(reversed(metadata["knowledge"]["names"]))}
    write_metadata(newer, metadata)
    with pytest.raises(InputError, match="same model as version 1, which is open. Received: version 2 of another"):
        shop.save("zebra", shop.bench.start(None))
    assert sorted(os.listdir(folder)) == ["1", "2"] and shop.bench.bundle.folder.name == "1"


def test_a_saved_class_is_taken_back_by_a_version_without_it(exported, images, tmp_path):
    folder = tmp_path / "toy"
    shutil.copytree(exported, folder / "1")
    shop = Workshop(folder, images, 2)
    composition = shop.bench.start(None).edited(0, 0.9)
    assert shop.bench.called(composition) == "" and shop.bench.called(shop.bench.start("cat")) == "cat"
    shop.save("zebra", composition)
    assert shop.bench.called(composition) == "zebra" == shop.bench.named("  ZEBRA ") and shop.bench.named("") == ""
    assert shop.take_back("zebra") == folder / "3" == shop.bench.bundle.folder
    assert shop.bench.bundle.labels == Bundle.open(folder / "1").labels and shop.bench.named("zebra") == ""
    assert sorted(os.listdir(folder)) == ["1", "2", "3"]
    with pytest.raises(InputError, match="name must be the name of one of the bundle's 5 classes. Received: 'zebra'"):
        shop.take_back("zebra")


def test_sliders_have_the_units_of_the_table(exported, images, tmp_path):
    folder = Path(shutil.copytree(exported, tmp_path / "1"))
    metadata = dict(Bundle.open(folder).metadata)
    names = ["weight_kg", "legs", *metadata["knowledge"]["names"][2:]]
    scale = {"low": [10.0, 0.0, 0.0, 0.0, 0.0, 0.0], "span": [500.0, 4.0, 1.0, 1.0, 1.0, 1.0]}
    metadata["knowledge"] = {**metadata["knowledge"], "names": names, "scale": scale}
    write_metadata(folder, metadata)
    bench = Workshop(folder, images, 2).bench
    composition = bench.start("cat")
    heaviest = 10 + 500 * max(card.description[0] for card in bench.bundle.cards)
    assert bench.ranges[0].high == pytest.approx(2 * heaviest, rel=0.05) and bench.ranges[2].high <= 1
    assert bench.in_units(composition.values)[0] == pytest.approx(10 + 500 * composition.values[0])
    heavy = composition.edited(0, bench.out_of_units(0, 760.0))
    assert heavy.values[0] == pytest.approx(1.5) and bench.in_units(heavy.values)[0] == pytest.approx(760)


def test_words_start_a_description(workshop):
    bench = workshop.bench
    composition, notes = bench.read("It has fur and no wings.")
    assert composition.text == "It has fur and no wings."
    mean = bench.knowledge.values.mean(axis=0)
    assert composition.values[0] >= mean[0] and composition.values[1] <= mean[1]
    assert "understood fur" in notes[0]
    with pytest.raises(InputError, match="nothing is understood"):
        bench.read("Qwerty.")


def test_a_bundle_without_a_column_formula_composes_nothing(images, tmp_path):
    folder = export_toy(tmp_path / "bare", [images / "00.png"], formula=None, explainer=None, knowledge=None)
    bench = Workshop(folder, images, 3).bench
    answer = bench.model.answer(bench.gallery.images.read(0))
    assert answer.best and answer.heat_png == b"" and answer.label == answer.best[0][0]
    with pytest.raises(InputError, match="must have the descriptions of its classes"):
        bench.start(None)
