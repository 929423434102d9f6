"""Bundles as files: what is read, what is refused, and what the next version shares with the one before."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace

import numpy as np
import pytest

from niwt_tf.errors import InputError
from niwt_tf.files import read_json, write_json
from niwt_tf.serving.bundle.bundle import CARDS, Bundle
from niwt_tf.serving.bundle.cards import Card
from niwt_tf.serving.bundle.paged_head import free_slot, with_column
from niwt_tf.serving.classes.rewrite import next_version
from niwt_tf.serving.loaded_version import load_version
from niwt_tf.serving.predict import opened


@pytest.fixture
def bundle(saved_model, tmp_path):
    return Bundle.open(shutil.copytree(saved_model, tmp_path / "toy" / "1"))


def _logits(folder):
    images = np.random.default_rng(0).uniform(0, 255, (3, 16, 16, 3)).astype(np.float32)
    with opened(folder) as servable:
        return servable.run("logits", {"images": images})["logits"]


def _with(bundle, card, column, bias):
    pages, slots = bundle.variable("columns"), bundle.variable("slots")
    slot = free_slot(pages, slots)
    variables = {
        "columns": with_column(pages, slot, column),
        "slots": np.append(slots, slot),
        "biases": np.append(bundle.variable("biases"), np.float32(bias)),
        "labels": np.append(bundle.variable("labels"), card.name.encode()),
        "seen": np.append(bundle.variable("seen"), np.float32(card.seen)),
    }
    return next_version(bundle, variables=variables, cards=(*bundle.cards, card))


def test_a_bundle_is_what_was_exported(bundle, network, contents):
    assert bundle.labels == network.class_names
    assert bundle.attribute_names == contents.knowledge.names
    assert bundle.variable("labels").tolist() == [name.encode() for name in network.class_names]
    np.testing.assert_allclose(bundle.cards[4].description, contents.knowledge.values[4])
    assert (bundle.cards[0].how, bundle.cards[0].images) == ("trained on photographs", 9)
    columns, biases = bundle.formula()(contents.knowledge.values)
    expected_columns, expected_biases = contents.formula(contents.knowledge.values)
    np.testing.assert_allclose(columns, expected_columns, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(biases, expected_biases, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_reading_needs_no_keras(bundle):
    import subprocess
    import sys

    program = (
        "import sys; sys.modules['keras'] = None\n"
        "from niwt_tf.serving.bundle.bundle import Bundle\n"
        f"bundle = Bundle.open({str(bundle.folder)!r})\n"
        "print('tensorflow' in sys.modules, bundle.labels[3])\n"
        "bundle.formula()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False fox é"


@pytest.mark.slow
@pytest.mark.combination  # tests/serving/classes/test_edit.py has it too
def test_another_class_changes_no_bit_of_the_others(bundle):
    before, files = _logits(bundle.folder), {p: p.read_bytes() for p in bundle.folder.rglob("*") if p.is_file()}
    path = _with(bundle, Card("jay \U0001f426"), np.ones(256, np.float32), 0.5)
    after = _logits(path)
    assert path.name == "2"
    np.testing.assert_array_equal(after[:, :-1], before)
    assert after.shape == (3, 8)
    changed = Bundle.open(path)
    assert changed.labels == (*bundle.labels, "jay \U0001f426")
    assert changed.metadata["unseen"] == ["gnu", "hen", "ibis", "jay \U0001f426"]
    assert changed.metadata["made_from"] == "1"
    assert {p: p.read_bytes() for p in bundle.folder.rglob("*") if p.is_file()} == files
    assert (path / "saved_model.pb").read_bytes() == (bundle.folder / "saved_model.pb").read_bytes()


def test_a_failed_check_leaves_nothing(bundle):
    def fail(_):
        raise InputError("no")

    with pytest.raises(InputError, match="no"):
        next_version(bundle, variables={}, cards=bundle.cards, check=fail)
    assert os.listdir(bundle.folder.parent) == ["1"]


def test_an_unknown_variable_and_a_lone_folder_are_refused(bundle, tmp_path):
    with pytest.raises(InputError, match="must name root variables of the bundle. Received: 'slts'"):
        next_version(bundle, variables={"slts": np.zeros(1)}, cards=bundle.cards)
    lone = replace(bundle, folder=shutil.copytree(bundle.folder, tmp_path / "lone"))
    with pytest.raises(InputError, match="must have its version as its name"):
        next_version(lone, variables={}, cards=bundle.cards)
    with pytest.raises(InputError, match="must hold the variable 'slts'"):
        bundle.variable("slts")


@pytest.mark.parametrize("file", ["saved_model.pb", "variables/variables.data-00000-of-00001", CARDS])
def test_a_changed_file_is_seen(bundle, file):
    path = bundle.folder / file
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"must be unchanged since it was written. Received: {file}, it was changed"):
        Bundle.open(bundle.folder)


@pytest.mark.parametrize("name", ["saved_model.pb", "variables", "assets.extra/words", CARDS, "niwt.json"])
def test_a_link_in_a_bundle_is_refused(bundle, tmp_path, name):
    """Also one to the very bytes: it would be this machine's file that is copied into the next version."""
    path, elsewhere = bundle.folder / name, tmp_path / "elsewhere"
    if path.exists():
        path.rename(elsewhere)
    else:
        elsewhere.mkdir()
    path.symlink_to(elsewhere)
    for check in (True, False):
        with pytest.raises(InputError, match=f"must hold only its own files and folders. Received: {name}, a link to '/"):
            Bundle.open(bundle.folder, check=check)


