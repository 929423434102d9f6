"""A bundle whose fingerprints are right and whose metadata are not: one sentence, wherever it comes from."""

from __future__ import annotations

import pytest

from niwt_tf.errors import InputError
from niwt_tf.serving.bundle.bundle import Bundle
from niwt_tf.serving.bundle.cards import Card
from niwt_tf.serving.classes.rewrite import write_cards, write_metadata

KNOWN = {"names": ["p", "q"], "groups": ["", ""], "source": "attributes", "scale": {"low": [0, 0], "span": [1, 1]}}
GOOD = {
    "format": 2, "labels": ["a"], "input_size": 16, "resize": "crop", "knowledge": KNOWN, "column_map": None,
    "probabilities": {"temperature": 1.0, "abstain_below": 0.0, "figures": {}},
    "validation": {"validation_acc_zsl": 0.5, "validation_other": None},
}  # fmt: skip


def _bundle(tmp_path, description=(0.5, 1.0), **changed):
    folder = tmp_path / "toy" / "1"
    (folder / "variables").mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(b"content")
    write_cards(folder, (Card("a", description),))
    write_metadata(folder, {**GOOD, **changed})
    return folder


@pytest.mark.parametrize("changed", [{}, {"knowledge": None, "description": None}, {"validation": None, "resize": "pad"}])
def test_what_an_export_writes_is_taken(tmp_path, changed):
    assert Bundle.open(_bundle(tmp_path, **changed)).labels == ("a",)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("input_size", "16"), ("input_size", 0), ("input_size", None), ("resize", 5), ("resize", "stretch"), ("knowledge", [1]),
        ("knowledge", {}), ("knowledge", {**KNOWN, "names": ["p", 1]}), ("knowledge", {**KNOWN, "groups": [""]}),
        ("knowledge", {**KNOWN, "source": None}), ("knowledge", {**KNOWN, "scale": [1]}),
        ("knowledge", {**KNOWN, "scale": {"low": [0, 0]}}), ("probabilities", {"temperature": "1"}), ("probabilities", 3),
        ("validation", {"a": "b"}), ("validation", []), ("column_map", "x"), ("explanations", []), ("writer", 1),
        ("knowledge", {**KNOWN, "scale": {"low": [0, 0], "span": ["x", 1]}}), ("explanations", {"cautions": 5}),
    ],
)  # fmt: skip
def test_another_form_is_named(tmp_path, name, value):
    with pytest.raises(InputError, match=rf"niwt\.json must be the JSON that `niwt export` wrote.* another form of '{name}', "):
        Bundle.open(_bundle(tmp_path, **{name: value}))


def test_a_description_of_another_length_is_named(tmp_path):
    with pytest.raises(InputError, match=r"cards\.json must describe each class by 2 numbers\. Received: 1 of 'a'\."):
        Bundle.open(_bundle(tmp_path, description=(0.5,)))
