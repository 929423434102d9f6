"""Explaining an image by an exported bundle, without Keras and without the run it came from."""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np

from niwt_tf.data.images.files import OneImage, upright_file
from niwt_tf.errors import InputError
from niwt_tf.explain.network_explainer import KnownClasses, check_names, check_rival, complete
from niwt_tf.explain.record import ImageExplanation
from niwt_tf.metrics.probabilities import Probabilities
from niwt_tf.serving.bundle.bundle import COLUMN_FORMULA, Bundle
from niwt_tf.serving.predict import Servable, opened


class BundleExplainer:
    """A bundle, the newest in a folder of versions, that is loaded to explain images. Close it, or use it as a context.

    Raises:
        InputError: there is no bundle, it is not as it was written, or it has no explanations.
    """

    def __init__(self, folder: str | os.PathLike[str] | Bundle) -> None:
        self.bundle = folder if isinstance(folder, Bundle) else Bundle.open(folder)
        self.known = known_classes(self.bundle)
        made = self.bundle.metadata["probabilities"]
        self._probabilities = Probabilities(float(made["temperature"]), float(made.get("abstain_below", 0.0)))
        self._opened = opened(self.bundle.folder)
        self._servable: Servable = self._opened.__enter__()
        if "explain" not in self._servable.signatures:
            self.close()
            rule = f"{self.bundle.folder} must have explanations, which are exported if the descriptions are known."
            raise InputError(f"{rule} Received: a bundle without them.")

    def close(self) -> None:
        """Let go of the graph."""
        self._opened.__exit__(None, None, None)

    def __enter__(self) -> BundleExplainer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __call__(
        self,
        image: OneImage,
        class_name: str | None = None,
        rival: str | None = None,
        arguments: tuple[str, str] = ("class_name", "rival"),
    ) -> ImageExplanation:
        """Explain one image; see `NetworkExplainer.__call__`.

        Raises:
            InputError: see there; or the bundle has no `explain_class`, and a class or rival is named.
        """
        check_names(self.known.labels, class_name, rival, arguments)
        pixels = image.taken(self.bundle.input_form)
        plain = {name: value[0] for name, value in self._servable.run("logits", {"images": pixels[None]}).items()}
        check_rival(self.known.labels, plain["logits"], class_name, rival, arguments)
        encoded = image.encoded if self.bundle.turns_photographs else upright_file(image.encoded)
        inputs = {"image_bytes": np.array([encoded], object)}
        names = {"class_name": class_name or "", "rival": rival or ""}
        signature = "explain_class"
        if signature in self._servable.signatures:
            inputs |= {name: np.array([value.encode()], object) for name, value in names.items()}
        elif any(names.values()):
            rule = f"{self.bundle.folder} must have the signature {signature} to explain a class or rival that is named."
            raise InputError(f"{rule} Received: a bundle of an earlier niwt-tf; export it again.")
        else:
            signature = "explain"
        row = {name: value[0] for name, value in self._servable.run(signature, inputs).items()}
        made = complete(row, plain["logits"], plain["features"], self._probabilities, self.known)
        return replace(made, cautions=self.bundle.cautions)


def known_classes(bundle: Bundle) -> KnownClasses:
    """Return what a bundle knows of its classes."""
    knowledge, cards = bundle.metadata.get("knowledge"), bundle.cards
    names, groups = ((), ()) if knowledge is None else (tuple(knowledge["names"]), tuple(knowledge["groups"]))
    nothing = (float("nan"),) * len(names)
    rows = [nothing if card.description is None else card.description for card in cards]
    return KnownClasses(
        labels=bundle.labels,
        is_seen=[card.seen for card in cards],
        is_described=[not card.seen and card.images == 0 for card in cards],
        descriptions=np.array(rows, np.float32),
        attribute_names=names,
        attribute_groups=groups,
        formula=None if bundle.metadata.get(COLUMN_FORMULA) is None else bundle.formula(),
    )
