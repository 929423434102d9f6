"""`niwt classify`: ask a server, or an exported bundle in this process or several, about images."""

from __future__ import annotations

import logging
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from absl import flags
from tqdm import tqdm

from niwt_tf.data.descriptions.new_classes import doubt_of, read_described_classes
from niwt_tf.data.readers.loose_images import each_image_file, paths_of
from niwt_tf.errors import InputError, brief, full_disk_at, require
from niwt_tf.files import fingerprint, replacing
from niwt_tf.jobs.answer_text import AnswerText, CsvText, JsonText, TableText
from niwt_tf.jobs.answers_file import AnswersFile, read_names, write_names
from niwt_tf.jobs.classes import synonym
from niwt_tf.jobs.flags import result_file
from niwt_tf.jobs.terminal_text import escape_what_cannot_be_shown, shown
from niwt_tf.serving.bundle.bundle import METADATA, Bundle
from niwt_tf.serving.bundle.descriptions import bundle_words, seen_knowledge
from niwt_tf.serving.bundle.versions import saved_model_folder
from niwt_tf.serving.classes.names import abstains, new_names
from niwt_tf.serving.client.described import numbers_of, read_texts
from niwt_tf.serving.client.question import Question
from niwt_tf.serving.client.records import Record
from niwt_tf.serving.client.transport import RequestError
from niwt_tf.serving.client.workers import answered

_BATCHES = 4  # of a list of images that a worker takes at a time
_NAMED = 3
_MOST_DIGITS = 18  # of a version's number
_LOG = logging.getLogger("niwt_tf.jobs")


def main() -> None:
    """Classify --images and print the answers, or write them to --answers; images that cannot be answered are named at the end.

    Raises:
        InputError: flags that do not go together, no image, a server that does not answer, or images without an answer.
    """
    values = flags.FLAGS
    if values.explain and values.top != 1:
        raise InputError(f"--top must be left out with --explain, which explains only the best class. Received: {values.top}.")
    if values.answers is not None:
        _into_file()
    else:
        _onto_output()


def _onto_output() -> None:
    values = flags.FLAGS
    bad, count = 0, 0
    first_bad: list[list[str]] = []
    with ExitStack() as stack:
        written_to = result_file("json", "[")
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="niwt-")))
        total = write_names(map(str, each_image_file(values.images or "")), folder / "names")
        question = _question()
        forms: dict[str, AnswerText] = {"csv": CsvText(), "json": JsonText()}
        printed = forms[values.format] if values.format in forms else TableText(_abstains())
        escape_what_cannot_be_shown()
        written, as_well = None, JsonText()
        if written_to is not None:
            path = stack.enter_context(replacing(written_to))
            written = stack.enter_context(open(path, "w", encoding="ascii"))
        for records in _answers(question, read_names(folder / "names", 0, _list_size()), total):
            sys.stdout.write(printed.part(records))
            if written is not None:
                written.write(as_well.part(records))
            wrong = [[record["image"], record["error"]] for record in records if "error" in record]
            count, bad, first_bad = count + len(records), bad + len(wrong), [*first_bad, *wrong][:_NAMED]
        sys.stdout.write(printed.end())
        if written is not None:
            written.write(as_well.end())
            written.flush()
    sys.stdout.flush()
    _refuse_bad(bad, count, first_bad)


def _into_file() -> None:
    values = flags.FLAGS
    for name in ("format", "json"):
        if values[name].present:
            rule = f"--{name} must be left out with --answers, whose file ending says the format"
            raise InputError(f"{rule}. Received: {values[name].value!r}.")
    path = Path(os.path.expanduser(values.answers))
    if values.explain and path.suffix.lower() != ".jsonl":
        raise InputError(
            f"--answers must end in .jsonl with --explain: a table cannot hold explanations. Received: {str(path)!r}."
        )
    question = _question()
    names = map(str, each_image_file(values.images or ""))
    begun = time.monotonic()
    with full_disk_at(path), AnswersFile(path, _asked(question), names) as answers:
        before = answers.done
        if before:
            _LOG.info("%d of %d images already have answers. The job goes on with the next image.", before, answers.count)
        for records in _answers(question, answers.lists(_list_size()), answers.count, before, answers.bad):
            answers.append(records)
        answers.finish()
    done = f"{answers.done - answers.bad} of {answers.count} images"
    print(f"{shown(str(path))}: {done}, the last {answers.done - before} in {time.monotonic() - begun:.0f} s", flush=True)
    _refuse_bad(answers.bad, answers.count, answers.first_bad, f"; all of them are in {shown(str(answers.bad_path))}")


