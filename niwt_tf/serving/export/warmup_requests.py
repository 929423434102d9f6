"""Which requests a server replays while it loads a version: every signature, those of files with one image and with several."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from niwt_tf.serving.bundle.predict import read_image
from niwt_tf.serving.export.contents import Contents
from niwt_tf.serving.export.verification import CheckImages
from niwt_tf.serving.export.warmup import Request, example

_MOST = 4  # images; a record holds them whole


def warmup_requests(contents: Contents, images: CheckImages) -> list[Request]:
    """Return requests about the first images for each signature that a network with these contents is exported with."""
    # Pixels take much more room than files: one image must do.
    requests: list[Request] = [("logits", {"images": images.pixels[:1]})]
    for count in sorted({1, min(len(images.paths), _MOST)}):
        encoded = [read_image(Path(path)) for path in images.paths[:count]]
        files = {"image_bytes": np.array(encoded, object)}
        requests += [
            ("serving_default", files),
            ("classify", {"inputs": np.array([example(content) for content in encoded], object)}),
        ]
        if contents.explainer is not None:
            best = {name: np.array([b""] * count, object) for name in ("class_name", "rival")}
            requests += [("explain", files), ("explain_class", {**files, **best})]
        if contents.formula is not None and contents.knowledge is not None:
            described = np.tile(contents.knowledge.values[-1:], (count, 1, 1)).astype(np.float32)
            requests.append(("classify_with", {**files, "descriptions": described}))
    return requests
