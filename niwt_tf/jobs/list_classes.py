"""`niwt list_classes`: the class cards of an exported network. TensorFlow is not imported."""

from __future__ import annotations

import json
import sys

from absl import flags

from niwt_tf.jobs.app import run_job
from niwt_tf.jobs.changed_bundle import bundle_folder
from niwt_tf.serving.bundle import Bundle
from niwt_tf.serving.cards import Card, cards_to_json

_COLUMNS = ("class", "trained on photographs", "photographs", "source", "made", "how")


def main(argv: list[str]) -> None:
    """Print every card of --bundle in the order of the logits.

    Raises:
        InputError: there is no bundle, or it is not as it was written.
    """
    del argv
    bundle = Bundle.open(bundle_folder())
    if flags.FLAGS.format == "json":
        value = {"bundle": str(bundle.folder), "classes": cards_to_json(bundle.cards)}
        print(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))
        return
    rows = [_COLUMNS, *(_row(card) for card in bundle.cards)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS) - 1)]
    for row in rows:
        print("  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]]).rstrip())
    print(f"{len(bundle.cards)} classes in {bundle.folder}")


def _row(card: Card) -> tuple[str, ...]:
    return card.name, "yes" if card.seen else "no", str(card.images), " ".join(card.source.split()), card.made, card.how


if __name__ == "__main__":
    sys.exit(run_job("list_classes", main=main))
