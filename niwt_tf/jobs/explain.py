"""`niwt explain`: say where, in which words and by which neurons a network sees a class in an image, and why not another."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from absl import flags

from niwt_tf.config.extras import is_left_out
from niwt_tf.data.images.files import OneImage, read_one_image
from niwt_tf.data.schema import InputForm
from niwt_tf.errors import InputError
from niwt_tf.explain.evidence_words import evidence_line
from niwt_tf.explain.network_explainer import NetworkExplainer
from niwt_tf.explain.record import Contrast, ImageExplanation, NamedClass, explanation_record
from niwt_tf.explain.sentences import counterfactual_sentence, empty_map_sentence, listed_words, neuron_title, withheld_sentence
from niwt_tf.files import read_json, replacing_all, short_name, write_json
from niwt_tf.jobs.run_data import TransferFiles
from niwt_tf.jobs.terminal_text import escape_what_cannot_be_shown, shown
from niwt_tf.jobs.text_evidence import SynthesizedExplainer, evidence_of_run
from niwt_tf.models.feature_network import check_takes_pixels
from niwt_tf.report.evidence_page import evidence_page
from niwt_tf.report.explanation_sheet import write_explanation_sheet
from niwt_tf.runs.run import RunDirectory
from niwt_tf.serving.bundle.bundle import Bundle, is_synthesized
from niwt_tf.serving.bundle.explainer import BundleExplainer
from niwt_tf.serving.bundle.versions import saved_model_folder

_ARGUMENTS = ("--class", "--rival")


def main() -> None:
    """Explain --image, print it, and write <out>/<image>.png and .json, both or neither; no other image's are replaced.

    Without Matplotlib there is no picture, not an earlier one either.
    Where the network was written from texts, <image>_evidence.html shows their words beside them.

    Raises:
        InputError: flags that do not go together, an image that cannot be decoded, a class that is not known, no run or bundle
            that can explain, or a file in the way.
    """
    values = flags.FLAGS
    if values.image is None:
        raise InputError("--image must be given: the image file, for instance --image=photo.jpg.")
    if (values.run_dir is None) == (values.bundle is None):
        received = "neither" if values.run_dir is None else "both"
        raise InputError(f"Either --run_dir or --bundle must be given. Received: {received}.")
    image = read_one_image(Path(os.path.expanduser(values.image)), "--image")
    folder = Path(os.path.expanduser(values.out))
    with _writing(folder):
        picture, record = _targets(folder, image.path)
    explanation, model, class_names, form = _explained(image)
    pages: list[Path] = []
    if explanation.evidence is not None:
        with _writing(folder):
            pages = [_page(folder, image.path)]
    pictures = [] if is_left_out(f"the picture {picture}", "matplotlib") else [picture]
    with _writing(folder), replacing_all(record, *pages, *pictures) as (first, *others):
        write_json(first, explanation_record(explanation, os.path.abspath(image.path), model))
        for path in others[len(pages) :]:
            write_explanation_sheet(path, explanation, image.pixels, shown(image.path.name), class_names, form.resize)
        for page in others[: len(pages)]:
            assert explanation.evidence is not None, "only evidence has a page"
            page.write_text(evidence_page(explanation.evidence, image.path.name), encoding="utf-8", errors="replace")
    if not pictures:
        with _writing(folder):
            picture.unlink(missing_ok=True)
    escape_what_cannot_be_shown()
    sys.stdout.write(explanation_text(explanation, values.image))
    written = ", ".join(shown(str(path)) for path in (*pictures, record))
    sys.stdout.write(f"{'Picture and record' if pictures else 'Record'}: {written}\n")
    for page in pages:
        sys.stdout.write(f"Words of the texts: {shown(str(page))}\n")
    sys.stdout.flush()


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Name --out where the file system fails."""
    try:
        yield
    except OSError as error:
        rule = "--out must be a folder into which files can be written."
        raise InputError(f"{rule} Received: {str(folder)!r} ({error.strerror or error}).") from None


def _targets(folder: Path, image: Path) -> tuple[Path, Path]:
    """Return the files to write.

    Raises:
        InputError: the folder is a file, or the image, a folder or what is not of this image is where one of them would be.
    """
    blocking = next((path for path in (folder, *folder.parents) if path.exists() and not path.is_dir()), None)
    if blocking is not None:
        raise InputError(f"--out must not be a file or be inside a file. Received: {str(blocking)!r}.")
    targets = folder / f"{image.stem}.png", folder / f"{image.stem}.json"
    for target in targets:
        if target.is_dir() or (target.exists() and target.samefile(image)):
            what = "a folder" if target.is_dir() else "the image itself"
            raise InputError(f"--out must be a folder in which {target.name!r} may be written. Received: {what} of that name.")
    old = next((target for target in targets if target.exists()), None)
    if old is not None and not _is_of(targets[1], image):
        rule = (
            f"--out must be a folder whose {targets[0].name!r} and {targets[1].name!r}, if they exist, belong to the same "
            "image."
        )
        raise InputError(
            f"{rule} Received: {str(folder)!r}, whose {old.name!r} does not belong to {str(image)!r} as far as niwt can tell."
        )
    return targets


