"""Who a process works with: what TF_CONFIG may say, exact sums, and training over devices that equals training on one."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading

import numpy as np
import pytest

from niwt_tf.compute.distributed import ALONE, Cluster, cluster_of, roll_call, team_of
from niwt_tf.errors import InputError

TWO = {"worker": ["a:1", "b:2"]}


def config(cluster: object, task: object) -> dict[str, str]:
    return {"TF_CONFIG": json.dumps({"cluster": cluster, "task": task})}


def test_the_chief_comes_first():
    assert cluster_of(config(TWO, {"type": "worker", "index": 1})) == Cluster(("a:1", "b:2"), 1)
    with_chief = {"worker": ["b:2", "c:3"], "chief": ["a:1"]}
    assert cluster_of(config(with_chief, {"type": "chief", "index": 0})) == Cluster(("a:1", "b:2", "c:3"), 0)
    assert cluster_of(config(with_chief, {"type": "worker", "index": "1"})) == Cluster(("a:1", "b:2", "c:3"), 2)


@pytest.mark.parametrize(
    ("environment", "rule"),
    [
        ({}, "TF_CONFIG must be set .*Received: nothing"),
        ({"TF_CONFIG": "worker0"}, "must be JSON .*Received: 'worker0'"),
        ({"TF_CONFIG": "[1]"}, 'must have a "cluster" and a "task"'),
        ({"TF_CONFIG": '{"task": {"type": "worker", "index": 0}}'}, 'must have a "cluster" and a "task"'),
        (config({"ps": ["a:1"]}, {"type": "ps", "index": 0}), "no other processes .*Received: 'ps'"),
        (config({"worker": ["a"]}, {"type": "worker", "index": 0}), "addresses host:port .*Received: \\['a'\\]"),
        (config({"worker": ["a:1", "a:1"]}, {"type": "worker", "index": 0}), "each address once"),
        (config({"chief": ["a:1", "b:1"]}, {"type": "chief", "index": 0}), 'one "chief" at most'),
        (config(TWO, {"type": "evaluator", "index": 0}), "task \"type\" .*Received: 'evaluator'"),
        (config(TWO, {"type": "worker", "index": 2}), 'task "index" in 0..1 .*Received: 2'),
        (config(TWO, {"type": "worker", "index": -1}), "Received: -1"),
        (config(TWO, {"type": "worker"}), "Received: None"),
    ],
)
def test_a_wrong_tf_config_is_one_sentence(environment, rule):
    with pytest.raises(InputError, match=rule):
        cluster_of(environment)


def test_a_process_alone():
    values = np.arange(3.0)
    assert ALONE.is_chief
    assert ALONE.share(4).tolist() == [0, 1, 2, 3]
    assert ALONE.sum(values)[0] is values
    assert ALONE.of_chief(values)[0] is values
    assert ALONE.of_each(7) == [7]
    assert team_of("none") is ALONE
    with pytest.raises(InputError, match="strategy"):
        team_of("mirorred")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def test_a_roll_call_names_who_did_not_come():
    addresses = (f"127.0.0.1:{free_port()}", "127.0.0.1:2", "127.0.0.1:3")
    # Whoever comes without the greeting is not counted.
    threading.Timer(0.1, lambda: socket.create_connection(("127.0.0.1", int(addresses[0][10:]))).close()).start()
    worker = threading.Thread(target=lambda: pytest.raises(InputError, roll_call, Cluster(addresses, 2), 1.0))
    worker.start()
    with pytest.raises(InputError, match=r"no answer from worker 1 \(127.0.0.1:2\) within 1 s"):
        roll_call(Cluster(addresses, 0), 1.0)
    worker.join()
    with pytest.raises(InputError, match="no answer from the chief 127.0.0.1:.* within 0.3 s"):
        roll_call(Cluster(addresses, 1), 0.3)


def test_a_roll_call_ends_when_all_have_come():
    addresses = (f"127.0.0.1:{free_port()}", "127.0.0.1:2", "127.0.0.1:3")
    roll_call(Cluster(addresses[:1], 0), 0.0)
    workers = [threading.Thread(target=roll_call, args=(Cluster(addresses, index), 120.0)) for index in (1, 2)]
    for worker in workers:
        worker.start()
    roll_call(Cluster(addresses, 0), 120.0)
    for worker in workers:
        worker.join(120)
        assert not worker.is_alive()


def test_a_port_that_is_taken_is_named():
    with socket.create_server(("", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(InputError, match=f"free port of its machine. Received: {port} "):
            roll_call(Cluster((f"127.0.0.1:{port}", "127.0.0.1:2"), 0), 1.0)


# TensorFlow's devices are fixed once it has been used, so this needs a process of its own. The last batch has one image: fewer
# than devices. Batch norm and dropout are on.
MIRRORED = """
import sys
import numpy as np
import tensorflow as tf
from PIL import Image
from pathlib import Path

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from niwt_tf.data.schema import Images
from niwt_tf.errors import InputError
from niwt_tf.training.attribute_loss import AttributeLoss
from niwt_tf.compute.execution import Execution
from niwt_tf.compute.distributed import ALONE, team_of
from niwt_tf.training.trainer import train_seen
from niwt_tf.models.backbones import build_network

folder = Path(sys.argv[1])
random = np.random.default_rng(0)
paths = tuple(f"{i}.png" for i in range(17))
labels = np.arange(17, dtype=np.int32) % 2
for path, label in zip(paths, labels):
    Image.fromarray(random.integers(60 * label, 180 + 60 * label, (16, 16, 3), np.uint8)).save(folder / path)
images = Images(folder, paths, labels, ("dark", "light"))
team = team_of("mirrored")
assert (team.index, team.size, team.strategy.num_replicas_in_sync) == (0, 1, 2)


def trained(team, scratch, batch_size=8, attribute_loss=None):
    network = build_network("small_vgg", images.class_names, input_size=16, seed=0)
    options = {"from_scratch": scratch, "epochs": 2, "batch_size": batch_size, "finetune_learning_rate": 1e-3}
    return train_seen(network, images, images, execution=Execution(team=team), attribute_loss=attribute_loss, **options)


attributes = AttributeLoss(np.array([[0, 1, 0.5], [1, 0, 0.5]], np.float32), 2.0)
finetuned = None
for scratch, loss in ((True, None), (False, None), (False, attributes)):
    (one, first), (many, second) = (trained(who, scratch, attribute_loss=loss) for who in (ALONE, team))
    if not scratch and loss is None:
        finetuned = one.model.get_weights()[0]
    for mine, theirs in zip(one.model.variables, many.model.variables, strict=True):
        np.testing.assert_allclose(theirs.numpy(), mine.numpy(), atol=1e-4, err_msg=mine.path)
    for mine, theirs in zip(first, second, strict=True):
        np.testing.assert_allclose(theirs["loss"], mine["loss"], rtol=1e-4)
        assert theirs["train_accuracy"] == mine["train_accuracy"]
assert many.columns.shape[1] == 2
assert np.abs(many.model.get_weights()[0] - finetuned).max() > 1e-3
try:
    trained(team, True, batch_size=1)
except InputError as error:
    print(error)
"""


@pytest.mark.slow
def test_two_devices_train_as_one_does(tmp_path, repository):
    environment = {**os.environ, "PYTHONPATH": str(repository)}
    command = [sys.executable, "-c", MIRRORED, str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "--batch_size must be at least the number of devices, 2. Received: 1." in done.stdout
