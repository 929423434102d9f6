"""One picture that explains one image: where, in which words and by which neurons, and why not another class.

Matplotlib is imported inside the functions that draw, and only its figure objects are used, so that nothing here touches the
state of pyplot.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from niwt_tf.data.images.files import framed, resized
from niwt_tf.explain.evidence_words import evidence_line
from niwt_tf.explain.record import Contrast, ImageExplanation, NamedClass, NeuronReason
from niwt_tf.explain.sentences import counterfactual_sentence, empty_map_sentence, neuron_title, plain, withheld_sentence
from niwt_tf.explain.words import WeightedAttribute, shown_weight
from niwt_tf.methods.text_evidence import TextEvidence
from niwt_tf.plots.style import figure_font, new_figure, readable_names, save, shorten
from niwt_tf.report.pictures import activation_picture, heat_overlay
from niwt_tf.report.summary import percent

if TYPE_CHECKING:
    from PIL import Image


_FOR, _AGAINST, _INK, _FAINT = "#0072B2", "#D55E00", "#111111", "#555555"  # told apart by colour-blind readers
_SIDE = 384  # pixels of a photograph's longer side
# Inches: of the sheet, of its pictures, from one to the next, of the names beside bars, and of a bar and a line of text.
_WIDTH, _MARGIN, _PICTURE, _PITCH, _NAMES, _BAR, _LINE = 13.6, 0.3, 2.4, 2.64, 2.5, 0.27, 0.22
_TOP, _ABOVE = 1.2, 0.7  # inches above the first pictures and above what follows
_SHORT, _FILE = 24, 40  # characters
_HALF = (_WIDTH - 3 * _MARGIN) / 2  # inches for one of two titles beside each other
_HEADING, _SECOND, _TEXT, _BAR_TITLE, _TITLE, _NAME = 13.0, 11.0, 10.5, 10.0, 9.5, 9.0  # points


def write_explanation_sheet(
    path: Path, explanation: ImageExplanation, pixels: np.ndarray, name: str, class_names: Sequence[str] = (),
    resize: str = "squash",
) -> None:
    """Write the picture of an image's explanation as a PNG.

    The pixels are uint8 [height, width, 3], the image as it was before it was brought to the network's square by `resize`. With
    the class names of all classes each is called as it is everywhere else; by default those of the sheet alone count.
    """
    from PIL import Image

    photograph = resized(framed(Image.fromarray(pixels), resize), _SIDE)
    own, contrast = explanation.own, explanation.contrast
    shown = [own.label, explanation.best.label, *([contrast.rival.label] if contrast else [])]
    labels = tuple(dict.fromkeys([*class_names, *shown]))
    readable = dict(zip(labels, readable_names(labels), strict=True))
    words = (*explanation.speaks_for, *explanation.speaks_against)
    others = (*contrast.speaks_for, *contrast.speaks_against) if contrast else ()
    bars = _BAR * max(3, len(words), len(others))
    below = 0.0 if contrast is None else _ABOVE + (1.2 if contrast.heat is None else _PICTURE)
    said_in_words = [*_evidence_lines(explanation.evidence, readable), *explanation.cautions]
    ending = (len(said_in_words) + 1) * _LINE if said_in_words else 0.0
    sheet = _Sheet(_TOP + _PICTURE + _ABOVE + bars + below + ending + _MARGIN)
    sheet.heading(_heading(explanation, name, readable))

    top = _TOP
    sheet.picture(0, top, photograph, "the image")
    where = "\n".join(filter(None, ("where the network looks", empty_map_sentence(explanation.heat))))
    sheet.picture(1, top, heat_overlay(photograph, explanation.heat), where)
    sheet.neurons(2, top, explanation.neurons, photograph)
    top += _PICTURE + _ABOVE
    label = readable[own.label]
    # Colours are told where there are bars: of a bird they would be read as its own.
    sheet.bars(0.0, top, bars, words, f"{_cut('Blue supports {},', label)}\norange counts against it" if words else "")
    if contrast is not None:
        rival = readable[contrast.rival.label]
        question = _cut(f"Why not {{}} ({percent(contrast.rival.probability)})?", rival)
        title = f"{question}\n{_cut('Blue supports {}, orange supports {}', label, rival)}" if others else question
        sheet.bars((_WIDTH - _MARGIN) / 2, top, bars, others, title)
        top += bars + _ABOVE
        if contrast.heat is not None:
            sheet.picture(0, top, heat_overlay(photograph, contrast.heat), _where(contrast, label, rival))
        neurons = ", ".join(map(neuron_title, contrast.neurons))
        said = [f"Neurons that separate them: {neurons}."] if neurons else []
        sheet.sentences(int(contrast.heat is not None), top, [*said, counterfactual_sentence(contrast, readable)])
    for number, line in enumerate(said_in_words):
        sheet.line(_TOP + _PICTURE + _ABOVE + bars + below + _LINE * (number + 1), line)
    save(sheet.figure, path)


def _evidence_lines(evidence: TextEvidence | None, readable: Mapping[str, str]) -> list[str]:
    """Return what the words of the classes' texts say, a line for each side."""
    if evidence is None:
        return []
    called = {each.name: shorten(readable.get(each.name, each.name), _SHORT) for each in evidence.classes}
    sides = (("for", False), ("against", True))
    said = [f"Words of the texts {side} it: {evidence_line(evidence, against, called)}" for side, against in sides]
    return [" ".join(line.split()) for line in said]


