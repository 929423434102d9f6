from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from niwt_tf.errors import InputError
from niwt_tf.serving.bundle.predict import predict


def test_batches_do_not_change_the_answer(saved_model, image_paths):
    whole, pairs = predict(saved_model, image_paths), predict(saved_model.parent, image_paths, batch_size=2)
    assert len(whole.labels) == 5
    assert pairs.labels == whole.labels
    np.testing.assert_allclose(pairs.scores, whole.scores, atol=1e-6)
    assert (np.diff(whole.scores) <= 0).all()


def test_a_bad_image_is_named(saved_model, image_paths, tmp_path):
    (tmp_path / "junk.png").write_bytes(b"junk")
    with pytest.raises(InputError, match=r"can be decoded. Received: .*junk\.png"):
        predict(saved_model, [*image_paths, tmp_path / "junk.png"])
    with pytest.raises(InputError, match=r"can be read. Received: .*absent\.png"):
        predict(saved_model, [tmp_path / "absent.png"])


def test_no_image_or_no_model_is_refused(saved_model, image_paths, tmp_path):
    with pytest.raises(InputError, match="at least one file"):
        predict(saved_model, [])
    with pytest.raises(InputError, match="batch_size must be at least 1"):
        predict(saved_model, image_paths, batch_size=0)
    with pytest.raises(InputError, match="must be an exported SavedModel"):
        predict(tmp_path, image_paths)


@pytest.mark.slow
def test_loading_does_not_say_that_a_session_is_deprecated(saved_model):
    code = """if True:
        import logging, sys
        from niwt_tf.serving.bundle.predict import opened
        logging.getLogger("tensorflow").setLevel(logging.WARNING)
        opened(sys.argv[1]).__enter__()
        logging.getLogger("tensorflow").warning("still heard")
    """
    done = subprocess.run([sys.executable, "-c", code, str(saved_model)], capture_output=True, text=True, check=True)
    assert "still heard" in done.stderr and "deprecated" not in done.stderr
