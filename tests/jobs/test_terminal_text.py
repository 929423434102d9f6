"""What a job is started with: streams that are closed, and encodings without the letters that are printed."""

from __future__ import annotations

import subprocess
import sys

from niwt_tf.config.surroundings import child_environment


def test_no_stream_and_no_letter_ends_a_job():
    code = (
        "import os, sys; from niwt_tf.jobs.terminal_text import outlive_readers; outlive_readers(); "
        "print(sys.stdin.isatty(), sys.stdin.readline() == '', os.open('/', os.O_RDONLY) > 2, '\\u017cuk \\udce9')"
    )
    environment = {**child_environment(), "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(["sh", "-c", '"$0" -c "$1" <&-', sys.executable, code], env=environment, capture_output=True)
    assert done.stdout == b"False True True \\u017cuk \\udce9\n", done.stderr