def _heading(explanation: ImageExplanation, name: str, readable: Mapping[str, str]) -> str:
    own, best = explanation.own, explanation.best
    lines = [f"{shorten(' '.join(name.split()), _FILE)}: {_said(own, readable)}"]
    if explanation.is_withheld:
        lines.append(withheld_sentence(explanation, readable[best.label]))
    elif best.label != own.label:
        lines.append(f"The most probable class is {_said(best, readable)}.")
    return "\n".join(lines)


def _cut(template: str, *names: str) -> str:
    """Return the title of bars with names in it, cut to its room."""
    return template.format(*cut_together(names, lambda short: inches(template.format(*short), _BAR_TITLE) <= _HALF))


def _where(contrast: Contrast, own: str, rival: str) -> str:
    """Return the title of the map of the difference, at most 3 lines."""

    def title(names: Sequence[str]) -> str:
        return empty_map_sentence(contrast.heat, (names[0], names[1])) or f"evidence for {names[0]} and not {names[1]}"

    short = cut_together((own, rival), lambda names: broken_within(title(names), _TITLE, _PICTURE, 4).count("\n") < 3)
    return broken_within(title(short), _TITLE, _PICTURE, 3)


def _said(named: NamedClass, readable: Mapping[str, str]) -> str:
    kind = "learnt from photographs" if named.is_seen else "learnt from its description"
    return f"{shorten(readable[named.label], 2 * _SHORT)}, {percent(named.probability)}, {kind}"


class _Sheet:
    """A figure on which everything has its place in inches from the left and from the top."""

    def __init__(self, height: float) -> None:
        self._height = height
        self.figure = new_figure(_WIDTH, height, dpi=DPI, layout="none")

    def heading(self, text: str) -> None:
        first, _, second = text.partition("\n")
        room = _WIDTH - 2 * _MARGIN
        self._text(_MARGIN, 0.2, cut(first, _HEADING, room), _HEADING)
        self._text(_MARGIN, 0.52, cut(second, _SECOND, room), _SECOND, _AGAINST)

    def picture(self, column: int, top: float, picture: Image.Image, title: str) -> None:
        axes = self._axes(_MARGIN + column * _PITCH, top, _PICTURE, _PICTURE)
        axes.imshow(np.asarray(picture))
        axes.set_title(title, fontsize=_TITLE, color=_INK, parse_math=False)
        axes.axis("off")

    def neurons(self, column: int, top: float, neurons: Sequence[NeuronReason], photograph: Image.Image) -> None:
        """Draw what the neurons answer to, or where that is not known their names alone."""
        drawn = [neuron for neuron in neurons if neuron.activation is not None]
        for place, neuron in enumerate(drawn):
            assert neuron.activation is not None, "only neurons whose activation is known are drawn"
            words = neuron_title(neuron).replace(" % sure", "\N{NO-BREAK SPACE}%\N{NO-BREAK SPACE}sure")
            title = broken_within(words, _TITLE, _PICTURE, 2)
            self.picture(column + place, top, activation_picture(photograph, neuron.activation), title)
        if not drawn:
            names = [f"\N{BULLET} {neuron_title(neuron)}" for neuron in neurons] or ["none"]
            self.sentences(column, top, ["The most important neurons:", *names])

    def bars(self, left: float, top: float, height: float, words: Sequence[WeightedAttribute], title: str) -> None:
        """Draw a bar a word, the strongest for the class at the top and the strongest against it at the bottom."""
        words = sorted(words, key=lambda word: -word.weight)
        weights = [word.weight for word in words]
        start = left + _MARGIN + _NAMES
        axes = self._axes(start, top, (_WIDTH - _MARGIN) / 2 - _NAMES - _MARGIN, height)
        self._text(left + _MARGIN, top - 0.42, title, _BAR_TITLE)
        axes.barh(range(len(words)), weights, color=[_FOR if weight > 0 else _AGAINST for weight in weights], height=0.7)
        axes.set_ylim(height / _BAR - 0.5, -0.5)
        # The value is at the end of a long attribute's name.
        names = [cut_start(plain(word.attribute), _NAME, _NAMES - 0.2) for word in words]
        axes.set_yticks(range(len(words)), names, fontsize=_NAME, parse_math=False)
        axes.axvline(0.0, color=_FAINT, linewidth=0.8)
        axes.margins(x=0.2)
        for row, weight in enumerate(weights):
            side, away = ("left", 4) if weight > 0 else ("right", -4)
            style = {"textcoords": "offset points", "ha": side, "va": "center", "fontsize": 8.5, "color": _INK}
            axes.annotate(shown_weight(weight), (weight, row), xytext=(away, 0), **style)
        if not words:
            axes.text(0.5, 0.5, "no attribute matters here", ha="center", color=_FAINT, transform=axes.transAxes)
        axes.set_xticks([])
        axes.tick_params(left=False)
        axes.spines[:].set_visible(False)

    def sentences(self, column: int, top: float, sentences: Sequence[str]) -> None:
        """Write sentences beside pictures, as many lines as there is room for."""
        left = _MARGIN + column * _PITCH + 0.1
        room = _WIDTH - _MARGIN - left
        lines = [line for sentence in sentences for line in broken(" ".join(sentence.split()), _TEXT, room)]
        most = int(_PICTURE / _LINE)
        if len(lines) > most:
            lines = [*lines[: most - 1], cut(f"{lines[most - 1]} \N{HORIZONTAL ELLIPSIS}", _TEXT, room)]
        for number, line in enumerate(lines):
            self._text(left, top + 0.05 + _LINE * number, line, _TEXT)

    def line(self, top: float, text: str) -> None:
        """Write a line from edge to edge, cut to its room."""
        self._text(_MARGIN + 0.1, top, cut(text, _TEXT, _WIDTH - 2 * _MARGIN - 0.1), _TEXT)

    def _axes(self, left: float, top: float, width: float, height: float) -> Any:
        corner = left / _WIDTH, 1.0 - (top + height) / self._height
        return self.figure.add_axes((*corner, width / _WIDTH, height / self._height))

    def _text(self, left: float, top: float, text: str, size: float, colour: str = _INK) -> None:
        place = left / _WIDTH, 1.0 - top / self._height
        self.figure.text(*place, text, fontsize=size, color=colour, va="top", parse_math=False)


