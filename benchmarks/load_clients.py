"""Clients that ask a server as fast as they are answered, and what they saw."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from niwt_tf.metrics.probabilities import UNKNOWN
from niwt_tf.serving.bundle.bundle import Bundle
from niwt_tf.serving.classes.names import abstains
from niwt_tf.serving.client.client import Client
from niwt_tf.serving.client.transport import RequestError

# Version -> its labels; no label belongs to two, but for the answer of a bundle that abstains.
Known = Mapping[int, frozenset[str]]
DESCRIBED = "a class that is only described"
# Of seven requests one explains and one describes a class, where the bundle can.
_MIX = (*["serving_default"] * 5, "explain", "classify_with")


@dataclass(frozen=True)
class Load:
    """What is asked, and what may be answered.

    Attributes:
        requests: images of each request, in turn.
        known: the labels of each version.
        signatures: of each request, in turn.
        description: of the class that `classify_with` is told of.
    """

    requests: Sequence[Sequence[bytes]]
    known: Known
    signatures: Sequence[str] = ("serving_default",)
    description: Sequence[float] = ()

    @classmethod
    def of(cls, bundle: Bundle, renamed: Mapping[int, Sequence[str]], requests: Sequence[Sequence[bytes]]) -> Load:
        """Return the load for a bundle and later versions that have other labels; what the bundle can is all mixed in."""
        shared = {UNKNOWN} if abstains(bundle) else set()
        labels = {int(bundle.folder.name): bundle.labels, **renamed}
        known = {number: frozenset({*names, *shared}) for number, names in labels.items()}
        description = next((card.description for card in bundle.cards if card.description is not None), ())
        able = set(bundle.metadata["signatures"]) - (set() if description else {"classify_with"})
        return cls(requests, known, [name for name in _MIX if name in able], description)


@dataclass
class Observed:
    """What one client, or all together, saw.

    Attributes:
        seconds: of each request.
        ended: when each was answered, as `time.monotonic`.
        answers: version -> requests that it answered.
        signatures: name -> requests that were answered by it.
        failures: what went wrong -> how often; a request is not repeated, so that none is hidden.
        mixed: answers whose labels are not those of one version, or not of the one that the answer names.
        first: version -> when its first answer came, as `time.monotonic`.
    """

    seconds: list[float] = field(default_factory=list)
    ended: list[float] = field(default_factory=list)
    answers: Counter[int] = field(default_factory=Counter)
    signatures: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    mixed: int = 0
    first: dict[int, float] = field(default_factory=dict)

    def add(self, other: Observed) -> None:
        """Take in what another client saw."""
        self.seconds += other.seconds
        self.ended += other.ended
        self.answers += other.answers
        self.signatures += other.signatures
        self.failures += other.failures
        self.mixed += other.mixed
        for version, moment in other.first.items():
            self.first[version] = min(moment, self.first.get(version, moment))


def possible_versions(labels: Sequence[Sequence[str]], versions: Sequence[int | None], known: Known) -> frozenset[int]:
    """Return the versions that may have given an answer: none if it is mixed, two if it says nothing but "unknown".

    Args:
        labels: of each image of one request.
        versions: that the answer names, None where it names none.
        known: the labels of each version.
    """
    given = {label for row in labels for label in row} - {DESCRIBED}
    named = set(versions) - {None}
    return frozenset(version for version, names in known.items() if given and given <= names and named <= {version})


def ask_until(stop: threading.Event, url: str, name: str, load: Load, observed: Observed) -> None:
    """Ask one request after the other until `stop` is set."""
    with Client(url, name, retries=0) as client:
        number = 0
        while not stop.is_set():
            images = load.requests[number % len(load.requests)]
            signature = load.signatures[number % len(load.signatures)]
            number += 1
            begun = time.monotonic()
            try:
                labels, versions, errors = _answered(client, signature, images, load.description)
            except RequestError as error:
                observed.failures[str(error)[:200]] += 1
                continue
            ended = time.monotonic()
            observed.seconds.append(ended - begun)
            observed.ended.append(ended)
            observed.signatures[signature] += 1
            for wrong in errors.values():
                observed.failures[wrong[:200]] += 1
            possible = possible_versions(labels, versions, load.known)
            if not possible:
                observed.mixed += 1
            elif len(possible) == 1:
                (version,) = possible
                observed.answers[version] += 1
                observed.first.setdefault(version, ended)


def _answered(
    client: Client, signature: str, images: Sequence[bytes], description: Sequence[float]
) -> tuple[Sequence[Sequence[str]], Sequence[int | None], Mapping[int, str]]:
    """Return the labels of each image, the versions that the answer names, and what was wrong with images."""
    if signature == "explain":
        explained = client.explain(images)
        rows = [(row.label, row.runner_up) if row else () for row in explained.rows]
        return rows, explained.versions, explained.errors
    described = signature == "classify_with"
    found = client.classify_with(images, {DESCRIBED: description}) if described else client.classify(images)
    return found.labels, found.versions, found.errors