def _page(folder: Path, image: Path) -> Path:
    """Return the file of the evidence in words.

    Raises:
        InputError: it is a folder, or the image itself, or not known to be of this image.
    """
    page = folder / f"{short_name(Path(image.stem))}_evidence.html"
    if page.is_dir() or (page.exists() and (page.samefile(image) or not _is_of(folder / f"{image.stem}.json", image))):
        what = "a folder of that name" if page.is_dir() else "a file that may belong to another image"
        raise InputError(f"--out must be a folder in which {page.name!r} may be written. Received: {what}.")
    return page


def _is_of(record: Path, image: Path) -> bool:
    """Return whether a file is our record of an image."""
    try:
        value = read_json(record)
        named = Path(value["image"])
        ours = {"niwt_tf", "heat_map"} <= value.keys() and named.is_absolute()
        return ours and named.resolve() == image.resolve()
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _explained(image: OneImage) -> tuple[ImageExplanation, dict[str, Any], Sequence[str], InputForm]:
    """Return the explanation, what explained it, the names of all its classes, and how it takes an image."""
    values = flags.FLAGS
    names = values["class"].value, values.rival
    if values.bundle is not None:
        bundle = Bundle.open(saved_model_folder(os.path.expanduser(values.bundle), "--bundle"))
        if is_synthesized(bundle):
            explain = SynthesizedExplainer(bundle)
            told, evidence = explain(image.taken(explain.input_form), *names, _ARGUMENTS)
            return replace(told, evidence=evidence), _bundle_record(bundle.folder), bundle.labels, bundle.input_form
        with BundleExplainer(bundle) as explainer:
            said = explainer(image, *names, _ARGUMENTS)
            return said, _bundle_record(explainer.bundle.folder), explainer.known.labels, explainer.bundle.input_form
    run = Path(os.path.expanduser(values.run_dir))
    made = explainer_of_run(run)
    pixels = image.taken(made.input_form)
    said = made(pixels, *names, _ARGUMENTS)
    said = replace(said, evidence=evidence_of_run(run, made.network, said, pixels))
    return said, {"path": os.path.abspath(run), "version": None}, made.known.labels, made.input_form


def _bundle_record(folder: Path) -> dict[str, Any]:
    return {"path": str(folder), "version": int(folder.name) if folder.name.isdecimal() else None}


def explainer_of_run(run_dir: Path) -> NetworkExplainer:
    """Return what explains images by the stage `transfer` of a run, whose data set is not needed. Nothing is written or held.

    Raises:
        InputError: it is no run's folder, or the stage is not finished or out of date; the sentence names the job to run.
    """
    made = TransferFiles(RunDirectory(run_dir).reading().folder("transfer"))
    check_takes_pixels(made.network.layer, "niwt explain")
    return NetworkExplainer(made.network, made.explainer, made.probabilities, made.descriptions, made.formula)


def explanation_text(explanation: ImageExplanation, image: str) -> str:
    """Return what is said of an image, some lines without a character that a terminal would obey."""
    own, best, contrast = explanation.own, explanation.best, explanation.contrast
    lines = [f"{image}: {_named(own)}"]
    if best.label != own.label:
        lines.append(f"  the most probable class is {_named(best)}")
    if explanation.is_withheld:
        lines.append(f"  {withheld_sentence(explanation, best.label)}")
    lines += _where(empty_map_sentence(explanation.heat))
    lines.append(f"  evidence for it    {listed_words(explanation.speaks_for)}")
    if explanation.speaks_against:  # which not every bundle says
        lines.append(f"  evidence against   {listed_words(explanation.speaks_against)}")
    neurons = ", ".join(neuron_title(neuron) for neuron in explanation.neurons)
    lines.append(f"  neurons            {neurons or 'no neuron'}")
    lines += [] if contrast is None else _why_not(contrast, own)
    if explanation.evidence is not None:
        lines.append("In the words of the classes' texts")
        lines += [
            f"  evidence for it    {evidence_line(explanation.evidence)}",
            f"  evidence against   {evidence_line(explanation.evidence, against=True)}",
        ]
    lines += [each for each in (explanation.followed, *explanation.cautions) if each]
    return "\n".join(shown(line) for line in lines) + "\n"


def _where(sentence: str) -> list[str]:
    return [f"  where              {sentence}"] if sentence else []


def _why_not(contrast: Contrast, own: NamedClass) -> list[str]:
    return [
        f"Why not {_named(contrast.rival)}", *_where(empty_map_sentence(contrast.heat, (own.label, contrast.rival.label))),
        f"  evidence against   {listed_words(contrast.speaks_for, sign='')}",
        f"  evidence for it    {listed_words(contrast.speaks_against, sign='')}", f"  {counterfactual_sentence(contrast)}",
    ]


def _named(named: NamedClass) -> str:
    return f"{named.label} ({100 * named.probability:.1f} %, {'seen' if named.is_seen else 'unseen'})"
