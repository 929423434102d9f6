"""What is true of the test images: which attributes they have, and where the object and its parts are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from niwt_tf.data.images.files import image_sides
from niwt_tf.data.schema import Dataset, Images, InputForm, test_data
from niwt_tf.explain.faithfulness.masks import box_masks, disc_masks
from niwt_tf.explain.faithfulness.measures import frequent_attributes

WHOLE = InputForm(0)
_TRUE = 0.5  # an attribute is true of an image from here on
PART_RADIUS = 0.15  # of a disc around a part, in the longer side of the object's box


@dataclass(frozen=True)
class ImageTruth:
    """The test images, and what the data set knows of them.

    The M images are in the order of `test_data`, labelled over seen then unseen classes. `present` bool [M, K] is whether the
    image has the attribute: where the data set knows no attributes of images, whether its class's description is above the mean
    of the seen classes. `frequent` are the attributes that most training images have, the most frequent first. Boxes [M, 4],
    parts [M, P, 3] with visibility and sides [M, 2], width and height, are in pixels of the file, of the part of the image that
    the network is shown; None where not known.
    """

    images: Images
    num_seen: int
    present: np.ndarray
    frequent: np.ndarray
    boxes: np.ndarray | None
    parts: np.ndarray | None
    sides: np.ndarray | None
    part_names: tuple[str, ...]

    def boxes_of(self, rows: np.ndarray, size: int) -> np.ndarray:
        """Return masks float64 [B, size, size] of the objects in the images `rows`: the whole image without boxes."""
        if self.boxes is None or self.sides is None:
            return np.ones((len(rows), size, size))
        return box_masks(self.boxes[rows], self.sides[rows], size)

    def near_parts(self, rows: np.ndarray, parts: tuple[int, ...], size: int) -> np.ndarray:
        """Return masks bool [B, size, size] of what is near the visible ones of `parts`, inside of the object's box or not."""
        assert self.parts is not None and self.sides is not None
        extent = self.sides if self.boxes is None else self.boxes[:, 2:]
        radii = PART_RADIUS * extent[rows].max(axis=1)
        return disc_masks(self.parts[rows][:, list(parts)], radii, self.sides[rows], size)


def truth_of_test_images(dataset: Dataset, form: InputForm = WHOLE) -> ImageTruth:
    """Return what a data set with a split knows of its test images, as a network of that form sees them."""
    test, split = test_data(dataset), dataset.split
    assert split is not None
    rows = np.concatenate([split.test_seen, split.test_unseen])
    boxes, parts = (None if each is None else each[rows] for each in (dataset.boxes, dataset.parts))
    placed = boxes is not None or parts is not None
    true, frequent = present_attributes(dataset, rows), frequent_attributes(present_attributes(dataset, split.train))
    sides = image_sides(test.images) if placed else None
    if sides is not None:
        shown = np.array([form.part(*each) for each in sides.tolist()], np.float32).reshape(-1, 4)
        sides = shown[:, 2:] - shown[:, :2]
        boxes = None if boxes is None else boxes - np.pad(shown[:, :2], ((0, 0), (0, 2)))
        parts = None if parts is None else parts - np.pad(shown[:, :2], ((0, 0), (0, 1)))[:, None]
    return ImageTruth(test.images, test.num_seen, true, frequent, boxes, parts, sides, dataset.part_names)


def present_attributes(dataset: Dataset, rows: np.ndarray) -> np.ndarray:
    """Return which attributes the images `rows` of a data set with a split have, bool [M, K], see `ImageTruth.present`."""
    if dataset.image_attributes is not None:
        return np.asarray(dataset.image_attributes[rows] >= _TRUE)
    assert dataset.split is not None
    values = dataset.knowledge.values
    return np.asarray((values > values[dataset.split.seen].mean(axis=0, dtype=np.float64))[dataset.labels[rows]])
