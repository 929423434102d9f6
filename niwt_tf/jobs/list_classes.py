"""`niwt list_classes`: the class cards of an exported network. TensorFlow is not imported."""

from __future__ import annotations

import json
import sys

from absl import flags

from niwt_tf.jobs.app import run_job
from niwt_tf.jobs.changed_bundle import bundle_folder
from niwt_tf.jobs.terminal_text import padded, shown, width
from niwt_tf.serving.bundle.bundle import Bundle
from niwt_tf.serving.bundle.cards import Card, cards_to_json

_COLUMNS = ("class", "trained on photographs", "photographs", "source", "made", "how")


def main(argv: list[str]) -> None:
    """Print every card of --bundle in the order of the logits.

    Raises:
        InputError: there is no bundle, or it is not as it was written.
    """
    del argv
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal that cannot show every letter
    bundle = Bundle.open(bundle_folder())
    if flags.FLAGS.format == "json":
        value = {"bundle": str(bundle.folder), "classes": cards_to_json(bundle.cards)}
        print(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))
        return
    rows = [_COLUMNS, *(_row(card) for card in bundle.cards)]
    widths = [max(width(row[column]) for row in rows) for column in range(len(_COLUMNS) - 1)]
    for row in rows:
        print("  ".join([*(padded(cell, columns) for cell, columns in zip(row, widths, strict=False)), row[-1]]).rstrip())
    print(f"{len(bundle.cards)} classes in {shown(str(bundle.folder))}")


def _row(card: Card) -> tuple[str, ...]:
    """Return what the table has of a card; whoever wrote the bundle chose its texts, so the terminal must not obey them."""
    source = " ".join(card.source.split())
    cells = (card.name, "yes" if card.seen else "no", str(card.images), source, card.made, card.how)
    return tuple(shown(cell) for cell in cells)


if __name__ == "__main__":
    sys.exit(run_job("list_classes", main=main))
