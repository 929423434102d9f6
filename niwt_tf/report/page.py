"""The page itself: one HTML file that needs nothing else, laid out by the templates beside this file."""

from __future__ import annotations

import base64
import hashlib
import itertools
import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup

from niwt_tf.explain.sentences import plain, short_name
from niwt_tf.explain.words import grouped, shown_weight
from niwt_tf.report import curves
from niwt_tf.report.comparisons import MEASURES
from niwt_tf.report.contents import Estimate, ReportContents
from niwt_tf.report.summary import count, percent

MOST_CLASSES = 1500  # more rows than this make a browser slow
_MOST_CELLS = 60_000
_TEMPLATES = Path(__file__).parent / "templates"
_MINUS = "\N{MINUS SIGN}"


def render(contents: ReportContents) -> str:
    """Return the page as HTML.

    Every text that comes from data is escaped. The page asks for nothing from anywhere: its policy forbids it, and no script
    runs but its own, which the policy names by its hash.
    """
    exact = dict(zip(contents.results.class_names, contents.results.exact_names, strict=True))
    results = contents.results
    curve, calibration = results.curve, results.calibration
    error = next((row.estimate.value for row in contents.headline if row.name == "ECE"), None)
    has_images = bool(results.confusion.totals.sum())
    return framed_page(
        "report.html.j2",
        contents.title,
        {"exact": lambda name: exact.get(name, name)},
        report=contents,
        ausuc=curve and curves.ausuc_chart(curve, calibration),
        calibration=curve and curves.calibration_chart(curve, calibration),
        calibrations=curves.table_of(curve, calibration) if curve else (),
        reliability=results.reliability and curves.reliability_chart(results.reliability, error),
        confusion=curves.confusion_chart(results.confusion, results.class_names, results.num_seen) if has_images else None,
        cells=_cells(contents) if has_images else None,
        class_rows=results.classes[:MOST_CLASSES],
        many_names=len(results.class_names) > curves.MOST_NAMED,
        gallery_kinds=_gallery_kinds(contents),
        measures=MEASURES,
    )


def framed_page(template: str, title: str, filters: Mapping[str, Callable[..., Any]] | None = None, **contents: Any) -> str:
    """Return a page of one file, as HTML, by a template that extends the frame; `contents` are what the template names."""
    environment = Environment(
        loader=PackageLoader("niwt_tf.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    own = (percent, interval, figure, plain, grouped, count, breakable, signed)
    environment.filters |= {function.__name__: function for function in own} | {"short": short_name} | dict(filters or {})
    script, style = ((_TEMPLATES / name).read_text(encoding="utf-8") for name in ("report.js", "report.css"))
    page = environment.get_template(template).render(
        title=title, style=Markup(style), script=Markup(script), policy=_policy(script), **contents
    )
    # A file's name may have bytes that are no letters in UTF-8.
    return page.encode("utf-8", "backslashreplace").decode("utf-8")


def page_sources() -> list[Path]:
    """Return the templates, style and script that every page is made with."""
    return sorted(_TEMPLATES.iterdir())


def interval(estimate: Estimate) -> str:
    """Return the interval of a fraction in percent, "" where there is none."""
    if estimate.low is None or estimate.high is None:
        return ""
    return f"{100 * estimate.low:.1f} to {100 * estimate.high:.1f}"


def figure(value: float | None, digits: int = 3) -> str:
    """Return a number with so many decimals, "n/a" for what is unknown."""
    return "n/a" if value is None or math.isnan(value) else f"{value:.{digits}f}".replace("-", _MINUS)


def signed(weight: float) -> str:
    """Return a weight as `shown_weight` does, with the sign that is as wide as a plus; that of an exponent stays."""
    return re.sub("^-", _MINUS, shown_weight(weight))


def breakable(path: str) -> Markup:
    """Return a path that may be broken after a slash or an underscore."""
    return Markup("").join(part + Markup("<wbr>") if part in "/_" else part for part in re.split("([/_])", path) if part)


def _policy(script: str) -> str:
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    allowed = f"img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    return f"default-src 'none'; {allowed}; base-uri 'none'; form-action 'none'"


def _cells(contents: ReportContents) -> Markup | None:
    """Return what the script needs to name the cell of the matrix that is under the pointer, as JSON; None if too much."""
    results, confusion = contents.results, contents.results.confusion
    if len(confusion.counts) > _MOST_CELLS:
        return None
    margin, size = curves.geometry(results.class_names)
    cells = [confusion.true.tolist(), confusion.predicted.tolist(), confusion.counts.tolist()]
    record = {"margin": margin, "size": size, "names": results.class_names, "totals": confusion.totals.tolist(), "cells": cells}
    return htmlsafe_json_dumps(record, separators=(",", ":"))


def _gallery_kinds(contents: ReportContents) -> Sequence[tuple[str, str, int]]:
    """Return key, label and number of each kind of gallery entry that there is."""
    kinds = itertools.product(((False, "unseen"), (True, "seen")), ((True, "right"), (False, "wrong")))
    numbers = Counter((each.true_seen, each.right) for each in contents.gallery)
    counted = [(role, outcome, numbers[seen, right]) for (seen, role), (right, outcome) in kinds]
    return [(f"{role}-{outcome}", f"{role}, {outcome}", number) for role, outcome, number in counted if number]