def _asked(question: Question) -> dict[str, Any]:
    """Return what must be the same for a file of answers to go on, by its name in messages."""
    paths = paths_of(flags.FLAGS.images or "")
    asked: dict[str, Any] = {"--images": [os.path.abspath(path) for path in paths], "--explain": question.explain}
    if not all(path.is_absolute() for path in paths):
        asked["the working directory"] = os.getcwd()
    if question.bundle:
        asked["--bundle"] = f"{question.bundle} ({fingerprint(Path(question.bundle, 'saved_model.pb'))})"
    named = {"--server": question.server, "--name": question.name, "--model_version": question.version, "--top": question.top}
    described = "--cards" if flags.FLAGS.cards is not None else "--describe"
    return {**asked, **named, described: fingerprint(question.numbers) if question.numbers else None}


def _list_size() -> int:
    return _BATCHES * int(flags.FLAGS.batch_size)


def _answers(
    question: Question, lists: Iterable[list[str]], total: int, done: int = 0, bad: int = 0
) -> Iterator[list[Record]]:
    """Yield the records of lists of images, and show how far it is, how fast, and how long it will take yet."""
    values = flags.FLAGS
    options = {"unit": "image", "delay": 5, "leave": False, "smoothing": 0.05, "disable": not values.progress}
    with tqdm(total=total, initial=done, desc="classify", **options) as bar:

        def progress(count: int) -> None:
            if bar.n == done and not bar.disable:  # loading the model took its time until here, and does not count
                bar.initial += count
                bar.unpause()
            bar.update(count)

        try:
            for records in _answerers(question, lists, progress):
                bad += sum("error" in record for record in records)
                if bad:
                    bar.set_postfix(bad=bad, refresh=False)
                yield records
        except RequestError as error:
            raise InputError(_sentence(error)) from None


def _answerers(
    question: Question, lists: Iterable[list[str]], progress: Callable[[int], None]
) -> Iterator[list[Record]]:
    values = flags.FLAGS
    if values.cluster is None:
        return answered(question, lists, values.workers, progress)
    from niwt_tf.serving.client.cluster import answered_by_cluster

    workers = values.workers if values["workers"].present else None
    whole = ([os.path.abspath(name) for name in names] for names in lists)
    return answered_by_cluster(question, whole, values.cluster, workers, progress)


def _refuse_bad(bad: int, count: int, first: Sequence[Sequence[str]], where: str = "") -> None:
    if bad:
        named = ", ".join(f"'{shown(image)}' ({shown(error).rstrip('.')})" for image, error in first)
        more = f" and {bad - len(first)} more" if bad > len(first) else ""
        raise InputError(f"--images must be files that can be decoded; {bad} of {count} cannot: {named}{more}{where}.")


def _abstains() -> bool:
    """Return whether --bundle answers "unknown" of its own; a server does not say, and a class may be called so."""
    given = flags.FLAGS.bundle
    if given is None:
        return False
    folder = saved_model_folder(os.path.expanduser(given), "--bundle")
    return (folder / METADATA).is_file() and abstains(Bundle.open(folder, check=False))


