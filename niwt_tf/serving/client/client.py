"""A client of an exported model, on a server or in this process: batches, repetition, and an answer for each image.

Needs neither Keras nor, over REST, TensorFlow. Over gRPC TensorFlow is imported, since the official stubs do.

gRPC is spoken in clear text, without TLS, and neither protocol sends a password: for anything beyond one machine or a network
that is trusted, put a proxy with TLS before the server, and ask it over https.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, cast
from urllib.parse import urlsplit

import numpy as np

from niwt_tf.config.extras import check_installed
from niwt_tf.data.class_names import alike, check_apart
from niwt_tf.data.descriptions.new_classes import LEAST_UNDERSTOOD
from niwt_tf.errors import InputError, brief, check_choice
from niwt_tf.serving.bundle.bundle import Bundle
from niwt_tf.serving.bundle.versions import saved_model_folder
from niwt_tf.serving.client.answers import Explanations, Predictions, explanation, ranked, texts
from niwt_tf.serving.client.batches import BatchAnswers, Image, Progress, ask
from niwt_tf.serving.client.transport import Outputs, Retrying, Transport

_BATCH = 32
_TIMEOUT = 30.0
_RETRIES = 3
_NO_SCORES = np.zeros(0, np.float32)


class Client:
    """Asks a server about images; safe to use from several threads. Close it, or use it as a context.

    One image that cannot be decoded fails its whole batch in a server. Such a batch is asked again image by image, so that
    the bad one is named in `errors` of the answer and the others are answered. A request that the server cannot answer for
    now (UNAVAILABLE, DEADLINE_EXCEEDED; over REST 408, 429, 502, 503, 504, no connection) is repeated; no other is.

    Args:
        server: "grpc://host:port", "http://host:port" or "https://host:port"; or another way to a model, for instance a
            `LocalTransport`.
        name: of the model on the server.
        version: a version's number, a label such as "stable", or None for the newest.
        timeout: seconds for one batch with all its repetitions.
        retries: repetitions of one batch at most.
        batch_size: images a request.

    Raises:
        InputError: an argument is out of range, the server is not such an address, or it is one and the name is missing.
    """

    def __init__(
        self,
        server: str | Transport,
        name: str = "",
        version: int | str | None = None,
        *,
        timeout: float = _TIMEOUT,
        retries: int = _RETRIES,
        batch_size: int = _BATCH,
    ) -> None:
        for argument, value, least in (("retries", retries, 0), ("batch_size", batch_size, 1)):
            if not isinstance(value, int | np.integer) or isinstance(value, bool):
                raise InputError(f"{argument} must be an integer. Received: {brief(value)}.")
            if value < least:
                raise InputError(f"{argument} must be at least {least}. Received: {value}.")
        if not isinstance(timeout, int | float | np.integer | np.floating) or isinstance(timeout, bool):
            raise InputError(f"timeout must be a number of seconds. Received: {brief(timeout)}.")
        if not timeout > 0:
            raise InputError(f"timeout must be greater than 0. Received: {timeout}.")
        if not (isinstance(server, str) or hasattr(server, "call")):
            rule = 'server must be an address, such as "http://localhost:8501", or a transport, such as LocalTransport(folder)'
            raise InputError(f"{rule}. Received: {brief(server)}.")
        if isinstance(server, str) and not (isinstance(name, str) and name):
            raise InputError(f"name must be the name of the model on the server. Received: {brief(name)}.")
        is_number = isinstance(version, int | np.integer) and not isinstance(version, bool) and version >= 0
        if not (version is None or is_number or (isinstance(version, str) and version)):
            raise InputError(f"version must be the number of a version, a label or None. Received: {brief(version)}.")
        self._batch_size = batch_size
        self._retrying = Retrying(timeout, retries)
        self._transport = connected(server, name, version) if isinstance(server, str) else server

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def call(self, signature: str, inputs: Mapping[str, np.ndarray]) -> Outputs:
        """Send one request to a signature, as it is.

        The inputs are arrays by name, all with the same number of rows; strings are bytes in arrays of objects.

        Raises:
            RequestError: it was not answered; `code` says why.
        """
        return self._retrying.call(lambda seconds: self._transport.call(signature, inputs, seconds))

    def classify(self, images: Sequence[Image], progress: Progress | None = None) -> Predictions:
        """Return the best classes of at least one image, a file or the contents of one.

        `progress` is called with the number of images of each batch that is done.

        Raises:
            InputError: no image.
            RequestError: the server did not answer a batch.
        """
        asked = self._ask("serving_default", images, {}, progress)
        rows = asked.rows
        return Predictions(
            labels=tuple(texts(row["labels"]) if row else () for row in rows),
            scores=tuple(row["scores"] if row else _NO_SCORES for row in rows),
            is_seen=tuple(row["is_seen"] > 0.5 if row else _NO_SCORES > 0 for row in rows),
            versions=tuple(asked.versions),
            errors=asked.errors,
        )

    def classify_with(
        self,
        images: Sequence[Image],
        descriptions: Mapping[str, Sequence[float] | str],
        progress: Progress | None = None,
        *,
        bundle: str | os.PathLike[str] | None = None,
        least_understood: float = LEAST_UNDERSTOOD,
    ) -> Predictions:
        """Return the classes of images, those that the model knows and others that are only described, all of them.

        Descriptions are at least one, by name K numbers in the units of the knowledge that the model was made with, or a text,
        which is read as `niwt add_class --text` reads it; see `classify`.

        Args:
            images: files or their contents.
            descriptions: by the name of the class.
            progress: see `classify`.
            bundle: the exported version, or the folder of its versions, that knows what words mean; by default that of a
                `LocalTransport`. Numbers need none.
            least_understood: the share of what a text says that must be understood.

        Raises:
            InputError: no image, no description, or descriptions that are not finite, differ in length or have the name of a
                known class; texts without a bundle, or of which too little is understood.
            RequestError: the server did not answer a batch.
        """
        if not isinstance(descriptions, Mapping):
            rule = "descriptions must be a dict of numbers or texts by class name"
            raise InputError(f"{rule}. Received: {brief(descriptions)}.")
        check_apart(list(descriptions), "descriptions")
        matrix = _matrix(self._in_numbers(descriptions, bundle, least_understood))
        asked = self._ask("classify_with", images, {"descriptions": matrix}, progress)
        labels, scores = [], []
        for row in asked.rows:
            known = texts(row["labels"]) if row else ()
            taken = next((name for name in descriptions if alike(name, known) is not None), None)
            if taken is not None:
                raise InputError(f"descriptions must not have the name of a known class. Received: {taken!r}.")
            best = ranked(row, list(descriptions)) if row else ((), _NO_SCORES)
            labels.append(best[0])
            scores.append(best[1])
        is_seen = tuple(_NO_SCORES > 0 for _ in labels)  # the signature does not say
        return Predictions(tuple(labels), tuple(scores), is_seen, tuple(asked.versions), asked.errors)

    def _in_numbers(
        self,
        descriptions: Mapping[str, Sequence[float] | str],
        bundle: str | os.PathLike[str] | None,
        least_understood: float,
    ) -> Mapping[str, Sequence[float]]:
        texts_given = [name for name, said in descriptions.items() if isinstance(said, str)]
        if not texts_given:
            return cast(Mapping[str, Sequence[float]], descriptions)
        folder = bundle if bundle is not None else getattr(self._transport, "folder", None)
        if folder is None:
            rule = "bundle must be the exported version that the server has, if descriptions are texts"
            raise InputError(f"{rule}. Received: none, and a text for {texts_given[0]!r}.")
        from niwt_tf.serving.client.described import in_numbers

        return in_numbers(Bundle.open(saved_model_folder(folder)), descriptions, least_understood)

    def explain(self, images: Sequence[Image], progress: Progress | None = None) -> Explanations:
        """Return why images get their classes; arguments and errors as for `classify`."""
        asked = self._ask("explain", images, {}, progress)
        rows = tuple(explanation(row) if row else None for row in asked.rows)
        return Explanations(rows, tuple(asked.versions), asked.errors)

    def _ask(
        self, signature: str, images: Sequence[Image], shared: Mapping[str, np.ndarray], progress: Progress | None
    ) -> BatchAnswers:
        return ask(lambda inputs: self.call(signature, inputs), images, shared, self._batch_size, progress)


def _matrix(descriptions: Mapping[str, Sequence[float]]) -> np.ndarray:
    """Return descriptions as float32 [M, K]."""
    if not descriptions:
        raise InputError("descriptions must describe at least one class. Received: none.")
    rows = {name: _row(name, values) for name, values in descriptions.items()}
    first, *_ = rows
    for name, row in rows.items():
        if len(row) != len(rows[first]):
            rule = f"descriptions must be equally long ({first!r} has {len(rows[first])})."
            raise InputError(f"{rule} Received: {len(row)} for {name!r}.")
    return np.stack(list(rows.values()))


def _row(name: str, values: Any) -> np.ndarray:
    """Return one description as float32 [K]."""
    try:
        with np.errstate(over="ignore"):  # it is then not finite
            row = np.asarray(values, np.float32)
    except (TypeError, ValueError):
        row = np.empty((0, 0), np.float32)
    if row.ndim != 1:
        rule = "descriptions must be lists of numbers, or texts"
        raise InputError(f"{rule}. Received: {brief(values)} for {name!r}.")
    if not np.isfinite(row).all():
        raise InputError(f"descriptions must be finite numbers. Received: other values for {name!r}.")
    return row


def connected(server: str, name: str, version: int | str | None = None) -> Transport:
    """Return the way to a model on a server; nothing is sent yet.

    Raises:
        InputError: the server is not "grpc://host:port", "http://host:port" or "https://host:port", or the extra for gRPC
            is not installed.
    """
    try:
        parts = urlsplit(server)
        is_whole = bool(parts.hostname and parts.port) and parts.path in ("", "/") and not (parts.query or parts.fragment)
    except ValueError:
        is_whole = False
    if is_whole and parts.username is not None:
        raise InputError("server must be an address without a user's name or password: none is sent. Received: one with them.")
    if not is_whole:
        raise InputError(f"server must be like grpc://localhost:8500 or http://localhost:8501. Received: {server!r}.")
    scheme = check_choice("The scheme of server", parts.scheme, ("grpc", "http", "https"))
    if scheme == "grpc":
        for module in ("tensorflow_serving", "grpc"):
            check_installed(module, "A server at grpc://", "or ask it over http://")
        from niwt_tf.serving.client.grpc_transport import GrpcTransport

        return GrpcTransport(parts.netloc, name, version)
    from niwt_tf.serving.client.rest_transport import RestTransport

    return RestTransport(f"{scheme}://{parts.netloc}", name, version)
