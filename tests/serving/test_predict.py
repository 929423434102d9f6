from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.slow
def test_loading_does_not_say_that_a_session_is_deprecated(saved_model):
    code = """if True:
        import logging, sys
        from niwt_tf.serving.predict import opened
        logging.getLogger("tensorflow").setLevel(logging.WARNING)
        opened(sys.argv[1]).__enter__()
        logging.getLogger("tensorflow").warning("still heard")
    """
    done = subprocess.run([sys.executable, "-c", code, str(saved_model)], capture_output=True, text=True, check=True)
    assert "still heard" in done.stderr and "deprecated" not in done.stderr
