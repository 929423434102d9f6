"""`python -m niwt_tf.serving.loopback FOLDER NAME`."""

from __future__ import annotations

import logging
import sys

from niwt_tf.config.extras import check_installed
from niwt_tf.errors import InputError

if __name__ == "__main__":
    logging.basicConfig(format="loopback: %(message)s", level=logging.INFO)
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # it warns of the Session, which is meant
    try:
        for module in ("tensorflow_serving", "grpc"):
            check_installed(module, "The loopback server")
        from niwt_tf.serving.loopback.server import main

        main(sys.argv[1:])
    except InputError as error:
        print(f"loopback: {error}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:  # a port that is taken
        print(f"loopback: {str(error.strerror or error).rstrip('.')}.", file=sys.stderr)
        sys.exit(2)
