"""What the verification of an export runs in a process of its own: `python -m niwt_tf.serving.export.fresh_process`.

Keras cannot be imported there, so a SavedModel that needs anything but its own files fails as it would in a server.
"""

from __future__ import annotations

import base64
import sys
from pathlib import Path
from typing import Any

import numpy as np

from niwt_tf.files import read_json, write_json

_BLOCKED = ("keras", "tf_keras")


def answer(folder: Path, images: list[str], arrays: dict[str, np.ndarray]) -> dict[str, dict[str, Any]]:
    """Ask each signature of a SavedModel about the same images, as files or as pixels.

    Args:
        folder: the SavedModel.
        images: B paths.
        arrays: `images`, float32 [B, S, S, 3], the images decoded; `inputs`, [B] the bytes of tf.Example records;
            and what further inputs the signatures have.

    Returns:
        As JSON: the outputs by signature and name; text as it is, other bytes in base64.
    """
    from niwt_tf.serving.bundle.predict import opened, read_image

    given = {**arrays, "image_bytes": np.array([read_image(Path(image)) for image in images], object)}
    with opened(folder) as servable:
        answers = {}
        for signature in servable.signatures:
            inputs = {name: given[name] for name in servable.inputs(signature)}
            answers[signature] = {name: _plain(name, value) for name, value in servable.run(signature, inputs).items()}
        return answers


def _plain(name: str, value: np.ndarray) -> Any:
    if value.dtype != object:
        return value.tolist()
    read = (lambda item: base64.b64encode(item).decode()) if name.endswith("_bytes") else bytes.decode
    return np.vectorize(read, otypes=[object])(value).tolist() if value.size else value.tolist()


def main(arguments: list[str]) -> None:
    """Answer request.json and arrays.npz in the folder that is the only argument, in answer.json there."""
    for name in _BLOCKED:
        sys.modules[name] = None  # type: ignore[assignment]
    folder = Path(arguments[0])
    request = read_json(folder / "request.json")
    with np.load(folder / "arrays.npz", allow_pickle=False) as file:
        arrays = dict(file)
    # Fixed-width bytes, which numpy writes without a pickle, end at a zero byte; base64 has none.
    arrays["inputs"] = np.array([base64.b64decode(item) for item in arrays["inputs"]], object)
    result = answer(Path(request["saved_model"]), request["images"], arrays)
    imported = sorted(name for name, module in sys.modules.items() if module and name.split(".")[0] in _BLOCKED)
    if imported:
        raise RuntimeError(f"The export was not checked without Keras: {imported[0]} was imported.")
    write_json(folder / "answer.json", result)


if __name__ == "__main__":
    main(sys.argv[1:])