DPI = 100  # of the figures: letters are as wide as whole pixels make them
_POINTS = 72  # an inch
_MOST = 120  # characters of a name, however narrow they are


def inches(text: str, size: float) -> float:
    """Return how wide a line is in letters of `size` points."""
    return float(figure_font(size * DPI / _POINTS).getlength(text)) / DPI


def cut(text: str, size: float, room: float) -> str:
    """Return a line cut to `room` inches, with an ellipsis where something is left out."""
    (text,) = cut_together([text], lambda names: inches(names[0], size) <= room, 4 * _MOST)
    return text


def cut_start(text: str, size: float, room: float) -> str:
    """Return the end of a line where the whole does not fit into `room` inches, after an ellipsis."""
    if inches(text, size) <= room:
        return text
    text = text[-_MOST:]
    while text and inches(f"\N{HORIZONTAL ELLIPSIS}{text}", size) > room:
        text = text[1:].lstrip()
    return "\N{HORIZONTAL ELLIPSIS}" + text


def broken(text: str, size: float, room: float) -> list[str]:
    """Return a text as lines of at most `room` inches, broken between words; a word that is too wide is cut."""
    lines: list[str] = []
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and inches(longer, size) <= room:
            lines[-1] = longer
        else:
            lines.append(cut(word, size, room))
    return lines


def broken_within(text: str, size: float, room: float, most: int) -> str:
    """Return a text of at most `most` lines; what does not fit is left out of the last one."""
    lines = broken(text, size, room)
    if len(lines) > most:
        lines[most - 1 :] = [cut(f"{' '.join(lines[most - 1 :])}\N{HORIZONTAL ELLIPSIS}", size, room)]
    return "\n".join(lines)


def cut_together(names: Sequence[str], fits: Callable[[Sequence[str]], bool], most: int = _MOST) -> tuple[str, ...]:
    """Return names of at most `most` characters, the longest cut as little as is needed for all of them to fit.

    The shorter names are, the sooner they have to fit.
    """
    lengths = [min(len(name), most) for name in names]
    while True:
        short = tuple(shorten(name, length) for name, length in zip(names, lengths, strict=True))
        if max(lengths) <= 1 or fits(short):
            return short
        lengths[lengths.index(max(lengths))] -= 1
