"""What shares the images of an episode, processes or devices, comes to the meta-model of one process alone."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest

from niwt_tf.compute.distributed import Team
from niwt_tf.methods.n3.adapted import targets_of
from niwt_tf.methods.n3.meta_model import MetaModel
from niwt_tf.methods.n3.meta_training import Recipe, train_meta
from niwt_tf.methods.standard import Standard
from niwt_tf.methods.token_table import TokenTable
from niwt_tf.models.backbones import build_network

CLASSES, IMAGES, SIZE = 4, 20, 16


class _Pair(Team):
    """One of two processes, which are threads here."""

    size = 2

    def __init__(self, index: int, barrier: threading.Barrier, given: dict[int, tuple[np.ndarray, ...]]) -> None:
        self.index, self._barrier, self._given = index, barrier, given

    def sum(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        self._given[self.index] = arrays
        self._barrier.wait()
        sums = tuple(a + b for a, b in zip(self._given[0], self._given[1], strict=True))
        self._barrier.wait()
        return sums

    def of_chief(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        return self.sum(*(each if self.is_chief else np.zeros_like(each) for each in arrays))


def _training():
    """Return a function that trains a new meta-model, with the head alone and then with channels scaled, and what is in it."""
    rng = np.random.default_rng(0)
    network = build_network("small_vgg", [f"c{c}" for c in range(CLASSES)], input_size=SIZE, seed=1)
    labels = np.arange(IMAGES) % CLASSES
    pixels = rng.uniform(0, 255, (IMAGES, SIZE, SIZE, 3)).astype(np.float32)
    features = np.asarray(network.tail(network.trunk(pixels)))
    values = rng.normal(size=(CLASSES, 2, 3, 6)).astype(np.float16)
    nothing = ((((),) * 2),) * CLASSES
    table = TokenTable(network.class_names, nothing, values, np.ones(values.shape[:3], bool), nothing, nothing)
    targets = targets_of(network, "film")
    model = MetaModel(features.shape[1], targets, width=8, blocks=1, form="equivariant", way=3, seed=0).ready(6)

    def train(team, work, until=None):
        losses = train_meta(
            model, Recipe(way=3, steps=4, network_steps=3, batch=10), table, labels, features=features,
            standard=Standard.of(features), network=network, adapt="film", images=lambda rows: pixels[rows], team=team,
            work=work, until=until
        )
        return losses, [np.asarray(each) for each in model.weights]

    return train


def _pair(folders, until=None):
    barrier, given = threading.Barrier(2, timeout=300), {}
    trainings = [_training() for _ in range(2)]  # one after the other: Keras's seeds are the whole process's
    with ThreadPoolExecutor(2) as pool:
        begun = [pool.submit(trainings[i], _Pair(i, barrier, given), folders[i], until) for i in range(2)]
        return [each.result() for each in begun]


@pytest.fixture(scope="module")
def alone():
    return _training()(Team(), None)


def _assert_same(one, other, tolerance=1e-4):
    np.testing.assert_allclose(one[0], other[0], rtol=1e-4)
    for mine, theirs in zip(one[1], other[1], strict=True):
        np.testing.assert_allclose(mine, theirs, atol=tolerance)


@pytest.mark.slow
def test_two_processes_share_an_episode(alone, tmp_path):
    chief, other = _pair([tmp_path / "a", tmp_path / "b"])
    _assert_same(chief, alone)
    _assert_same(chief, other, 0)
    # What was stopped goes on from the chief's checkpoint: the other process has none.
    folders = [tmp_path / "c", tmp_path / "d"]
    for folder in folders:
        folder.mkdir()
    _pair(folders, until=5)
    assert [folder.is_dir() and any(folder.iterdir()) for folder in folders] == [True, False]
    again = _pair(folders)
    assert len(again[0][0]) == 2
    for pair in again:
        _assert_same((chief[0][5:], chief[1]), pair, 1e-6)


@pytest.mark.slow
@pytest.mark.combination
def test_devices_share_an_episode(alone):
    """The same device twice: what matters is that each image counts once."""
    team = Team()
    team.strategy = SimpleNamespace(extended=SimpleNamespace(worker_devices=("/CPU:0", "/CPU:0")))
    _assert_same(_training()(team, None), alone)
