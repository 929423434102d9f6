"""Whether the words that N3's networks rest on are the words that matter: a table of measures with 95 % bootstrap intervals.

python studies/evidence.py --run=runs/birds_n3 --images=100

Of a finished run of a method that reads texts, whose data set has named attributes. The network of the unseen classes alone is
written, and images of these are explained: the most probable class against the next. How many of the top five words of the
class's text are values of attributes (colours, shapes) is told beside how many of all its words are; how far the margin falls
without the top eight tokens beside eight at random. Texts are all those of a class, and then one of each, as in an episode of
the training. Intervals are drawn over classes. Nothing is written into the run.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from niwt_tf.data.images.pipeline import image_batches
from niwt_tf.data.schema import Dataset, Images, descriptions_of
from niwt_tf.jobs.synthesize import writer_of
from niwt_tf.methods.n3.evidence import EvidenceReader, ReadClasses
from niwt_tf.methods.text_evidence import ClassEvidence
from niwt_tf.methods.token_table import TokenTable
from niwt_tf.metrics.intervals import Figure, bootstrapped
from studies.text_runs import data_of, unseen_images

DELETED, TOP, GOAL = 8, 5, 3
_DRAWS = 5
BY = {"for": "gradient . token", "size": "the length of the gradient", "loss": "that of the loss, as in the paper"}


@dataclass(frozen=True)
class MarginFall:
    """How far the margin of one image falls without some tokens.

    Attributes:
        before: the margin with all of them.
        top: without those that speak most for the class.
        chance: without as many at random, the mean over several draws.
    """

    before: float
    top: float
    chance: float


def margin_fall(
    reader: EvidenceReader, given: np.ndarray, table: TokenTable, classes: ReadClasses, own: int, rival: int,
    rng: np.random.Generator, *, count: int = 8, of_all: bool = False
) -> MarginFall:
    """Return how far the margin falls when `count` tokens are deleted.

    A token is deleted by masking it: the others keep the vectors that the encoder gave them.

    Args:
        reader: of the generator.
        given: one image, see `EvidenceReader.given`.
        table: the texts of the K classes.
        classes: what `reader.read` gives for the table.
        own: the class that is explained.
        rival: what it is compared with.
        rng: draws the random tokens.
        count: how many are deleted; never the last one of the texts that they are taken from.
        of_all: take them from the texts of all classes, by default from the own class's alone.
    """
    gradients = reader.by_classes(given, classes, own, rival)
    places = list(range(len(table))) if of_all else [own]
    found = reader.by_tokens(table.take(places), places, gradients)
    there = [np.argwhere(table.valid[place]) for place in places]
    tokens = np.concatenate([np.insert(at, 0, place, axis=1) for place, at in zip(places, there, strict=True)])
    weights = np.concatenate([each.weights[tuple(at.T)] for each, at in zip(found, there, strict=True)])
    taken = min(count, len(tokens) - 1)

    def fall(chosen: np.ndarray) -> float:
        touched = sorted(set(tokens[chosen, 0].tolist()))
        valid = table.valid[touched].copy()
        rows = [touched.index(place) for place in tokens[chosen, 0]]
        valid[rows, tokens[chosen, 1], tokens[chosen, 2]] = False
        read = reader.read(table.take(touched), valid)
        embedded, pooled = classes.embedded.copy(), classes.pooled.copy()
        embedded[touched], pooled[touched] = read.embedded, read.pooled
        logits = reader.logits(given, ReadClasses(embedded, pooled))[0]
        return gradients.margin - float(logits[own] - logits[rival])

    chance = [fall(rng.choice(len(tokens), taken, replace=False)) for _ in range(_DRAWS)]
    return MarginFall(gradients.margin, fall(np.argsort(-weights, kind="stable")[:taken]), float(np.mean(chance)))


def first_variants(table: TokenTable) -> TokenTable:
    """Return the table with the first text of each class alone, as an episode of the training reads one of each."""
    return replace(
        table, values=table.values[:, :1], valid=table.valid[:, :1], texts=tuple(each[:1] for each in table.texts),
        words=tuple(each[:1] for each in table.words), spans=tuple(each[:1] for each in table.spans)
    )


def value_share(evidence: ClassEvidence, values: Collection[str], by: str = "for", count: int = TOP) -> tuple[float, float]:
    """Return which share of the top words of a text are words of a set, and which share of all its words: the base rate.

    Args:
        evidence: the words of a text.
        values: the set, in lower case, for instance colours and shapes.
        by: "for" ranks by what speaks for the class, "size" by the length of the gradient of the margin, "loss" of the loss.
        count: how many are the top ones.

    Returns:
        The two shares; NaN where there is no top word.
    """
    top = evidence.top(count) if by == "for" else evidence.largest(count, loss=by == "loss")
    return _share([word.word for word in top], values), _share(evidence.words, values)


def _share(words: Sequence[str], values: Collection[str]) -> float:
    return float(np.mean([word.casefold() in values for word in words])) if words else float("nan")


def value_words(dataset: Dataset) -> set[str]:
    """Return the words of the values of a data set's attributes: "red" of "has_wing_color::red"."""
    values = [name.partition("::")[2] for name in dataset.knowledge.names]
    return {word for value in values for word in value.casefold().replace("_", " ").split()}


