"""A process that answers a question about images: `python -m niwt_tf.serving.client.worker_process`, made by `workers`.

It reads a line of JSON for the question, then one for each list of images, and answers each of these with a line of JSON:
{"records": [...]}, {"wrong_input": sentence} or {"refused": [code, detail, whether it can be repeated]}.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Any

from niwt_tf.config.surroundings import settle_process
from niwt_tf.errors import InputError
from niwt_tf.serving.client.question import Answering, Question
from niwt_tf.serving.client.transport import RequestError


class Answerer:
    """Answers lists of images with JSON objects; what is asked is loaded with the first list."""

    def __init__(self, question: dict[str, Any]) -> None:
        self._question = Question(**question)
        self._answering: Answering | None = None

    def answer(self, names: list[str]) -> dict[str, Any]:
        """Return {"records": ...}, or what is wrong as the module says."""
        try:
            self._answering = self._answering or Answering(self._question)
            return {"records": self._answering.records(names)}
        except InputError as error:
            return {"wrong_input": str(error)}
        except RequestError as error:
            return {"refused": [error.code, error.detail, error.can_be_repeated]}


def main() -> None:
    """Answer until there are no more lines."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal's Ctrl-C is for the process that made this one, which ends it
    settle_process()
    # What libraries print must not come between the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)
    answerer = Answerer(json.loads(sys.stdin.readline()))
    for line in sys.stdin:
        answers.write(json.dumps(answerer.answer(json.loads(line))) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
