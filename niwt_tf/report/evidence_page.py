"""A page of the sentences that a written network's answer rests on, their words shaded: one HTML file that needs no other."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from niwt_tf.explain.words import shown_weight
from niwt_tf.methods.text_evidence import ClassEvidence, TextEvidence

_FOR, _AGAINST = "0, 114, 178", "213, 94, 0"  # told apart by colour-blind readers
_DARKEST, _FAINTEST = 0.75, 0.02
_SENTENCES = 8
_STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.6 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem; }
body { color: #111; background: #fff; }
h1 { font-size: 1.3rem; } h2 { font-size: 1.05rem; margin-top: 1.6rem; } p { margin: .3rem 0; overflow-wrap: anywhere; }
mark { color: inherit; border-radius: .2rem; padding: 0 .1rem; }
"""


def evidence_page(evidence: TextEvidence, image: str) -> str:
    """Return the page of an image of that name.

    Of every class whose text was read, the sentences that say most are shown, once each, in the order of the text. Blue speaks
    for the class that is explained and orange against it, the darker the more; the weight is the title of a word.
    """
    largest = max((float(abs(each.weights).max(initial=0.0)) for each in evidence.classes), default=0.0)
    title = f"{evidence.own}, and not {evidence.rival}"
    parts = [
        "<!doctype html>", '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>",
        f"<h1>{escape(image)}: {escape(title)}</h1>",
        f'<p><mark style="background: rgba({_FOR}, .5)">Blue</mark> words support {escape(evidence.own)}, '
        f'<mark style="background: rgba({_AGAINST}, .5)">orange</mark> words count against it. It does not matter which class '
        f"their text describes. The margin is {shown_weight(evidence.margin)}. The weight of a word is what the margin would "
        "lose without the word (to first order).</p>",
    ]
    for each in evidence.classes:
        role = {evidence.own: " (explained)", evidence.rival: " (its rival)"}.get(each.name, "")
        parts.append(f"<h2>{escape(each.name)}{role}</h2>")
        parts += [f"<p>{''.join(_shaded(each, span, largest))}</p>" for span in _shown(each)]
    return "\n".join([*parts, "</body></html>", ""])


def _shown(said: ClassEvidence) -> list[tuple[int, int]]:
    """Return where the sentences are that say most, each once."""
    strength: dict[str, tuple[float, tuple[int, int]]] = {}
    for begin, end in said.sentence_spans:
        words = zip(said.spans, said.weights.tolist(), strict=True)
        total = sum(abs(weight) for (first, _), weight in words if begin <= first < end)
        key = said.text[begin:end]
        if key not in strength or total > strength[key][0]:
            strength[key] = total, (begin, end)
    return sorted(span for _, span in sorted(strength.values(), key=lambda pair: -pair[0])[:_SENTENCES])


def _shaded(said: ClassEvidence, span: tuple[int, int], largest: float) -> Iterator[str]:
    begin, end = span
    at = begin
    for (first, last), weight in sorted(zip(said.spans, said.weights.tolist(), strict=True)):
        depth = abs(weight) / largest if largest else 0.0
        if not begin <= first < end or first < at or last <= first or depth < _FAINTEST:
            continue
        yield escape(said.text[at:first])
        colour = f"rgba({_FOR if weight > 0 else _AGAINST}, {_DARKEST * depth:.2f})"
        yield f'<mark style="background: {colour}" title="{shown_weight(weight)}">{escape(said.text[first:last])}</mark>'
        at = last
    yield escape(said.text[at:end])
