from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from niwt_tf.data.readers.awa2 import read_awa2
from niwt_tf.data.readers.cub import read_cub
from niwt_tf.data.readers.folder import read_folder
from niwt_tf.data.schema import Dataset, Knowledge, Split
from niwt_tf.data.splits import choose_split, csv_split, named_split, published_folder, random_split, xlsa17_split
from niwt_tf.errors import InputError


def toy(counts: list[int]) -> Dataset:
    names = tuple(f"c{label}" for label in range(len(counts)))
    labels = np.repeat(np.arange(len(counts)), counts)
    paths = tuple(f"c{label}/{i}.jpg" for i, label in enumerate(labels))
    return Dataset("folder", Path("root"), paths, labels, names, Knowledge(np.eye(len(counts)), names, ("",) * len(counts)))


def split_of(data: Dataset) -> Split:
    assert data.split is not None
    return data.split


def names(data: Dataset, classes: np.ndarray) -> list[str]:
    return [data.class_names[c] for c in classes]


@given(st.lists(st.integers(0, 7), min_size=3, max_size=8), st.integers(0, 8), st.integers(0, 5))
def test_a_random_split_is_a_partition_or_a_sentence(counts: list[int], num_unseen: int, seed: int) -> None:
    data = toy(counts)
    with_images = sum(count > 0 for count in counts)
    allowed = with_images >= 2 and num_unseen <= with_images - 2
    if not allowed:
        with pytest.raises(InputError):
            random_split(data, num_unseen, seed)
        return
    split = split_of(random_split(data, num_unseen, seed))
    assert len(split.unseen) == num_unseen + counts.count(0)
    assert sorted([*split.seen, *split.unseen]) == list(range(len(counts)))
    assert sorted([*split.train, *split.test_seen, *split.test_unseen]) == list(range(sum(counts)))
    assert set(data.labels[split.train].tolist()) == set(split.seen.tolist())
    assert set(data.labels[split.test_unseen].tolist()) <= set(split.unseen.tolist())
    assert all((data.labels[split.test_seen] == c).any() for c in split.seen if counts[c] >= 2)


def test_random_split_follows_its_seed() -> None:
    data = toy([10] * 10)
    first, again, other = (split_of(random_split(data, 3, seed)) for seed in (0, 0, 1))
    assert first.unseen.tolist() == again.unseen.tolist() and first.test_seen.tolist() == again.test_seen.tolist()
    assert first.unseen.tolist() != other.unseen.tolist()
    assert np.bincount(data.labels[first.test_seen], minlength=10)[first.seen].tolist() == [2] * 7


def test_a_class_keeps_its_test_images_when_others_become_unseen() -> None:
    data = toy([10] * 6)
    one, two = split_of(named_split(data, ["c0"])), split_of(named_split(data, ["c0", "c1"]))
    assert set(two.test_seen.tolist()) < set(one.test_seen.tolist())


def test_only_where_it_is_asked_for_no_class_is_unseen() -> None:
    data = toy([3, 3, 3])
    made = [random_split(data, 0), random_split(data, 1), named_split(data, ["c1"])]
    assert [split_of(each).all_seen for each in made] == [True, False, False]
    with pytest.raises(ValueError, match="must have at least 1 unseen class"):
        named_split(data, [])


def test_default_number_of_unseen_classes() -> None:
    assert len(split_of(choose_split(toy([3] * 50))).unseen) == 10
    assert len(split_of(choose_split(toy([3] * 4))).unseen) == 1
    assert split_of(choose_split(toy([3, 0, 3, 3]))).unseen.tolist() == [1]
    assert len(split_of(choose_split(toy([3, 0, 3, 3]), num_unseen=1)).unseen) == 2


