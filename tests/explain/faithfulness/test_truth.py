import numpy as np
import pytest
from PIL import Image

from niwt_tf.data.schema import Dataset, Knowledge, Split
from niwt_tf.explain.faithfulness.truth import truth_of_test_images

VALUES = np.array([[1.0, 0.0], [0.0, 0.0], [0.8, 0.2]], np.float32)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Two seen classes and an unseen one, whose images are of different sizes."""
    root = tmp_path_factory.mktemp("sized")
    for number in range(6):
        Image.new("RGB", (10 + number, 20)).save(root / f"{number}.png")
    return Dataset(
        "cub",
        root,
        tuple(f"{number}.png" for number in range(6)),
        np.array([0, 0, 1, 1, 2, 2]),
        ("a", "b", "c"),
        Knowledge(VALUES, ("k", "l"), ("", "")),
        Split("by hand", np.array([0, 1]), np.array([2]), np.array([1, 2]), np.array([3, 0]), np.array([5])),
        boxes=np.arange(24, dtype=np.float32).reshape(6, 4),
        parts=np.arange(18, dtype=np.float32).reshape(6, 1, 3),
        part_names=("tail",),
        image_attributes=np.array([[1, 0], [0, 1], [0, 0.5], [0.4, 1], [1, 1], [0, 0]], np.float32),
    )


def test_everything_is_in_the_order_of_the_test_images(dataset):
    truth = truth_of_test_images(dataset)
    assert truth.images.paths == ("3.png", "0.png", "5.png")
    assert truth.images.labels.tolist() == [1, 0, 2] and truth.num_seen == 2
    np.testing.assert_array_equal(truth.sides, [[13, 20], [10, 20], [15, 20]])
    np.testing.assert_array_equal(truth.boxes[:, 0], [12, 0, 20])
    np.testing.assert_array_equal(truth.parts[:, 0, 0], [9, 0, 15])
    np.testing.assert_array_equal(truth.present, [[False, True], [True, False], [False, False]])
    assert truth.frequent.tolist() == [1, 0]  # both training images have the second


def test_without_attributes_of_images_the_description_tells(dataset):
    truth = truth_of_test_images(dataset.replace(image_attributes=None))
    # Means of the seen classes are 0.5 and 0.
    np.testing.assert_array_equal(truth.present, [[False, False], [True, False], [True, True]])
    assert truth.frequent.tolist() == [0, 1]


def test_without_places_no_file_is_opened(dataset, tmp_path):
    truth = truth_of_test_images(dataset.replace(root=tmp_path, boxes=None, parts=None, part_names=()))
    assert truth.boxes is None and truth.sides is None
    np.testing.assert_array_equal(truth.boxes_of(np.arange(2), 3), np.ones((2, 3, 3)))
