"""Which neurons the dictionary shows, and what of each."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from niwt_tf.data.schema import Images
from niwt_tf.report.neuron_dictionary import dictionary

HEADER = "neuron,name,group,held_out_auc,auc,auc_seen,auc_unseen,part,part_energy,part_chance"
ROWS = (
    "0,red,colour,0.8,0.6,,,,,",
    "1,,,0.0,,,,,,",
    "2,blue,colour,0.97,0.9,0.91,0.89,wing,0.4,0.1",
    "3,long,,0.8,,,,,,",
    "4,blue,colour,0.99,,,,,,",
    '5,"spots, few",,0.9,,,,,,',
)


@pytest.fixture
def files(tmp_path):
    (tmp_path / "neurons.csv").write_text("\n".join((HEADER, *ROWS)) + "\n", encoding="utf-8")
    best = np.full((6, 4), -1)
    best[2, :2] = 1, 0
    regions = np.zeros((6, 4, 4), np.float32)
    regions[2, 0] = 0.0, 0.0, 0.25, 0.5
    regions[2, 1] = 0.0, 0.0, 1.0, 1.0
    np.savez(tmp_path / "activating.npz", images=best, values=np.zeros((6, 4), np.float32), regions=regions)
    Image.new("RGB", (80, 40), (0, 0, 200)).save(tmp_path / "wide.png")
    (tmp_path / "broken.png").write_bytes(b"no image")
    return tmp_path


def _dictionary(folder, **options):
    images = Images(folder, ("broken.png", "wide.png"), np.array([0, 1], np.int32), ("001.Red_Finch", "002.Blue_Jay"))
    return dictionary(folder / "neurons.csv", folder / "activating.npz", images, **options)


def test_names_come_by_their_auc_and_then_by_number(files):
    made = _dictionary(files)
    assert [entry.neuron for entry in made.entries] == [4, 2, 5, 0, 3]
    assert (made.num_neurons, made.num_named) == (6, 5)


def test_only_so_many_are_drawn(files):
    made = _dictionary(files, most=2)
    assert [entry.neuron for entry in made.entries] == [4, 2]
    assert (made.num_neurons, made.num_named) == (6, 5)


def test_figures_are_read_and_unknown_ones_are_none(files):
    known, unknown = _dictionary(files).entries[1], _dictionary(files).entries[2]
    assert (known.name, known.held_out_auc) == ("blue", 0.97)
    assert (known.auc, known.auc_seen, known.auc_unseen) == (0.9, 0.91, 0.89)
    assert (known.part_energy, known.part_chance) == (0.4, 0.1)
    assert unknown.name == "spots, few"
    assert (unknown.auc, unknown.auc_seen, unknown.auc_unseen) == (None,) * 3
    assert (unknown.part_energy, unknown.part_chance) == (None, None)


def test_regions_are_shown_with_class_and_image_in_words(files):
    entry = _dictionary(files).entries[1]
    assert [alt for _, alt in entry.pictures] == [
        "Where neuron 2 (blue) is most active in an image of Blue Jay (wide.png)",
        "Where neuron 2 (blue) is most active in an image of Red Finch (broken.png)",
    ]
    first, grey_square = (
        Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).convert("RGB") for uri, _ in entry.pictures
    )
    # A region of 20 pixels: three times as much is shown, of all 40 rows.
    assert first.size == (88, 59) and first.getpixel((80, 50))[2] > 150
    assert grey_square.size == (88, 88)
    assert _dictionary(files).entries[0].pictures == ()
