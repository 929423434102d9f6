"""What is seen in the files of a SavedModel: each fault by itself."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from niwt_tf.serving.checks.graph_checks import (
    ANSWERING,
    ANYWHERE,
    CheckError,
    check_operations,
    check_signatures,
    check_size,
    meta_graph,
)
from tests.serving.saved_models import brightness, save, scored

NUMBERS = tf.TensorSpec([None, 3], tf.float32, name="images")


def test_an_export_has_nothing_wrong(saved_model):
    graph = meta_graph(saved_model)
    assert check_signatures(graph).startswith("classify, ")
    assert "core" in check_operations(graph)
    assert "x the weights" in check_size(saved_model)


def test_two_images_are_decoded_at_once(saved_model):
    functions = {function.signature.name: function.node_def for function in meta_graph(saved_model).graph_def.library.function}
    loops = [node for nodes in functions.values() for node in nodes if node.op in ("While", "StatelessWhile")]
    decoding = [node for node in loops if any(inner.op == "DecodeImage" for inner in functions[node.attr["body"].func.name])]
    assert decoding and {node.attr["parallel_iterations"].i for node in decoding} == {2}


def test_every_operation_of_the_list_is_there():
    assert [name for name in sorted(ANYWHERE) if not hasattr(tf.raw_ops, name)] == []


@pytest.mark.parametrize("name", ["PyFunc", "EagerPyFunc", "ReadFile", "WriteFile", "PrintV2", "TFRecordDataset", "XlaLaunch"])
def test_what_reaches_outside_is_not_on_the_list(name):
    assert name not in ANYWHERE


def test_saving_is_nothing_that_answers():
    assert "SaveV2" in ANYWHERE - ANSWERING


def test_python_is_refused(tmp_path):
    def call(image_bytes):
        return scored(image_bytes, tf.py_function(lambda x: np.zeros(len(x), np.float32), [image_bytes], tf.float32))

    with pytest.raises(CheckError, match="EagerPyFunc"):
        check_operations(meta_graph(save(tmp_path / "1", call)))


def test_files_are_refused(tmp_path):
    def call(image_bytes):
        return scored(image_bytes, brightness(tf.map_fn(tf.io.read_file, image_bytes)))

    with pytest.raises(CheckError, match="ReadFile"):
        check_operations(meta_graph(save(tmp_path / "1", call)))


def test_saving_in_an_answer_is_refused(tmp_path):
    def call(image_bytes):
        tf.raw_ops.SaveV2(prefix="x", tensor_names=["a"], shape_and_slices=[""], tensors=[tf.constant(1.0)])
        return scored(image_bytes, brightness(image_bytes))

    with pytest.raises(CheckError, match="SaveV2"):
        check_operations(meta_graph(save(tmp_path / "1", call)))


def test_compiling_is_refused(tmp_path):
    compiled = tf.function(lambda images: images * 2, jit_compile=True)
    path = save(tmp_path / "1", lambda images: {"scores": compiled(images)}, NUMBERS)
    with pytest.raises(CheckError, match="jit_compile"):
        check_operations(meta_graph(path))


@pytest.mark.parametrize(
    ("call", "spec", "message"),
    [
        (lambda images: images * 2, NUMBERS, "output 'output_0' has no name"),
        (lambda images: {"scores": images}, tf.TensorSpec([None, 3], tf.float32, name="args_0"), "input 'args_0' has no name"),
        (lambda images: {"k": tf.reduce_sum(images)}, NUMBERS, r"'k' must have the batch.*its shape is \[\]"),
        (lambda images: {"scores": tf.ensure_shape(images, [2, 3])}, NUMBERS, r"its shape is \[2, 3\]"),
        (lambda images: {"places": tf.argmax(images, axis=1)}, NUMBERS, "int64, neither float32 nor string"),
        (lambda images: {"scores": tf.cast(images, tf.bfloat16)}, NUMBERS, "bfloat16, neither"),
    ],
)
def test_the_form_of_signatures(tmp_path, call, spec, message):
    graph = meta_graph(save(tmp_path / "1", call, spec))
    with pytest.raises(CheckError, match=message):
        check_signatures(graph)


def test_weights_that_were_written_twice_are_seen(tmp_path):
    values = np.random.default_rng(0).random(500_000).astype(np.float32)
    once, again = tf.Variable(values), tf.Variable(values)

    def call(images):
        return {"scores": images * once[0]}

    def call_twice(images):
        return {"scores": images * once[0] * again[0]}

    assert check_size(save(tmp_path / "1", call, NUMBERS, once=once)).startswith("1.0")
    path = save(tmp_path / "2", call_twice, NUMBERS, once=once, again=again)
    with pytest.raises(CheckError, match=r"2\.0\dx the weights"):
        check_size(path)


def test_weights_in_the_graph_are_seen(tmp_path):
    values = np.random.default_rng(0).random(500_000).astype(np.float32)
    path = save(tmp_path / "1", lambda images: {"scores": images * tf.constant(values)[0]}, NUMBERS)
    with pytest.raises(CheckError, match="x the weights"):
        check_size(path)


def test_a_file_that_is_no_graph(tmp_path):
    (tmp_path / "saved_model.pb").write_bytes(b"\xff\xff")
    with pytest.raises(CheckError, match="cannot be parsed"):
        meta_graph(tmp_path)
    (tmp_path / "saved_model.pb").write_bytes(b"")
    with pytest.raises(CheckError, match="tag 'serve'"):
        meta_graph(tmp_path)
