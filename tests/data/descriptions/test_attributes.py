from __future__ import annotations

from pathlib import Path

import numpy as np

from niwt_tf.data.descriptions.sources import choose_knowledge
from niwt_tf.data.readers.awa2 import read_awa2
from niwt_tf.data.readers.cub import read_cub
from niwt_tf.data.readers.folder import read_folder
from niwt_tf.data.splits import named_split


def test_half_of_the_people_of_cub(cub: Path) -> None:
    data = named_split(read_cub(cub), ["004.Grey_Owl"])
    chosen = choose_knowledge(data, "binary")
    assert chosen.knowledge.values.tolist() == [[0, 1], [1, 0], [0, 0], [1, 0]]
    assert (chosen.knowledge.source, chosen.knowledge.names) == ("binary", data.knowledge.names)
    assert chosen.image_attributes is data.image_attributes  # still about the same entries


def test_the_published_matrix_of_awa2_by_name(awa2: Path) -> None:
    for image in (awa2 / "Animals_with_Attributes2/JPEGImages/grizzly+bear").iterdir():
        image.unlink()
    data = named_split(read_awa2(awa2, missing_images="drop"), ["rat"])
    assert data.class_names == ("antelope", "pig", "rat")
    assert choose_knowledge(data, "binary").knowledge.values.tolist() == [[0, 1, 0], [1, 1, 0], [0, 0, 1]]


def test_the_middle_of_the_seen_range_of_a_table(animals: Path) -> None:
    data = named_split(read_folder(animals), ["wolf"])  # and the unicorn
    values = choose_knowledge(data, "binary").knowledge.values
    # Seen "furry" goes from 0 to 3, so its middle is 1.5; what is the same for all seen classes is 0.
    assert values.T.tolist() == [[0, 0, 1, 1, 1, 1], [0, 0, 1, 1, 1, 1], [0] * 6]
    assert values.dtype == np.float32
