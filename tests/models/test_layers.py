"""The head's logits, names and calibration."""

import numpy as np
import pytest

from niwt_tf.errors import InputError
from niwt_tf.models.layers import ClassHead


def test_calibration_is_taken_off_seen_logits_only():
    head = ClassHead(["cat", "dog", "okapi"], 2, "conv")
    features = np.array([[1.0, 2.0]], np.float32)
    head(features)
    head.kernel.assign([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]])
    head.bias.assign([0.5, -0.5, 0.0])
    np.testing.assert_allclose(head(features), [[1.5, 1.5, 3.0]])
    head.calibration.assign(0.75)
    np.testing.assert_allclose(head(features), [[0.75, 0.75, 3.0]])


def test_calibration_is_not_trained():
    head = ClassHead(["cat", "dog"], 1, "conv")
    head.build((None, 3))
    assert [variable.name for variable in head.trainable_variables] == ["kernel", "bias"]


@pytest.mark.parametrize("names", [[], ["cat", "cat"]])
def test_names_must_be_unique_and_some(names):
    with pytest.raises(InputError, match="class_names must be at least one name, each once"):
        ClassHead(names, 0, "conv")


def test_num_seen_must_be_in_range():
    with pytest.raises(InputError, match=r"num_seen must be in 0..2. Received: 3"):
        ClassHead(["cat", "dog"], 3, "conv")
