"""Clients that ask a server as fast as they are answered, and what they saw."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from niwt_tf.serving.client import Client
from niwt_tf.serving.transports.request_error import RequestError

# Version -> its labels; no label belongs to two.
Known = Mapping[int, frozenset[str]]


@dataclass
class Seen:
    """What one client, or all together, saw.

    Attributes:
        seconds: of each request.
        answers: version -> requests that it answered.
        failures: what went wrong -> how often; a request is not repeated, so that none is hidden.
        mixed: answers whose labels are not those of one version, or not of the one that the answer names.
        first: version -> when its first answer came, as `time.monotonic`.
    """

    seconds: list[float] = field(default_factory=list)
    answers: Counter[int] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    mixed: int = 0
    first: dict[int, float] = field(default_factory=dict)

    def add(self, other: Seen) -> None:
        """Take in what another client saw."""
        self.seconds += other.seconds
        self.answers += other.answers
        self.failures += other.failures
        self.mixed += other.mixed
        for version, moment in other.first.items():
            self.first[version] = min(moment, self.first.get(version, moment))


def version_of(labels: Sequence[Sequence[str]], versions: Sequence[int | None], known: Known) -> int | None:
    """Return the version that gave an answer, or None if it is mixed.

    Args:
        labels: of each image of one request.
        versions: that the answer names, None where it names none.
        known: the labels of each version.
    """
    given = {label for row in labels for label in row}
    whole = [version for version, names in known.items() if given and given <= names]
    return whole[0] if whole and set(versions) <= {None, whole[0]} else None


def ask_until(
    stop: threading.Event, url: str, name: str, requests: Sequence[Sequence[bytes]], known: Known, seen: Seen
) -> None:
    """Ask one request after the other until `stop` is set."""
    with Client(url, name, retries=0) as client:
        number = 0
        while not stop.is_set():
            images = requests[number % len(requests)]
            number += 1
            begun = time.monotonic()
            try:
                found = client.classify(images)
            except RequestError as error:
                seen.failures[str(error)[:200]] += 1
                continue
            ended = time.monotonic()
            seen.seconds.append(ended - begun)
            for wrong in found.errors.values():
                seen.failures[wrong[:200]] += 1
            version = version_of(found.labels, found.versions, known)
            if version is None:
                seen.mixed += 1
                continue
            seen.answers[version] += 1
            seen.first.setdefault(version, ended)
