"""A SavedModel in a Session without Keras, in a process of its own: `python -m niwt_tf.serving.session_process FOLDER`.

FOLDER holds request.json (`saved_model`) and requests.bin; each answer goes to answers.bin there as soon as it is known.
"""

from __future__ import annotations

import sys
from pathlib import Path

from niwt_tf.files import read_json
from niwt_tf.serving.messages import Message, append_message, read_messages

_BLOCKED = ("keras", "tf_keras")
_INVALID_ARGUMENT = 3


def main(arguments: list[str]) -> None:
    """Answer every request; an error of TensorFlow's is an answer too."""
    for name in _BLOCKED:
        sys.modules[name] = None  # type: ignore[assignment]
    import tensorflow as tf

    from niwt_tf.serving.predict import opened

    folder = Path(arguments[0])
    with opened(read_json(folder / "request.json")["saved_model"]) as servable:
        for request in read_messages(folder / "requests.bin"):
            try:
                answer = Message(request.signature, servable.run(request.signature, request.tensors))
            except tf.errors.OpError as error:
                answer = Message(request.signature, code=error.error_code, error=error.message)
            except (KeyError, ValueError) as error:  # what a server refuses before it runs anything
                answer = Message(request.signature, code=_INVALID_ARGUMENT, error=f"{type(error).__name__}: {error}")
            append_message(folder / "answers.bin", answer)
    imported = sorted(name for name, module in sys.modules.items() if module and name.split(".")[0] in _BLOCKED)
    if imported:
        raise RuntimeError(f"The SavedModel was not opened without Keras: {imported[0]} was imported.")


if __name__ == "__main__":
    main(sys.argv[1:])
