"""A server's first requests, in a process of their own: `python -m benchmarks.first_request BUNDLE IMAGE warm|cold`.

Prints JSON: by signature, the seconds of the first request with one image and those of later ones.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

LATER = 20


def main(arguments: list[str]) -> None:
    """Load the bundle, replay its warm-up records if it is to be warm, then ask every signature."""
    from niwt_tf.compute.quiet_tensorflow import import_quietly

    import_quietly()
    from niwt_tf.serving.bundle.warmup import Request, read_warmup
    from niwt_tf.serving.predict import Servable, opened

    def seconds(servable: Servable, signature: str, inputs: Mapping[str, np.ndarray]) -> float:
        begun = time.perf_counter()
        servable.run(signature, inputs)
        return time.perf_counter() - begun

    folder, image = Path(arguments[0]), Path(arguments[1])
    records = read_warmup(folder)
    one: dict[str, Request] = {}
    for signature, inputs in records:
        # Another image than those that it was warmed up with, where the request has files in it.
        other = {"image_bytes": np.array([image.read_bytes()], object)} if "image_bytes" in inputs else {}
        one.setdefault(signature, (signature, {name: value[:1] for name, value in inputs.items()} | other))
    with opened(folder) as servable:
        for request in records if arguments[2] == "warm" else ():
            servable.run(*request)
        first = {name: seconds(servable, *request) for name, request in one.items()}
        later = {name: [seconds(servable, *request) for _ in range(LATER)] for name, request in one.items()}
    print(json.dumps({name: {"first": first[name], "later": later[name]} for name in one}))


if __name__ == "__main__":
    main(sys.argv[1:])
