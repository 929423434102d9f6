"""A SavedModel in a Session without Keras, in a process of its own: `python -m niwt_tf.serving.checks.session_process FOLDER`.

FOLDER holds request.json (`saved_model`) and requests.bin; each answer goes to answers.bin there as soon as it is known.
"""

from __future__ import annotations

import sys
from pathlib import Path

from niwt_tf.config.surroundings import watch_parent
from niwt_tf.files import read_json
from niwt_tf.serving.checks.messages import Message, append_message, read_messages

_BLOCKED = ("keras", "tf_keras")
_INVALID_ARGUMENT = 3


def answer_all(saved_model: Path, questions: Path, answers: Path) -> None:
    """Answer each request of a file at the end of another; an error of TensorFlow's is an answer too.

    Raises:
        InputError: there is no SavedModel.
    """
    import tensorflow as tf

    from niwt_tf.serving.predict import opened

    with opened(saved_model) as servable:
        for request in read_messages(questions):
            try:
                if set(servable.inputs(request.signature)) != set(request.tensors):
                    raise ValueError(f"the inputs are {', '.join(servable.inputs(request.signature))}")
                answer = Message(request.signature, servable.run(request.signature, request.tensors))
            except tf.errors.OpError as error:
                answer = Message(request.signature, code=error.error_code, error=error.message)
            except (KeyError, ValueError) as error:  # what a server refuses before it runs anything
                answer = Message(request.signature, code=_INVALID_ARGUMENT, error=f"{type(error).__name__}: {error}")
            append_message(answers, answer)


def main(arguments: list[str]) -> None:
    """Answer, and make sure that Keras was not needed for it."""
    watch_parent()
    for name in _BLOCKED:
        sys.modules[name] = None  # type: ignore[assignment]
    folder = Path(arguments[0])
    answer_all(Path(read_json(folder / "request.json")["saved_model"]), folder / "requests.bin", folder / "answers.bin")
    imported = sorted(name for name, module in sys.modules.items() if module and name.split(".")[0] in _BLOCKED)
    if imported:
        raise RuntimeError(f"The SavedModel was not opened without Keras: {imported[0]} was imported.")


if __name__ == "__main__":
    main(sys.argv[1:])