def test_named_split_adds_classes_without_images(animals: Path) -> None:
    data = named_split(read_folder(animals), ["wolf"])
    assert names(data, split_of(data).unseen) == ["wolf", "unicorn"]
    assert [data.paths[i] for i in split_of(data).test_unseen] == [f"wolf/{n}" for n in ("0.jpg", "1.PNG", "2.jpeg", "3.bmp")]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"unseen": ["wolff"]}, "unseen must name classes.*Received: 'wolff'. Did you mean 'wolf'"),
        ({"unseen": ["wolf", "wolf"]}, "each class once"),
        ({"unseen": ["ape", "bear", "cat", "dog"]}, "at least 2 seen classes. Received: 1"),
        ({"num_unseen": 4}, "num_unseen must be from 0 to 3.*Received: 4"),
        ({"num_unseen": -1}, "num_unseen must be.*Received: -1"),
        ({"num_unseen": 1, "unseen": ["ape"]}, "must not be given together with unseen"),
        ({"split": "ps", "num_unseen": 1}, "are only for split=random"),
        ({"split": "ps"}, "published only for cub and awa2; for other data sets give a CSV, or --unseen or --num_unseen."),
        ({"split": "randm"}, "split must be ps, ss, random or the path.*Did you mean 'random'"),
        ({"seed": -1}, "seed must be 0 or more"),
    ],
)
def test_one_sentence_for_each_wrong_option(animals: Path, options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        choose_split(read_folder(animals), **options)


def test_too_few_classes() -> None:
    for counts in ([3, 3], [3], [3, 0, 0]):
        with pytest.raises(InputError, match="must have 2 seen classes"):
            choose_split(toy(counts))


def test_no_class_is_hidden_where_that_is_asked_for() -> None:
    split = choose_split(toy([3, 3, 3]), num_unseen=0).split
    assert split is not None
    assert (split.seen.tolist(), split.unseen.tolist(), split.test_unseen.tolist()) == ([0, 1, 2], [], [])
    split = choose_split(toy([3, 0, 3]), num_unseen=0).split
    assert split is not None
    assert (split.seen.tolist(), split.unseen.tolist()) == ([0, 2], [1])


ROLES = "image,role\nape/0.jpg,trainval\nape/1.PNG,test_seen\nbear/0.jpg,train\ncat/0.jpg,test_unseen\n"


def test_csv_split(animals: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = animals / "split.csv"
    path.write_text(ROLES)
    data = choose_split(read_folder(animals), str(path))
    split = split_of(data)
    assert names(data, split.seen) == ["ape", "bear"]
    assert names(data, split.unseen) == ["cat", "unicorn"]
    assert [data.paths[i] for i in split.train] == ["ape/0.jpg", "bear/0.jpg"]
    assert [data.paths[i] for i in split.test_seen] == ["ape/1.PNG"]
    assert [data.paths[i] for i in split.test_unseen] == ["cat/0.jpg"]
    assert "no image of 2 classes" in caplog.text


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "bear/0.jpg",
            "bear/9.jpg",
            "line 4 must name an image.*Received: 'bear/9.jpg', which does not exist. Did you mean 'bear/0.jpg'",
        ),
        ("bear/0.jpg", "ape/0.jpg", "line 4 must name each image once"),
        ("bear/0.jpg,train", "bear/0.jpg,test", "line 4: the role must be one of.*Received: 'test'"),
        ("bear/0.jpg,train", "bear/0.jpg,test_seen", "every seen class a training image. Received: none for 'bear'"),
        ("bear/0.jpg,train", "ape/2.jpeg,train", "at least 2 seen classes. Received: 1"),
        ("cat/0.jpg", "bear/1.PNG", "either seen or unseen. Received: both for 'bear'"),
        ("image,role", "file,role", "line 1 must be 'image,role'"),
        ("image,role", "image;role", "line 2 must have 2 cells like the header"),
    ],
)
def test_csv_split_faults(animals: Path, old: str, new: str, message: str) -> None:
    path = animals / "split.csv"
    path.write_text(ROLES.replace(old, new, 1))
    with pytest.raises(InputError, match=message):
        csv_split(read_folder(animals), path)


def test_dropped_images_may_be_named_but_not_all(animals: Path) -> None:
    path = animals / "split.csv"
    path.write_text(ROLES + "emu/0.jpg,trainval\n")
    assert len(split_of(csv_split(read_folder(animals), path, "drop")).train) == 2
    path.write_text("image,role\nemu/0.jpg,trainval\n")
    with pytest.raises(InputError, match="Received: none that exists"):
        csv_split(read_folder(animals), path, "drop")


def test_standard_split_of_awa2_is_known(awa2: Path) -> None:
    data = read_awa2(awa2)
    with pytest.raises(InputError, match="unseen must name classes"):
        choose_split(data, "ss")  # an archive of 4 classes lacks eight of the ten
    data = choose_split(data, "ss", missing_images="drop")
    assert names(data, split_of(data).unseen) == ["pig", "rat"]
    assert split_of(data).name == "ss"


def test_standard_split_by_class_list(cub: Path) -> None:
    with pytest.raises(InputError, match="split=ss needs the Standard Split's class list"):
        choose_split(read_cub(cub), "ss")
    (cub / "standard_split/CUB").mkdir(parents=True)
    (cub / "standard_split/CUB/testclasses.txt").write_text("004.Grey_Owl\n002.Blue_Wren\n")
    for data in (choose_split(read_cub(cub), "ss"), xlsa17_split(read_cub(cub), cub / "standard_split", "ss")):
        assert names(data, split_of(data).unseen) == ["002.Blue_Wren", "004.Grey_Owl"]
        assert len(split_of(data).test_seen) == 2


