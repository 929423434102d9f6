"""Bundles with other classes: what is new, and that all else stays as it was to the bit."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from niwt_tf.data.descriptions.new_classes import DescribedClass, Description
from niwt_tf.errors import InputError
from niwt_tf.files import read_json
from niwt_tf.serving.bundle.bundle import Bundle
from niwt_tf.serving.bundle.cards import cards_from_json, cards_to_json
from niwt_tf.serving.classes.edit import Change, add_classes, remove_class, rename_class, write_change
from niwt_tf.serving.classes.names import LONGEST, new_names, place_of
from niwt_tf.serving.classes.rewrite import ClassCheckError, check_classes
from niwt_tf.serving.predict import opened
from tests.shared import further

PIXELS = np.random.default_rng(7).uniform(0, 255, (3, 16, 16, 3)).astype(np.float32)


@pytest.fixture
def bundle(saved_model, tmp_path) -> Bundle:
    shutil.copytree(saved_model, tmp_path / "toy" / "1")
    return Bundle.open(tmp_path / "toy")


def described(name, seed=0, source="a guide") -> DescribedClass:
    values = np.random.default_rng(100 + seed).random(6).astype(np.float32)
    return DescribedClass(name, Description(values, "some words"), source)


def logits(folder) -> np.ndarray:
    with opened(folder) as servable:
        return servable.run("logits", {"images": PIXELS})["logits"]


def slots_of(folder) -> list[int]:
    return Bundle.open(folder).variable("slots").tolist()


def test_an_added_class_is_known_and_the_others_are_as_they_were(bundle):
    before = logits(bundle.folder)
    new = described("lynx")
    path = write_change(bundle, add_classes(bundle, [new]))
    assert path == bundle.folder.parent / "2"
    after = logits(path)
    np.testing.assert_array_equal(after[:, :7], before)
    column, bias = bundle.formula()(new.description.values[None])
    with opened(path) as servable:
        features = servable.run("logits", {"images": PIXELS})["features"]
    np.testing.assert_allclose(after[:, 7], features @ column[:, 0] + bias, rtol=1e-4, atol=1e-4)
    card = Bundle.open(path).cards[-1]
    assert (card.name, card.text, card.source, card.seen, card.images) == ("lynx", "some words", "a guide", False, 0)
    assert card.description == tuple(float(value) for value in new.description.values)
    assert "by NIWT (nearest class " in card.how
    assert card.validation["validation_acc_zsl"] == 0.5
    assert -1 <= card.figures["nearest_cosine"] <= 1
    metadata = Bundle.open(path).metadata
    assert metadata["labels"][-1] == metadata["unseen"][-1] == "lynx"
    assert metadata["made_from"] == "1"
    assert (path / "saved_model.pb").read_bytes() == (bundle.folder / "saved_model.pb").read_bytes()


@pytest.mark.slow
def test_add_then_remove_is_as_before(bundle):
    before = logits(bundle.folder)
    added = Bundle.open(write_change(bundle, add_classes(bundle, [described("lynx"), described("mole", 1)])))
    rest = Bundle.open(write_change(added, remove_class(added, "lynx")))
    assert rest.labels[-1] == "mole"
    np.testing.assert_array_equal(logits(rest.folder), logits(added.folder)[:, [*range(7), 8]])
    again = Bundle.open(write_change(rest, remove_class(rest, "mole")))
    assert again.folder.name == "4"
    np.testing.assert_array_equal(logits(again.folder), before)
    assert again.cards == bundle.cards
    for variable in ("columns", "slots", "biases", "labels", "seen"):
        np.testing.assert_array_equal(again.variable(variable), bundle.variable(variable))


@pytest.mark.slow
@pytest.mark.combination
def test_a_removed_classs_slot_is_empty_and_used_again(bundle):
    before = logits(bundle.folder)
    removed = Bundle.open(write_change(bundle, remove_class(bundle, "dog")))
    assert slots_of(removed.folder) == [0, 2, 3, 4, 5, 6]
    assert not removed.variable("columns")[0, :, 1].any()
    assert removed.metadata["seen"] == ["cat", "eel", "fox é"]
    np.testing.assert_array_equal(logits(removed.folder), before[:, [0, 2, 3, 4, 5, 6]])
    again = write_change(removed, add_classes(removed, [described("lynx")]))
    assert slots_of(again) == [0, 2, 3, 4, 5, 6, 1]
    np.testing.assert_array_equal(logits(again)[:, :6], before[:, [0, 2, 3, 4, 5, 6]])


@pytest.mark.slow
@pytest.mark.combination
def test_many_at_once_take_another_page(bundle):
    change = add_classes(bundle, [described(f"class {n}", n) for n in range(40)])
    assert change.variables["columns"].shape[0] == 2
    assert change.variables["slots"].tolist() == list(range(47))
    path = write_change(bundle, change)
    after = logits(path)
    np.testing.assert_array_equal(after[:, :7], logits(bundle.folder))
    one = write_change(bundle, add_classes(bundle, [described("class 39", 39)]))
    np.testing.assert_allclose(after[:, 46], logits(one)[:, 7], rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_rename(bundle):
    path = write_change(bundle, rename_class(bundle, "gnu", "Gnu 🐃"))
    np.testing.assert_array_equal(logits(path), logits(bundle.folder))
    renamed = Bundle.open(path)
    assert renamed.labels == ("cat", "dog", "eel", "fox é", "Gnu 🐃", "hen", "ibis")
    assert renamed.cards[4] == replace(bundle.cards[4], name="Gnu 🐃")
    assert renamed.variable("labels")[4].decode() == "Gnu 🐃"


def test_nearly_the_same_description_is_warned_of(bundle):
    ibis = bundle.cards[6].description
    twin = DescribedClass("twin", Description(np.array(ibis, np.float32)))
    change = add_classes(bundle, [twin, described("lynx"), described("puma")])
    assert [note.split(" has ")[0] for note in change.notes] == ["'twin'", "'puma'"]
    assert "as 'ibis' (cosine 1.000)" in change.notes[0]
    assert "as 'lynx'" in change.notes[1]
    assert change.cards[7].figures["nearest_cosine"] == pytest.approx(1)


BAD_NAMES = {
    "": "must have 1 to 200 characters. Received: '', 0 characters",
    " \t": "must have 1 to 200 characters",
    "x" * (LONGEST + 1): "must have 1 to 200 characters. Received: 'xxx",
    "two\nlines": r"must be one line without control characters. Received: 'two\\nlines'",
    "tab\there": "must be one line without control characters",
    "nul\0": "must be one line without control characters",
    "bell\a": "must be one line without control characters",
    "half \ud83e": r"must be UTF-8 text, which this is not: give it another name. Received: 'half \\ud83e'",
    "line\u2028separator": "must be one line without control characters",
    "cat": "must be new. Received: 'cat', which exists",
    " cat ": "must be new. Received: 'cat'",
    "fox e\u0301": "must be new. Received: 'fox é'",
}


@pytest.mark.parametrize("name", BAD_NAMES)
def test_bad_names(bundle, name):
    for attempt in (lambda: add_classes(bundle, [described(name)]), lambda: rename_class(bundle, "dog", name)):
        with pytest.raises(InputError, match=BAD_NAMES[name].replace("(", r"\(")):
            attempt()


def test_names_that_are_taken_by_the_batch_or_by_abstaining(bundle):
    with pytest.raises(InputError, match="Received: 'lynx', which exists"):
        add_classes(bundle, [described("lynx"), described("lynx", 1)])
    assert new_names(bundle, ["unknown"]) == ("unknown",)
    sure = replace(bundle, metadata={**bundle.metadata, "probabilities": {"abstain_below": 0.3}})
    with pytest.raises(InputError, match="must not be 'unknown', which is the bundle's answer when it abstains"):
        new_names(sure, [" Unknown"])


def test_classes_that_there_are_not(bundle):
    for attempt in (lambda: remove_class(bundle, "dgo"), lambda: rename_class(bundle, "dgo", "x")):
        with pytest.raises(InputError, match="one of the bundle's 7 classes. Received: 'dgo'. Did you mean 'dog'?"):
            attempt()
    assert place_of(bundle, "fox e\u0301") == 3
    with pytest.raises(InputError, match="only class. Received: 'cat'"):
        remove_class(replace(bundle, cards=bundle.cards[:1]), "cat")


@pytest.mark.parametrize("values", [np.zeros(5), np.zeros((1, 6)), np.array([0, 1, 2, np.nan, 0, 0]), np.full(6, np.inf)])
def test_descriptions_that_do_not_fit(bundle, values):
    with pytest.raises(InputError, match="The description of 'lynx' must be 6 finite numbers"):
        add_classes(bundle, [DescribedClass("lynx", Description(values))])


def test_a_description_too_large_for_float32(bundle):
    values = np.array([3e38, -3e38, 3e38, 0, 0, 0], np.float32)
    with pytest.raises(InputError, match="The description of 'lynx' must give a finite head column"):
        add_classes(bundle, [DescribedClass("lynx", Description(values))])


def test_a_bundle_without_a_column_formula(bundle):
    without = replace(bundle, metadata={**bundle.metadata, "column_map": None})
    with pytest.raises(InputError, match="must have a column formula"):
        add_classes(without, [described("lynx")])
    assert remove_class(without, "dog").cards == (bundle.cards[0], *bundle.cards[2:])
    with pytest.raises(InputError, match="at least one class"):
        add_classes(bundle, [])


def _spoilt(bundle: Bundle, change: Change, how: str) -> Change:
    variables = dict(change.variables)
    if how == "another class":
        variables["columns"] = variables["columns"].copy()
        variables["columns"][0, 0, 2] = np.nextafter(variables["columns"][0, 0, 2], np.float32(np.inf)) + np.float32(1e-3)
    elif how == "not finite":
        variables["biases"] = np.append(variables["biases"][:-1], np.float32(np.nan))
    elif how == "labels":
        variables["labels"] = np.array([b"elk"] * 8, object)
    else:
        variables["slots"] = np.append(variables["slots"][:-1], np.int64(99))
    return replace(change, variables=variables)


@pytest.mark.parametrize("how", ["another class", *further("not finite", "labels", "no such slot")])
def test_a_version_that_answers_otherwise_does_not_appear(bundle, how):
    with pytest.raises(ClassCheckError):
        write_change(bundle, _spoilt(bundle, add_classes(bundle, [described("lynx")]), how))
    assert sorted(path.name for path in bundle.folder.parent.iterdir()) == ["1"]


def test_a_version_that_does_not_load(bundle, tmp_path):
    shutil.copytree(bundle.folder, tmp_path / "broken")
    shutil.rmtree(tmp_path / "broken" / "variables")
    slots = bundle.variable("slots")
    with pytest.raises(ClassCheckError, match="does not work"):
        check_classes(bundle.folder, tmp_path / "broken", slots, slots, bundle.labels)


ODD_NAMES = ['"quoted"', "it's; DROP", "<b>&amp;", "👩‍👩‍👧‍👦 🏳️‍🌈", "عربى", "שלום", "汉字", "a\\nb", "{}", "ﬁ", "../x"]


@pytest.mark.slow
def test_odd_names_survive_the_bundle(bundle):
    path = write_change(bundle, add_classes(bundle, [described(name, n) for n, name in enumerate(ODD_NAMES)]))
    with opened(path) as servable:
        labels = {label.decode() for label in Bundle.open(path).variable("labels")}
        assert servable.run("logits", {"images": PIXELS})["logits"].shape == (3, 7 + len(ODD_NAMES))
    assert labels == {*bundle.labels, *ODD_NAMES}
    assert Bundle.open(path).labels[7:] == tuple(ODD_NAMES)
    assert json.loads((path / "niwt.json").read_text())["labels"][7:] == ODD_NAMES


ANY_NAME = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), min_size=1, max_size=40)


@given(ANY_NAME, st.text(max_size=20))
def test_every_allowed_name_survives_json(session_bundle, name, source):
    try:
        (plain,) = new_names(session_bundle, [name])
    except InputError as error:
        assert re.search("1 to 200 characters|marks of text direction|visible character|must be new", str(error))
        return
    source = source.encode("utf-8", "ignore").decode()
    card = replace(session_bundle.cards[-1], name=plain, source=source)
    (again,) = cards_from_json(json.loads(json.dumps(cards_to_json([card]), ensure_ascii=False)), "here")
    assert again == card
    assert np.array([plain.encode()], object)[0].decode() == plain
    assert new_names(session_bundle, [plain]) == (plain,)


@pytest.fixture(scope="session")
def session_bundle(saved_model) -> Bundle:
    return Bundle.open(saved_model)


def test_version_one_is_never_touched(bundle):
    files = {path: path.read_bytes() for path in Path(bundle.folder).rglob("*") if path.is_file()}
    write_change(bundle, add_classes(bundle, [described("lynx")]))
    assert {path: path.read_bytes() for path in Path(bundle.folder).rglob("*") if path.is_file()} == files
    assert read_json(bundle.folder.parent / "2" / "niwt.json")["labels"][-1] == "lynx"


def test_a_name_is_taken_in_other_letters_and_with_other_blanks(bundle):
    known = bundle.labels[0]
    for name in (known.upper(), f"{known}\u200b", f"\u00a0{known.capitalize()} "):
        with pytest.raises(InputError, match="name must be new.*which exists"):
            new_names(bundle, [name])
    assert new_names(bundle, [known.upper()], known) == (known.upper(),)
    with pytest.raises(InputError, match="which exists"):
        new_names(bundle, [known], known)
    with pytest.raises(InputError, match="which exists as 'new'"):
        new_names(bundle, ["new", "NEW"])