def _question() -> Question:
    """Return what the flags ask.

    Raises:
        InputError: flags that do not go together, no such bundle, or a description that is not understood.
    """
    values = flags.FLAGS
    described = _described()
    describes = described is not None
    if (values.server is None and values.bundle is None) or (values.server and values.bundle and not describes):
        received = "neither" if values.server is None else "both"
        raise InputError(f"Either --server or --bundle must be given. Received: {received}.")
    asked = {"timeout": values.timeout, "retries": values.retries, "batch_size": values.batch_size, "top": values.top}
    question = Question(**asked, explain=values.explain)
    if described is not None:
        question = replace(question, numbers=described.numbers, seen=described.seen)
    if values.server is None:
        given = [name for name in ("name", "model_version") if values[name].value is not None]
        if given:
            rule = f"--{given[0]} must be left out with --bundle: it is for a server."
            raise InputError(f"{rule} Received: {values[given[0]].value!r}.")
        return replace(question, bundle=os.path.abspath(saved_model_folder(os.path.expanduser(values.bundle), "--bundle")))
    if values.name is None:
        raise InputError("--name must be given with --server: the name of the model on the server, for instance --name=birds.")
    version = values.model_version
    if version and version.isdecimal():
        if len(version) > _MOST_DIGITS:
            rule = f"--model_version must be a number of at most {_MOST_DIGITS} digits, or a label"
            raise InputError(f"{rule}. Received: {brief(version)}.")
        version = int(version)
    return replace(question, server=values.server, name=values.name, version=version)


@dataclass(frozen=True)
class Described:
    """Classes that these images alone are compared with: K numbers by name; and which of the known ones are seen."""

    numbers: dict[str, list[float]]
    seen: dict[str, bool]


def _described() -> Described | None:
    """Return the classes of --describe and --cards, or None where there is neither.

    Raises:
        InputError: a text is not understood by half, a name is taken, or the bundle does not know what words mean.
    """
    values = flags.FLAGS
    given = [f"--{name}" for name in ("describe", "cards") if values[name].value is not None]
    if not given:
        return None
    rules = (
        (len(given) == 1, f"Either --describe or --cards must be given. Received: {values.describe!r} and {values.cards!r}."),
        (not values.explain, f"--explain must be left out with {given[0]}: a class that is not stored has no explanation."),
        (values.bundle is not None, f"--bundle must be given with {given[0]}: it knows what the words mean. Received: none."),
    )
    for holds, sentence in rules:
        require(holds, sentence)
    bundle = Bundle.open(saved_model_folder(os.path.expanduser(values.bundle), "--bundle"))
    if values.cards is not None:
        bundle.check_formula()
        path, seen = Path(os.path.expanduser(values.cards)), seen_knowledge(bundle)
        classes = read_described_classes(path, seen, bundle_words(bundle), "error", synonym)
    else:
        classes = read_texts(bundle, _texts(values.describe), synonym)
    names = new_names(bundle, [each.name for each in classes])
    classes = [replace(each, name=name) for each, name in zip(classes, names, strict=True)]
    doubt = doubt_of(classes)
    if doubt is not None and not values.yes:
        rule = f"{given[0]} must be at least half understood, or give --yes to use it anyway"
        raise InputError(f"{rule}. Received: {doubt.share} was understood{doubt.others}: {doubt.note}.")
    for each in classes:
        for note in each.description.notes:
            _LOG.info("%s: %s", each.name, note)
    return Described(numbers_of(bundle, classes), {card.name: card.seen for card in bundle.cards})


def _texts(given: str) -> dict[str, str]:
    """Return texts by the names of their classes, of lines such as "moss wren: A red crown."."""
    texts: dict[str, str] = {}
    for line in filter(None, map(str.strip, given.splitlines())):
        name, colon, text = (part.strip() for part in line.partition(":"))
        if not (name and colon and text):
            raise InputError(f"--describe must be a name, a colon and a text, in each line. Received: {line[:80]!r}.")
        require(name not in texts, f"--describe must describe each class once. Received: {name!r} twice.")
        texts[name] = text
    return texts


def _sentence(error: RequestError) -> str:
    values = flags.FLAGS
    said = f"{error.code}: {shown(next(iter(error.detail.splitlines()), '')).rstrip('.')}"
    if error.can_be_repeated:
        return f"--server must name a server that answers. Received: {values.server!r} ({said})."
    if error.code == "NOT_FOUND":
        return f"--name and --model_version must name a model and a version on the server. Received: {values.name!r} ({said})."
    flag = "--server" if values.server is not None else "--bundle"
    if values.explain and re.search(r"\bexplain\b.*not found", said):
        rule = f"--explain must be left out if {flag} has no explanations. They are exported if the descriptions are known."
        return f"{rule} Received: {values.server or values.bundle!r}."
    return f"{flag} must be able to answer this request. Received: {values.server or values.bundle!r} ({said})."
