"""Is a bundle what TensorFlow Serving would take and answer from? One check after another, each by itself."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from niwt_tf.errors import InputError
from niwt_tf.serving.bundle.bundle import METADATA, Bundle, check_no_links
from niwt_tf.serving.bundle.versions import saved_model_folder
from niwt_tf.serving.bundle.warmup import read_warmup
from niwt_tf.serving.checks import check_requests, graph_checks
from niwt_tf.serving.checks.check_processes import C_API, SESSION, NoCompilerError, ProcessAnswers, ask, native_loader
from niwt_tf.serving.checks.check_requests import NotAskedError, bad_images, row
from niwt_tf.serving.checks.check_server import PROGRAM, ask_server, server_program
from niwt_tf.serving.checks.graph_checks import CheckError, first_line, signatures_of
from niwt_tf.serving.checks.messages import Message, difference, fault
from niwt_tf.serving.predict import read_image

_INVALID_ARGUMENT = 3
_MOST_WARMUP = 1000

Status = Literal["ok", "FAILED", "not run"]


@dataclass(frozen=True)
class Check:
    """One line of the table: how a check ended, where "not run" is neither good nor bad, and what was seen or why."""

    name: str
    status: Status
    detail: str


class NotRunError(Exception):
    """A check that cannot be made here; the message says why."""


def check_export(folder: str | os.PathLike[str], images: Sequence[str | os.PathLike[str]] = ()) -> Iterator[Check]:
    """Yield the outcome of each check of a SavedModel, or the newest version in a folder, as soon as it is known.

    One that is no bundle is checked as far as that goes. It is asked about images of these files; without any three are drawn.

    Raises:
        InputError: there is no SavedModel, or an image cannot be read.
    """
    return _outcomes(BundleChecks(saved_model_folder(folder), [read_image(Path(image)) for image in images]))


def _outcomes(examination: BundleChecks) -> Iterator[Check]:
    for name, run in examination.checks().items():
        try:
            yield Check(name, "ok", run())
        except NotRunError as reason:
            yield Check(name, "not run", str(reason))
        except (CheckError, InputError, OSError, RuntimeError) as error:
            yield Check(name, "FAILED", first_line(error))


class BundleChecks:
    """The checks of the SavedModel in `folder` and what they have in common; without contents of images three are drawn."""

    def __init__(self, folder: Path, images: Sequence[bytes] = ()) -> None:
        self.folder = folder
        self.given = list(images)

    def checks(self) -> dict[str, Callable[[], str]]:
        """Return each check by name; it returns what it saw or raises."""
        return {
            "format": self.check_format,
            "signatures": lambda: graph_checks.check_signatures(self.graph),
            "operations": lambda: graph_checks.check_operations(self.graph),
            "size": lambda: graph_checks.check_size(self.folder),
            "session": self.check_session,
            "batching": self.check_batching,
            "warm-up": self.check_warmup,
            "bad images": self.check_bad_images,
            "bad numbers": self.check_bad_numbers,
            "C interface": self.check_c_interface,
            "C++ loader": self.check_native_loader,
            "model server": self.check_model_server,
        }

    def check_format(self) -> str:
        """Check that there are no links, then format, fingerprint and cards."""
        check_no_links(self.folder)
        if not self.is_bundle:
            raise InputError(f"no {METADATA}: nothing says whether its files are unchanged")
        bundle = Bundle.open(self.folder)
        files = len(bundle.metadata["fingerprint"])
        return f"format {bundle.metadata['format']}, {len(bundle.labels)} classes, {files} fingerprints match, no links"

    def check_session(self) -> str:
        """Check that every signature answers in a Session in a process without Keras."""
        said, names = self.said, []
        for asked, answer in self._answered(self.whole):
            wrong = fault(answer, _rows(asked))
            if wrong:
                raise CheckError(f"{asked.signature}: {first_line(wrong)}")
            names.append(asked.signature)
        if len(names) < len(self.whole) or not names or not said.answers:
            raise CheckError(said.error or "no signature could be asked")
        if len(said.answers) == len(self.requests) and said.error:
            raise CheckError(said.error)
        missed = "".join(f"; {name} not asked: {reason}" for name, reason in self.not_asked.items())
        return f"{', '.join(names)} answer without Keras{missed}"

    def check_batching(self) -> str:
        """Check that an image gets in a batch what it gets alone."""
        asked = [message for message in self.whole if _rows(message) > 1]
        if not asked:
            raise NotRunError("--images names one image")
        alone, together = list(self._answered(self.singles)), list(self._answered(asked))
        if len(together) < len(asked) or len(alone) < len(self.singles):
            raise NotRunError("the Session does not answer")
        for message, whole in together:
            rows = [answer for single, answer in alone if single.signature == message.signature]
            for index, single in enumerate(rows):
                found = difference(row(whole, index), single)
                if found:
                    raise CheckError(f"{message.signature}: image {index + 1} of {len(rows)} alone: {found}")
        return f"{_rows(asked[0])} images together get the same answers as each alone"

    def check_warmup(self) -> str:
        """Check that the requests which a server replays while it loads are answered."""
        if not self.warmup:
            if self.is_bundle:
                raise CheckError("assets.extra/tf_serving_warmup_requests does not exist")
            raise NotRunError("no warm-up records")
        if len(self.warmup) > _MOST_WARMUP:
            raise CheckError(f"{len(self.warmup)} records, but a server replays at most {_MOST_WARMUP}")
        answered = list(self._answered(self.warmup))
        for number, (message, answer) in enumerate(answered, 1):
            if answer.code:
                raise CheckError(f"record {number} ({message.signature}): {first_line(answer.error)}")
        if len(answered) < len(self.warmup):
            self._died(self.warmup[len(answered)])
        return f"{len(answered)} records are answered"

    def check_bad_images(self) -> str:
        """Check that what is no image is refused as INVALID_ARGUMENT, and that the next request is answered."""
        if not self.bad:
            raise NotRunError("no signature takes image files")
        answered = list(self._answered([message for _, message in self.bad]))
        for (what, message), (_, answer) in zip(self.bad, answered, strict=False):
            if what:
                _refused(f"{message.signature}: an image that is {what}", answer)
            elif answer.code:
                raise CheckError(f"{message.signature}: a good image after bad ones: {first_line(answer.error)}")
        if len(answered) < len(self.bad):
            what, message = self.bad[len(answered)]
            self._died(message, f" for an image that is {what}" if what else " after bad images")
        return f"{', '.join(bad_images())}: INVALID_ARGUMENT, and the next request is answered"

    def check_bad_numbers(self) -> str:
        """Check that numbers of another shape and NaN are INVALID_ARGUMENT through the C interface, which checks no shape."""
        signatures = signatures_of(self.graph)
        bad = [
            case for message in self.whole for case in check_requests.with_bad_numbers(message, signatures[message.signature])
        ]
        if not bad:
            raise NotRunError("no signature takes numbers")
        said = ask(C_API, self.folder, [message for _, message in bad], self.ports)
        for (what, message), answer in zip(bad, said.answers, strict=False):
            _refused(f"{message.signature}: {what}", answer)
        if len(said.answers) < len(bad):
            what, message = bad[len(said.answers)]
            raise CheckError(f"{message.signature}: {what}: the process ended: {said.error}")
        return f"{len(bad)} requests with other shapes or NaN: INVALID_ARGUMENT"

    def check_c_interface(self) -> str:
        """Check that the C interface answers as the Session does."""
        return self._same(ask(C_API, self.folder, self._good(), self.ports))

    def check_native_loader(self) -> str:
        """Check that the C++ loader answers as the Session does."""
        asked = self._good()
        try:
            program = native_loader()
        except NoCompilerError as reason:
            raise NotRunError(str(reason)) from None
        return self._same(ask([str(program)], self.folder, asked, self.ports, plain=True))

    def check_model_server(self) -> str:
        """Check that TensorFlow Serving itself answers as the Session does."""
        if server_program() is None:
            raise NotRunError(f"no {PROGRAM}")
        return self._same(ProcessAnswers(ask_server(self.folder, self._good())))

    def _good(self) -> list[Message]:
        good = [message for message, answer in self._answered(self.whole) if not answer.code]
        if not good:
            raise NotRunError("the Session gives no answers to compare with")
        return good

    def _same(self, said: ProcessAnswers) -> str:
        expected = [answer for _, answer in self._answered(self.whole) if not answer.code]
        for wanted, found in zip(expected, said.answers, strict=False):
            differs = difference(wanted, found)
            if differs:
                raise CheckError(f"{wanted.signature}: {first_line(differs)}")
        if said.error or len(said.answers) < len(expected):
            raise CheckError(said.error or f"{len(said.answers)} of {len(expected)} requests are answered")
        return f"{len(expected)} signatures give the same answers as the Session"

    def _died(self, message: Message, what: str = "") -> None:
        before = next(place for place, asked in enumerate(self.requests) if asked is message)
        if len(self.said.answers) == before:
            raise CheckError(f"{message.signature}{what}: the process ended: {self.said.error}")
        raise NotRunError("the process of the Session had ended before")

    def _answered(self, messages: Sequence[Message]) -> Iterator[tuple[Message, Message]]:
        """Yield each of `messages` that was answered, with its answer."""
        answers = {id(asked): answer for asked, answer in zip(self.requests, self.said.answers, strict=False)}
        for message in messages:
            if id(message) in answers:
                yield message, answers[id(message)]

    @property
    def is_bundle(self) -> bool:
        """Whether `niwt export` wrote it."""
        return (self.folder / METADATA).is_file()

    @cached_property
    def graph(self) -> Any:
        """The MetaGraphDef."""
        return graph_checks.meta_graph(self.folder)

    @cached_property
    def ports(self) -> dict[str, Any]:
        """The graph's names of the signatures' inputs and outputs."""
        return check_requests.ports(signatures_of(self.graph))

    @cached_property
    def whole(self) -> list[Message]:
        """A request of all images to each signature that can be asked."""
        images, self.not_asked, messages = self.given or check_requests.drawn_images(), dict[str, str](), []
        for name, signature in signatures_of(self.graph).items():
            try:
                messages.append(check_requests.request(name, signature, images, self._descriptions()))
            except NotAskedError as reason:
                self.not_asked[name] = str(reason)
        return messages

    @cached_property
    def singles(self) -> list[Message]:
        """A request of one image, for each image and signature."""
        return [row(message, index) for message in self.whole for index in range(_rows(message)) if _rows(message) > 1]

    @cached_property
    def bad(self) -> list[tuple[str, Message]]:
        """What is wrong with an image, or "", and the request about it: bad ones and then a good one for each signature."""
        signatures = signatures_of(self.graph)
        asked = [message for message in self.whole if check_requests.takes_images(signatures[message.signature])]
        bad = [
            (what, check_requests.with_image(message, content)) for message in asked for what, content in bad_images().items()
        ]
        return [*bad, *(("", row(message, 0)) for message in asked)]

    @cached_property
    def warmup(self) -> list[Message]:
        """The requests of the warm-up records."""
        return [Message(signature, inputs) for signature, inputs in read_warmup(self.folder)]

    @cached_property
    def requests(self) -> list[Message]:
        """Everything that the Session is asked, in order."""
        try:
            warmup = self.warmup
        except (NotRunError, InputError):  # what their own check says
            warmup = []
        return [*self.whole, *self.singles, *warmup, *(message for _, message in self.bad)]

    @cached_property
    def said(self) -> ProcessAnswers:
        """What the Session answered."""
        return ask(SESSION, self.folder, self.requests, self.ports)

    def _descriptions(self) -> np.ndarray | None:
        try:
            cards = Bundle.open(self.folder, check=False).cards
        except InputError:
            return None
        known = [card.description for card in cards if card.description is not None]
        return np.array(known, np.float32) if known else None


def _refused(what: str, answer: Message) -> None:
    if answer.code != _INVALID_ARGUMENT:
        said = first_line(answer.error) if answer.code else "it is answered"
        raise CheckError(f"{what} must be INVALID_ARGUMENT: {said}")


def _rows(message: Message) -> int:
    return len(next(iter(message.tensors.values())))
