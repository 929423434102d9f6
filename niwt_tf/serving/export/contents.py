"""What an export holds besides the network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from niwt_tf.config.names import DEFAULT_METHOD
from niwt_tf.data.schema import Knowledge
from niwt_tf.errors import InputError
from niwt_tf.explain.explainer import Explainer
from niwt_tf.methods.few_shot import FewShotPrior
from niwt_tf.methods.formula import ColumnFormula
from niwt_tf.metrics.probabilities import Probabilities
from niwt_tf.protocol.saved_model import SavedModel
from niwt_tf.serving.bundle.cards import Card, now


@dataclass(frozen=True)
class Contents:
    """What an export can hold besides the network; each part is optional.

    Knowledge is the classes' descriptions, in the order of the network's classes; probabilities say how logits become scores.
    The formula gives later classes their columns, and the signature `classify_with`, the explainer the signature `explain`;
    later photographs of an unseen class are weighed with `few_shot`. The cards get the numbers of `images` of each class that
    the network was trained on, [C], and, those of unseen classes, figures on `validation` classes by name and `how` their
    columns were made. The method is the one that made them, and that knows the formula again. Texts go to the cards of a
    network that was written from them, and its writer, the method as it was fitted, beside it, so that it can be written anew.
    """

    knowledge: Knowledge | None = None
    probabilities: Probabilities = field(default_factory=Probabilities)
    formula: ColumnFormula | None = None
    explainer: Explainer | None = None
    few_shot: FewShotPrior | None = None
    images: Sequence[int] | None = None
    validation: Mapping[str, float] = field(default_factory=dict)
    how: str = "from its description"
    method: str = DEFAULT_METHOD
    texts: Sequence[str] = ()
    writer: SavedModel | None = None

    def cards(self, names: Sequence[str], num_seen: int) -> tuple[Card, ...]:
        """Return the cards of the network's classes `names`, the first `num_seen` of them seen."""
        made, known = now(), self.knowledge
        return tuple(
            Card(
                name=name,
                text=self.texts[c] if self.texts else "",
                # The shortest text that is read back as the same float32, not that of its double.
                description=None if known is None else tuple(float(str(value)) for value in known.values[c]),
                source="" if known is None else known.source,
                seen=c < num_seen,
                made=made,
                how="trained on photographs" if c < num_seen else self.how,
                images=0 if self.images is None else int(self.images[c]),
                validation={} if c < num_seen else dict(self.validation),
            )
            for c, name in enumerate(names)
        )

    def extra_arrays(self) -> dict[str, dict[str, np.ndarray]]:
        """Return what goes to assets.extra/<name>.npz, by name."""
        words = None if self.knowledge is None else self.knowledge.words
        parts = {"few_shot": self.few_shot, "words": words}
        arrays = {name: part.arrays() for name, part in parts.items() if part is not None}
        return {name: each for name, each in arrays.items() if each is not None}

    def check(self, num_classes: int) -> None:
        """Check that the parts fit a network of so many classes and each other.

        Raises:
            InputError: they do not.
        """
        known = self.knowledge
        if known is not None and known.values.shape != (num_classes, len(known.names)):
            expected = f"[{num_classes}, {len(known.names)}]"
            raise InputError(f"knowledge.values must be {expected}. Received: shape {known.values.shape}.")
        if self.formula is not None and known is None:
            raise InputError("knowledge must be given with a formula, whose descriptions it names. Received: none.")