@pytest.mark.real_data
def test_real_cub_files(shared_data: Path) -> None:
    data = read_cub(shared_data / "cub", missing_images="drop")
    proposed = choose_split(data, "ps", missing_images="drop")
    split = split_of(proposed)
    assert names(proposed, split.unseen) == ["004.Groove_billed_Ani"]
    assert [len(part) for part in (split.seen, split.train, split.test_seen, split.test_unseen)] == [9, 369, 114, 60]
    listed = choose_split(data, str(shared_data / "xlsa17/lists/CUB_PS.csv"), missing_images="drop")
    assert split_of(listed).train.tolist() == split.train.tolist()
    with pytest.raises(InputError, match="which does not exist"):
        choose_split(data, "ps")
    for seed in range(5):
        drawn = split_of(choose_split(data, num_unseen=3, seed=seed))
        assert (len(drawn.seen), len(drawn.unseen)) == (7, 3)


@pytest.mark.parametrize(("images", "kept"), [(2, 1), (3, 1), (4, 1), (7, 1), (8, 2), (10, 2), (13, 3), (1, 0)])
def test_a_fifth_of_each_seen_class_is_kept_for_testing_and_one_at_least(images: int, kept: int) -> None:
    split = split_of(named_split(toy([images, 5, 5]), ["c2"]))
    assert int((split.test_seen < images).sum()) == kept
    assert int((split.train < images).sum()) == images - kept


def test_images_are_drawn_by_the_seed_and_the_name_of_their_class() -> None:
    data = toy([10, 10, 10])
    split = split_of(named_split(data, ["c2"], seed=5))
    for label in (0, 1):
        order = np.random.default_rng([5, 1, zlib.crc32(f"c{label}".encode())]).permutation(np.arange(10) + 10 * label)
        assert [i for i in split.test_seen if data.labels[i] == label] == sorted(order[:2])
    drawn = split_of(random_split(data, 1, seed=5)).unseen
    assert drawn.tolist() == np.random.default_rng([5, 0]).permutation(3)[:1].tolist()


def test_a_seed_of_0_is_the_default_and_a_split_has_a_name() -> None:
    data = toy([10] * 6)
    for made in (lambda **seed: random_split(data, 2, **seed), lambda **seed: named_split(data, ["c0"], **seed)):
        assert split_of(made()).test_seen.tolist() == split_of(made(seed=0)).test_seen.tolist()
    assert split_of(choose_split(data)).unseen.tolist() == split_of(choose_split(data, seed=0)).unseen.tolist()
    assert split_of(random_split(data, 2, 7)).name == "random seed 7"
    assert split_of(named_split(data, ["c0", "c2"])).name == "unseen c0,c2"
    assert split_of(named_split(data, ["c0"], name="mine")).name == "mine"


@pytest.mark.parametrize("count", [3, 4])
def test_two_classes_stay_seen(count: int) -> None:
    data = toy([3] * count)
    assert len(split_of(random_split(data, count - 2)).seen) == 2
    with pytest.raises(InputError, match=f"from 0 to {count - 2}, so that 2 of {count} classes"):
        random_split(data, count - 1)
    with pytest.raises(InputError, match="from 0 to 0, so that 2 of 2 classes"):
        random_split(toy([3, 3, 0]), 1)


def test_where_published_splits_are_looked_for(tmp_path: Path) -> None:
    official = tmp_path / "a" / "b" / "CUB_200_2011"
    official.mkdir(parents=True)
    assert published_folder(official) is None
    assert published_folder(official, "ss") == official.parent
    for above in (tmp_path / "a", tmp_path / "a" / "b", official):
        for name, kind in (("xlsa17", "ps"), ("standard_split", "ss")):
            (above / name).mkdir()
            assert published_folder(official, kind) == (above / name if kind == "ps" else above)
    assert published_folder(official, "ps", tmp_path) == published_folder(official, "ss", str(tmp_path)) == tmp_path


def test_splits_that_need_a_folder_or_another_data_set(cub: Path) -> None:
    with pytest.raises(InputError, match="split=ps needs the folder xlsa17 of published splits in .* Received: no such folder"):
        choose_split(read_cub(cub), "ps")
    for split in ("ps", "ss"):
        with pytest.raises(InputError, match=f"split={split} is published only for cub and awa2.*Received: dataset 'folder'"):
            choose_split(toy([3, 3, 3]), split)
