"""`python -m niwt_tf.serving.loopback FOLDER NAME`."""

from __future__ import annotations

import logging
import sys

from niwt_tf.serving.loopback.server import main

if __name__ == "__main__":
    logging.basicConfig(format="loopback: %(message)s", level=logging.INFO)
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # it warns of the Session, which is meant
    main(sys.argv[1:])
