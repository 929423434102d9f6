"""What is asked about every image of a job, in plain values, so that it can be sent to another process, and its answering."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from niwt_tf.compute.quiet_tensorflow import import_quietly
from niwt_tf.serving.client.batches import Progress
from niwt_tf.serving.client.client import Client, connected
from niwt_tf.serving.client.records import Record, explained, predicted
from niwt_tf.serving.client.transport import RequestError, Transport


@dataclass(frozen=True)
class Question:
    """What is asked, and whom.

    Attributes:
        bundle: the folder of an exported version that is loaded; "" where a server is asked.
        server: "grpc://host:port" or "http://host:port"; "" where a bundle is loaded.
        name: of the model on the server.
        version: of the model on the server: a number, a label, or None for the newest.
        timeout: seconds for one batch with its repetitions.
        retries: repetitions of a batch.
        batch_size: images of a batch.
        top: classes of an image, at most.
        explain: whether to ask for the signature `explain`.
        numbers: classes that are described for these images alone: K numbers by name.
        seen: with them, which of the model's own classes are seen.
    """

    bundle: str = ""
    server: str = ""
    name: str = ""
    version: int | str | None = None
    timeout: float = 30.0
    retries: int = 3
    batch_size: int = 32
    top: int = 1
    explain: bool = False
    numbers: Mapping[str, Sequence[float]] = field(default_factory=dict)
    seen: Mapping[str, bool] = field(default_factory=dict)


class Answering:
    """Answers a question about images. Close it, or use it with `contextlib.closing`.

    Raises:
        InputError: there is no such bundle or it cannot be loaded; the server's address is none.
    """

    def __init__(self, question: Question) -> None:
        self._question = question
        self._has_answered = False
        limits = {"timeout": question.timeout, "retries": question.retries, "batch_size": question.batch_size}
        self._client = Client(_transport(question), **limits)  # type: ignore[arg-type]

    def records(self, names: Sequence[str], progress: Progress | None = None) -> list[Record]:
        """Return a record for each of at least one image file, in their order; `progress` as for `Client.classify`.

        Raises:
            InputError: a described class has the name of one that the model knows.
            RequestError: a batch was not answered.
        """
        try:
            found = self._asked(names, progress)
        except RequestError as error:
            # Once an image has been answered, the question is known to be right, and what is refused is the images.
            if error.code != "INVALID_ARGUMENT" or not self._has_answered:
                raise
            return [{"image": name, "version": None, "error": error.detail} for name in names]
        self._has_answered = self._has_answered or any("error" not in record for record in found)
        return found

    def _asked(self, names: Sequence[str], progress: Progress | None) -> list[Record]:
        question, client = self._question, self._client
        if question.explain:
            return explained(names, client.explain(names, progress))
        if not question.numbers:
            return predicted(names, client.classify(names, progress), question.top)
        records = predicted(names, client.classify_with(names, question.numbers, progress), question.top, question.seen)
        for record in records:
            for best in record.get("predictions", ()):
                if best["label"] in question.numbers:
                    best["described"] = True
        return records

    def close(self) -> None:
        """Close connections and free memory."""
        self._client.close()


def _transport(question: Question) -> Transport:
    if not question.server:
        import_quietly()
        from niwt_tf.serving.client.local_transport import LocalTransport

        return LocalTransport(question.bundle)
    if question.server.startswith("grpc:"):
        import_quietly()
    return connected(question.server, question.name, question.version)
