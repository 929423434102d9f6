"""Folds of validation classes: who is kept from whom."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from niwt_tf.data.folds import class_folds, hold_out_images, main_partition
from niwt_tf.data.schema import Descriptions, Images, SeenData
from niwt_tf.errors import InputError


def _seen(counts: list[int]) -> SeenData:
    labels = np.repeat(np.arange(len(counts)), counts).astype(np.int32)
    paths = tuple(f"{label}/{number}.png" for number, label in enumerate(labels))
    names = tuple(f"class {label}" for label in range(len(counts)))
    described = Descriptions(names, np.arange(2.0 * len(counts)).reshape(-1, 2), tuple(f"text of {name}" for name in names))
    return SeenData(Images(Path("/nowhere"), paths, labels, names), described)


_COUNTS = st.lists(st.integers(1, 9), min_size=2, max_size=20)


@settings(max_examples=60, deadline=None)
@given(counts=_COUNTS, seed=st.integers(0, 99))
def test_held_out_images_part_each_class(counts, seed):
    images = _seen(counts).images
    kept, held = hold_out_images(images, 0.3, seed)
    assert sorted(kept.paths + held.paths) == sorted(images.paths)
    for label, count in enumerate(counts):
        assert (kept.labels == label).sum() >= 1
        assert (held.labels == label).sum() == (max(1, round(0.3 * count)) if count > 1 else 0)


@settings(max_examples=60, deadline=None)
@given(counts=_COUNTS, num_folds=st.integers(1, 5), num_unseen=st.integers(1, 30), seed=st.integers(0, 99))
def test_a_fold_is_kept_from_its_validation_classes(counts, num_folds, num_unseen, seed):
    seen = _seen(counts)
    label_of = dict(zip(seen.images.paths, seen.images.labels, strict=True))
    folds = class_folds(seen, num_folds=num_folds, num_validation=None, num_unseen=num_unseen, seed=seed)
    assert len(folds) <= num_folds
    share = round(len(counts) * num_unseen / (len(counts) + num_unseen))
    size = min(max(share, 2), len(counts) // 2)
    if len(counts) - size < 4 or sum(count > 1 for count in counts) < 4:
        assert not folds
    elif min(counts) > 1:
        assert folds
    drawn = np.concatenate([fold.validation for fold in folds]) if folds else np.empty(0)
    assert len(set(drawn)) == len(drawn)
    for fold in folds:
        assert len(fold.classes) >= 4
        assert sorted([*fold.classes, *fold.validation]) == list(range(len(counts)))
        own = [*fold.training.images.paths, *fold.held_out.paths]
        assert not {label_of[path] for path in own} & set(fold.validation)
        assert not set(fold.training.images.paths) & set(fold.evaluation.paths)
        order = [*fold.classes, *fold.validation]
        assert [order[label] for label in fold.evaluation.labels] == [label_of[path] for path in fold.evaluation.paths]
        assert fold.evaluation.class_names == tuple(f"class {label}" for label in order)
        for described, classes in ((fold.training.descriptions, fold.classes), (fold.validation_descriptions, fold.validation)):
            np.testing.assert_array_equal(described.values, seen.descriptions.values[classes])
            assert described.names == tuple(f"class {label}" for label in classes)
            assert described.texts == tuple(f"text of class {label}" for label in classes)


def test_the_same_seed_draws_the_same_and_another_differently():
    seen = _seen([5] * 12)
    first, again, other = (
        [list(fold.validation) for fold in class_folds(seen, num_folds=3, num_validation=None, num_unseen=4, seed=seed)]
        for seed in (0, 0, 1)
    )
    assert first == again != other
    assert [len(validation) for validation in first] == [3, 3, 3]  # the share of 4 unseen in 16 classes


def test_the_number_of_validation_classes_may_be_given():
    seen = _seen([3] * 7)
    folds = class_folds(seen, num_folds=9, num_validation=1, num_unseen=2, seed=0)
    assert sorted(int(fold.validation[0]) for fold in folds) == list(range(7))
    with pytest.raises(InputError, match="--validation_classes must leave at least 2 of 7 seen classes to train. Received: 6."):
        class_folds(seen, num_folds=1, num_validation=6, num_unseen=2, seed=0)


def test_the_main_partition_has_every_class():
    main = main_partition(_seen([4, 4, 2]), seed=0)
    assert main.name == "main"
    assert list(main.classes) == [0, 1, 2]
    assert len(main.training.images) + len(main.held_out) == 10
    assert main.training.descriptions.names == ("class 0", "class 1", "class 2")