def measured(
    reader: EvidenceReader, table: TokenTable, images: Images, values: set[str], seed: int
) -> dict[str, np.ndarray]:
    """Return every measure of every image, [M] each."""
    rng, classes = np.random.default_rng(seed), reader.read(table)
    rows: dict[str, list[float]] = {}
    batch = next(iter(image_batches(images, reader.generator.network.input_form, len(images))))
    for given in reader.given(np.asarray(batch[0])):
        logits = reader.logits(given[None], classes)[0]
        rival, own = (int(place) for place in np.argsort(logits)[-2:])
        gradients = reader.by_classes(given[None], classes, own, rival)
        (evidence,) = reader.of_words(table.take([own]), [own], gradients)
        for by in BY:
            share, base = value_share(evidence, values, by, TOP)
            rows.setdefault(by, []).append(share)
            rows.setdefault("base", []).append(base)
        del rows["base"][len(rows["for"]) :]
        for scope, of_all in (("own", False), ("all", True)):
            fall = margin_fall(reader, given[None], table, classes, own, rival, rng, count=DELETED, of_all=of_all)
            rows.setdefault("margin", []).append(fall.before)
            rows.setdefault(f"{scope}_top", []).append(fall.top)
            rows.setdefault(f"{scope}_chance", []).append(fall.chance)
        del rows["margin"][len(rows["for"]) :]
    return {name: np.array(each) for name, each in rows.items()}


def figures(rows: dict[str, np.ndarray], classes: np.ndarray, seed: int) -> dict[str, Figure]:
    """Return means over the images with intervals over the classes, and how far falls are beyond `GOAL` times those by chance.

    Falls by chance are about 0, so a ratio of the two says nothing.
    """
    def mean(name: str) -> Figure:
        return bootstrapped(lambda at: float(np.nanmean(rows[name][at])), classes, seed=seed)

    rows = {**rows, **{f"{scope}_beyond": rows[f"{scope}_top"] - GOAL * rows[f"{scope}_chance"] for scope in ("own", "all")}}
    return {name: mean(name) for name in rows}


def table_of(results: dict[str, dict[str, Figure]]) -> str:
    """Return the figures as Markdown, a column for each way to read the texts."""
    names = {
        **{by: f"value words among the top {TOP} of the class's text, by {how}" for by, how in BY.items()},
        "base": "value words among all its words", "margin": "margin",
        "own_top": f"fall without the top {DELETED} tokens of its text",
        "own_chance": f"fall without {DELETED} random ones of it",
        "own_beyond": f"what the fall is beyond {GOAL} times that", "all_top": f"fall without the top {DELETED} of all texts",
        "all_chance": f"fall without {DELETED} random ones of them", "all_beyond": f"what the fall is beyond {GOAL} times that",
    }
    lines = [f"| | {' | '.join(results)} |", "|---" * (1 + len(results)) + "|"]
    for name, title in names.items():
        lines.append(f"| {title} | {' | '.join(_cell(each[name]) for each in results.values())} |")
    return "\n".join(lines)


def _cell(figure: Figure) -> str:
    interval = f" ({figure['low']:.3f} to {figure['high']:.3f})" if "low" in figure else ""
    return f"{figure['value']:.3f}{interval}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line and print the table, and with --out write what it is made of as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="a finished run")
    parser.add_argument("--data_dir", default=None, help="its data, where they are elsewhere now")
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=None, help="a JSON file")
    asked = parser.parse_args(arguments)
    writer = writer_of(asked.run)
    dataset = data_of(asked.run, asked.data_dir)
    assert dataset.split is not None
    images, _ = unseen_images(dataset, asked.images, asked.seed)
    reader = EvidenceReader(writer.chosen.generator)  # type: ignore[arg-type]
    table = reader.generator.table(descriptions_of(dataset).take(dataset.split.unseen))
    results = {
        name: figures(measured(reader, each, images, value_words(dataset), asked.seed), images.labels, asked.seed)
        for name, each in (("all texts of a class", table), ("one text of a class", first_variants(table)))
    }
    print(f"{len(images)} images of {len(table)} classes, 95 % bootstrap intervals over classes\n\n{table_of(results)}")
    if asked.out is not None:
        asked.out.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
