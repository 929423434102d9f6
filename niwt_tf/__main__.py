"""`python -m niwt_tf JOB --flags` is `niwt JOB --flags`."""

from __future__ import annotations

import sys

from niwt_tf.cli import main

if __name__ == "__main__":
    sys.exit(main())
