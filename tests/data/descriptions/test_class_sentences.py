from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from niwt_tf.data.descriptions.sources import choose_knowledge
from niwt_tf.data.readers.cub import read_cub
from niwt_tf.data.readers.folder import read_folder
from niwt_tf.data.splits import named_split
from niwt_tf.errors import InputError
from tests.data.conftest import CUB_CLASSES


def write_mat(folder: Path, names=CUB_CLASSES[::-1], values=None, **other) -> None:
    """Write embeddings [5, C] of classes in another order than the data set's."""
    folder.mkdir(parents=True, exist_ok=True)
    values = np.arange(5 * len(names), dtype=np.float64).reshape(5, -1) if values is None else values
    cells = np.array([[np.array([name], object)] for name in names], object).reshape(-1, 1)
    savemat(folder / "sent_splits.mat", {"att": values, "allclasses_names": cells, **other})


def test_classes_are_found_by_name(cub: Path, caplog) -> None:
    write_mat(cub / "xlsa17/data/CUB", names=(*CUB_CLASSES[::-1], "200.Wren"))
    chosen = choose_knowledge(read_cub(cub), "sentences").knowledge
    assert chosen.values.tolist() == [[3, 8, 13, 18, 23], [2, 7, 12, 17, 22], [1, 6, 11, 16, 21], [0, 5, 10, 15, 20]]
    assert (chosen.source, chosen.names[0], chosen.words) == ("sentences", "dimension 1", None)
    assert not caplog.records
    with caplog.at_level(logging.WARNING, "niwt_tf"):
        choose_knowledge(named_split(read_cub(cub), ["004.Grey_Owl"]), "sentences")
    assert "figures are too good" in caplog.text


@pytest.mark.parametrize("inner", ["data/CUB", "CUB", ""])
def test_where_it_lies(cub: Path, tmp_path_factory, inner: str) -> None:
    with pytest.raises(InputError, match=r"sentences needs .*xlsa17/data/CUB/sent_splits.mat. Received: no such file"):
        choose_knowledge(read_cub(cub), "sentences")
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    write_mat(elsewhere / inner)
    assert choose_knowledge(read_cub(cub), "sentences", split_dir=elsewhere).knowledge.values.shape == (4, 5)


NAN = np.ones((5, 4))
NAN[2, 1] = np.nan
MISTAKES = {
    "too few columns": ({"values": np.ones((5, 3))}, "att must have a column for each of 4 classes. Received: 5 x 3."),
    "not finite": ({"values": NAN}, "att must hold finite numbers. Received: other values for '003.Clarks_Tern'."),
    "texts": ({"values": np.array(["x"])}, "att must be a matrix of numbers"),
    "classes absent": ({"names": CUB_CLASSES[:2]}, "must have a column for every class. Received: none for '003.Clarks_Tern'"),
    "a class twice": ({"names": (*CUB_CLASSES, CUB_CLASSES[0])}, "must name each class once. Received: '001.Red_Finch' twice."),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes(cub: Path, mistake: str) -> None:
    changes, sentence = MISTAKES[mistake]
    write_mat(cub / "xlsa17/data/CUB", **changes)
    with pytest.raises(InputError) as raised:
        choose_knowledge(read_cub(cub), "sentences")
    assert sentence in str(raised.value)


def test_other_files_and_data_sets(cub: Path, tmp_path_factory) -> None:
    write_mat(cub / "xlsa17/data/CUB")
    path = cub / "xlsa17/data/CUB/sent_splits.mat"
    savemat(path, {"att_sent": np.ones((5, 4))})
    with pytest.raises(InputError, match="must hold att, allclasses_names. Received: att_sent, but no att"):
        choose_knowledge(read_cub(cub), "sentences")
    path.write_bytes(b"MATLAB 7.3 MAT-file".ljust(512) + b"\x89HDF\r\n\x1a\n")
    with pytest.raises(InputError, match="sent_splits.mat must be a complete HDF5 file. Received: "):
        choose_knowledge(read_cub(cub), "sentences")
    folder = tmp_path_factory.mktemp("mine")
    (folder / "images/a").mkdir(parents=True)
    (folder / "images/a/1.jpg").touch()
    (folder / "classes.csv").write_text("class,x\na,1\n")
    with pytest.raises(InputError, match="published only for cub. Received: dataset 'folder'"):
        choose_knowledge(read_folder(folder), "sentences")


@pytest.mark.real_data
def test_real_embeddings(shared_data: Path) -> None:
    data = read_cub(shared_data / "cub", "drop")
    values = choose_knowledge(data, "sentences").knowledge.values
    assert values.shape == (10, 1024)
    unit = values - values.mean(axis=0)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    assert np.argmax(unit[1:] @ unit[0]) + 1 in (1, 2)  # the nearest to one albatross is another