def test_a_pipe_in_a_bundle_is_refused_and_litter_is_passed_over(bundle):
    (bundle.folder / "assets.extra" / ".#cards.json").symlink_to("nobody@nowhere")
    Bundle.open(bundle.folder)
    os.mkfifo(bundle.folder / "assets.extra" / "pipe")
    with pytest.raises(InputError, match="Received: assets.extra/pipe, neither"):
        Bundle.open(bundle.folder)


@pytest.mark.parametrize("kind", ["file", "folder", "nothing", "same"])
def test_a_link_that_came_since_a_bundle_was_opened_goes_no_further(bundle, tmp_path, kind):
    (tmp_path / "secret").write_text("secret")
    targets = {"file": tmp_path / "secret", "folder": tmp_path, "nothing": tmp_path / "none", "same": tmp_path / "cards"}
    path = bundle.folder / CARDS if kind == "same" else bundle.folder / "assets.extra" / kind
    if kind == "same":
        path.rename(targets["same"])
    path.symlink_to(targets[kind])
    with pytest.raises(InputError, match=rf"toy/1 must hold only its own files.* Received: .*{path.name}, a link to"):
        next_version(bundle, variables={}, cards=bundle.cards)
    assert os.listdir(bundle.folder.parent) == ["1"]


@pytest.mark.parametrize("file", ["saved_model.pb", "assets.extra/few_shot.npz"])
def test_a_file_that_was_changed_since_a_bundle_was_opened_goes_no_further(bundle, file):
    path = bundle.folder / file
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(InputError, match=rf"toy/1 must be unchanged.* Received: {file}, it was changed meanwhile"):
        next_version(bundle, variables={}, cards=bundle.cards)
    assert os.listdir(bundle.folder.parent) == ["1"]


def test_what_lost_its_metadata_is_no_plain_saved_model(bundle):
    (bundle.folder / "niwt.json").unlink()
    with pytest.raises(InputError, match=r"Received: a SavedModel without niwt.json"):
        load_version(1, bundle.folder)


def test_changed_metadata_and_lost_or_added_files_are_seen(bundle):
    described = read_json(bundle.folder / "niwt.json")
    write_json(bundle.folder / "niwt.json", {**described, "calibration": 0.0})
    with pytest.raises(InputError, match="Received: niwt.json, it was changed"):
        Bundle.open(bundle.folder)
    write_json(bundle.folder / "niwt.json", described)
    (bundle.folder / "assets.extra" / "more").write_text("x")
    with pytest.raises(InputError, match="Received: assets.extra/more, it is new; remove it, or"):
        Bundle.open(bundle.folder)
    (bundle.folder / "assets.extra" / "more").unlink()
    (bundle.folder / "notes.txt").write_text("what others put beside a bundle")
    Bundle.open(bundle.folder)
    (bundle.folder / CARDS).unlink()
    with pytest.raises(InputError, match=f"Received: {CARDS}, it is missing"):
        Bundle.open(bundle.folder)


@pytest.mark.parametrize(
    ("entries", "sentence"),
    [
        ({"format": 99}, "must have format 2. Received: 99; update niwt-tf"),
        ({"format": 1}, "must have format 2. Received: 1; export it again"),
        ({"format": "x"}, "must have format 2. Received: 'x'; export it again"),
        ({"labels": []}, "must have a card for each label"),
    ],
)
def test_other_formats_are_refused(bundle, entries, sentence):
    described = read_json(bundle.folder / "niwt.json")
    write_json(bundle.folder / "niwt.json", {**described, **entries})
    with pytest.raises(InputError, match=sentence):
        Bundle.open(bundle.folder, check=False)


@pytest.mark.parametrize("content", ["[]", "{", '{"cards": [{"name": 1}]}', '{"cards": 5}'])
def test_broken_cards_are_refused(bundle, content):
    (bundle.folder / CARDS).write_text(content)
    with pytest.raises(InputError, match="must hold the cards of a bundle"):
        Bundle.open(bundle.folder, check=False)
