"""A cluster of toy workers for order and losses, and one of two Ray nodes, one of which is killed halfway."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from niwt_tf.errors import InputError
from niwt_tf.serving.client import cluster
from niwt_tf.serving.client.cluster import answered_by_cluster
from niwt_tf.serving.client.question import Question
from niwt_tf.serving.client.transport import RequestError
from niwt_tf.serving.client.workers import answered
from tests.serving.client.toy_model import save_toy


class LostError(Exception):
    pass


class FailedError(Exception):
    pass


class ToyRay:
    """As much of Ray as is used: workers answer when they are asked for the answer, if they still live."""

    exceptions = SimpleNamespace(RayActorError=LostError, ObjectLostError=LostError, RayTaskError=FailedError)

    def __init__(self, workers: int) -> None:
        self.workers, self.given, self.is_shut = workers, [], False
        self.lost: set[int] = set()
        self.dies_after: dict[int, int] = {}

    def cluster_resources(self):
        return {"CPU": float(self.workers)}

    def remote(self, **options):
        assert options["max_restarts"] == 0
        numbers = iter(range(99))

        def made(question):
            number = next(numbers)
            return SimpleNamespace(answer=SimpleNamespace(remote=lambda names: self.asked(number, names)))

        return lambda kind: SimpleNamespace(remote=made)

    def asked(self, number, names):
        self.given.append((number, tuple(names)))
        return number, names

    def get(self, reference):
        number, names = reference
        if self.dies_after.get(number, 99) == 0:
            self.lost.add(number)
        if number in self.lost:
            raise LostError(f"worker {number} is gone")
        self.dies_after[number] = self.dies_after.get(number, 99) - 1
        if names[0] == "refused":
            return {"refused": ["UNAVAILABLE", "later", True]}
        if names[0] == "broken":
            raise FailedError("Traceback\nModuleNotFoundError: No module named 'niwt_tf'")
        return {"records": [{"image": name} for name in names]}

    def shutdown(self):
        self.is_shut = True


@pytest.fixture
def ray(monkeypatch) -> ToyRay:
    toy = ToyRay(3)
    monkeypatch.setattr(cluster, "_connected", lambda address: toy)
    return toy


def test_lists_are_shared_and_answers_come_in_order(ray):
    lists, counted = [[str(number), f"{number}b"] for number in range(20)], []
    found = list(answered_by_cluster(Question(bundle="x"), lists, "auto", progress=counted.append))
    assert [[record["image"] for record in records] for records in found] == lists
    assert {number for number, _ in ray.given} == {0, 1, 2} and counted == [2] * 20 and ray.is_shut


def test_what_a_lost_worker_had_goes_to_another_and_nothing_is_answered_twice(ray):
    ray.dies_after = {1: 2}
    lists = [[str(number)] for number in range(20)]
    found = list(answered_by_cluster(Question(bundle="x"), lists, "auto"))
    assert [records[0]["image"] for records in found] == [str(number) for number in range(20)]


@pytest.mark.parametrize(
    ("names", "dies", "kind", "sentence"),
    [
        (["a"], {0: 0, 1: 0, 2: 0}, InputError, "--cluster must keep at least one worker; the same command .* none is left"),
        (["refused"], {}, RequestError, "UNAVAILABLE: later"),
        (["broken"], {}, InputError, "must consist of machines that have this package. Received: ModuleNotFoundError"),
    ],
)
def test_what_goes_wrong_is_told(ray, names, dies, kind, sentence):
    ray.dies_after = dies
    with pytest.raises(kind, match=sentence):
        list(answered_by_cluster(Question(bundle="x"), [names], "auto"))
    assert ray.is_shut


def test_ray_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match="--cluster needs Ray: pip install 'niwt-tf.ray.'"):
        list(answered_by_cluster(Question(bundle="x"), [["a"]], "auto"))


@pytest.mark.slow
def test_two_nodes_one_of_which_is_killed_answer_as_this_machine_does(tmp_path):
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    bundle = save_toy(tmp_path / "toy/models/1", ("red", "green", "blue"), np.eye(3), 2)
    Image.fromarray(np.full((4, 4, 3), (255, 0, 0), np.uint8)).save(tmp_path / "a.png")
    lists: list[list[str]] = []
    for number in range(40):
        paths = [tmp_path / f"{number}_{place}.png" for place in range(3)]
        for path in paths:
            path.symlink_to(tmp_path / "a.png")
        lists.append([str(path) for path in paths])
    question = Question(bundle=str(Path(bundle)))
    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        second = nodes.add_node(num_cpus=1)
        found = []
        for records in answered_by_cluster(question, lists, nodes.address):
            found.append(records)
            if len(found) == 20:
                nodes.remove_node(second, allow_graceful=False)
    finally:
        nodes.shutdown()
    assert found == list(answered(question, lists))
