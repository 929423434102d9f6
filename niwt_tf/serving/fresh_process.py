"""What the verification of an export runs in a process of its own: `python -m niwt_tf.serving.fresh_process`.

Keras cannot be imported there, so a SavedModel that needs anything but its own files fails as it would in a server.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from niwt_tf.files import read_json, write_json

_BLOCKED = ("keras", "tf_keras")


def answer(folder: Path, images: list[str], pixels: np.ndarray) -> dict[str, object]:
    """Ask a SavedModel about the same images as files and as pixels.

    Args:
        folder: the SavedModel.
        images: B paths.
        pixels: float32 [B, S, S, 3], the images decoded, in 0..255.

    Returns:
        As JSON: `labels` [B, k] and `scores` [B, k] of the files, `logits` [B, C] and `features` [B, D] of the pixels.
    """
    from niwt_tf.serving.predict import classify, opened

    with opened(folder) as servable:
        predictions = classify(servable, images)
        outputs = servable.run("logits", {"images": pixels})
    return {
        "labels": predictions.labels,
        "scores": predictions.scores.tolist(),
        **{name: value.tolist() for name, value in outputs.items()},
    }


def main(arguments: list[str]) -> None:
    """Answer request.json and pixels.npy in the folder that is the only argument, in answer.json there."""
    for name in _BLOCKED:
        sys.modules[name] = None  # type: ignore[assignment]
    folder = Path(arguments[0])
    request = read_json(folder / "request.json")
    result = answer(Path(request["saved_model"]), request["images"], np.load(folder / "pixels.npy", allow_pickle=False))
    imported = sorted(name for name, module in sys.modules.items() if module and name.split(".")[0] in _BLOCKED)
    if imported:
        raise RuntimeError(f"The export was not checked without Keras: {imported[0]} was imported.")
    write_json(folder / "answer.json", result)


if __name__ == "__main__":
    main(sys.argv[1:])
