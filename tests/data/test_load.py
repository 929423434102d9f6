from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from niwt_tf.data.checks import constant_entries
from niwt_tf.data.load import load_dataset
from niwt_tf.errors import InputError


@pytest.mark.parametrize("name", ["cub", "birds"])
def test_archives_in_cubs_layout(cub: Path, name: str) -> None:
    data = load_dataset(name, str(cub), num_unseen=1, knowledge="captions", max_bad_images=None)
    assert data.name == name
    assert data.split is not None and len(data.split.unseen) == 1
    assert data.knowledge.source == "captions"


def test_awa2_and_folder(awa2: Path, animals: Path) -> None:
    assert load_dataset("awa2", awa2, unseen=["rat"], max_bad_images=None).name == "awa2"
    data = load_dataset("folder", animals, max_bad_images=None)
    assert data.split is not None and data.split.unseen.tolist() == [5]


def test_attributes_that_are_constant_over_seen_classes_are_warned_of(animals: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "niwt_tf"):
        data = load_dataset("folder", animals, max_bad_images=None)
    assert constant_entries(data) == ("alive",)
    assert "1 of 3 attributes have the same value for all seen classes and cannot be learnt: alive." in caplog.text


def test_many_constant_attributes_are_named_by_five(animals: Path, caplog: pytest.LogCaptureFixture) -> None:
    names = ("ape", "bear", "cat", "dog", "wolf", "unicorn")
    header = "class," + ",".join(f"a{k}" for k in range(9)) + "\n"
    (animals / "classes.csv").write_text(header + "".join(f"{name}{',0' * 8},{k}\n" for k, name in enumerate(names)))
    load_dataset("folder", animals, max_bad_images=None)
    assert "8 of 9" in caplog.text and "a4 and others" in caplog.text and "a5" not in caplog.text


def test_classes_with_few_photographs_are_named(animals: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("0.jpg", "1.PNG", "2.jpeg"):
        (animals / "images/ape" / name).unlink()
    load_dataset("folder", animals, max_bad_images=None)
    assert "A class needs 3 photographs for training and test. These have fewer: 'ape' (1)." in caplog.text


def test_wrong_names(animals: Path) -> None:
    told = "dataset must be one of birds, cub, awa2, nabirds, flowers, folder, xlsa17. Received: 'cubs'. Did you mean 'cub'"
    with pytest.raises(InputError, match=told):
        load_dataset("cubs", animals)
    with pytest.raises(InputError, match="missing_images must be one of"):
        load_dataset("folder", animals, missing_images="skip")


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"name": None}, "dataset must be one of .* Received: None"),
        ({"data_dir": None}, "data_dir must be the path of a folder. Received: None"),
        ({"data_dir": ""}, "data_dir must be the path of a folder. Received: ''"),
        ({"split_dir": 5}, "split_dir must be the path of a folder. Received: 5"),
        ({"num_unseen": "2"}, "num_unseen must be an integer. Received: '2'"),
        ({"num_unseen": 2.0}, "num_unseen must be an integer. Received: 2.0"),
        ({"num_unseen": True}, "num_unseen must be an integer. Received: True"),
        ({"unseen": "rat"}, "unseen must be a list of names. Received: 'rat'"),
        ({"unseen": [1]}, r"unseen must be a list of names. Received: \[1\]"),
        ({"unseen": None}, "unseen must be given. Received: None"),
        ({"seed": None}, "seed must be given. Received: None"),
        ({"seed": 1.5}, "seed must be an integer. Received: 1.5"),
        ({"split": 5}, "split must be text. Received: 5"),
        ({"knowledge": ["attributes"]}, "knowledge must be text. Received"),
        ({"text_features": None}, "text_features must be given"),
        ({"missing_images": None}, "missing_images must be given"),
        ({"max_bad_images": "1"}, "max_bad_images must be an integer. Received: '1'"),
        ({"max_bad_images": 1.5}, "max_bad_images must be an integer. Received: 1.5"),
    ],
)
def test_arguments_of_a_wrong_type_are_named(animals: Path, given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=f"^{sentence}"):
        load_dataset(**{"name": "folder", "data_dir": animals, **given})


def test_paths_are_taken_as_paths_and_numbers_as_numpys(animals: Path) -> None:
    taken = {"num_unseen": np.int64(2), "max_bad_images": None}
    data = load_dataset("folder", animals, knowledge=animals / "classes.csv", **taken)  # type: ignore[arg-type]
    assert data.split is not None and len(data.split.unseen) == 3


def test_reading_needs_no_tensorflow() -> None:
    code = "import sys, niwt_tf.data.load; sys.exit(any(m in sys.modules for m in ('tensorflow', 'keras', 'sklearn', 'scipy')))"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2]).returncode == 0


@pytest.mark.real_data
def test_real_archives(shared_data: Path) -> None:
    data = load_dataset("cub", shared_data / "cub", num_unseen=3, knowledge="captions", missing_images="drop")
    assert data.split is not None
    assert (len(data.split.seen), len(data.split.unseen)) == (7, 3)
    assert load_dataset("folder", shared_data / "animals", num_unseen=5, seed=2).split is not None


def test_one_description_of_all_seen_classes_is_refused(animals: Path) -> None:
    names = ("ape", "bear", "cat", "dog", "wolf", "unicorn")
    (animals / "classes.csv").write_text("class,alive,furry\n" + "".join(f"{name},1,0\n" for name in names))
    with pytest.raises(InputError, match="must differ between seen classes. Received: the same description for all"):
        load_dataset("folder", animals, max_bad_images=None)
