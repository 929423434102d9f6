"""Table 1 of the paper (Selvaraju et al., "Choose Your Neuron", ECCV 2018, arXiv 1808.02861), row by row.

Rows are data: what the paper calls each, the settings that run it, and the paper's figures where they are at hand.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

SOURCE = "Selvaraju et al., ECCV 2018 (arXiv 1808.02861), Table 1"


@dataclass(frozen=True)
class Figures:
    """Generalised zero-shot accuracies in percent, with one decimal as published."""

    acc_unseen: float
    acc_seen: float
    harmonic_mean: float


@dataclass(frozen=True)
class PaperRow:
    """A row of Table 1, and the paper's figures, or None where they are not at hand or the paper has no such row.

    The paper calls finetune "head" fixed and "all" fine-tuned. AwA2 has no published captions: there a text a class takes their
    place.
    """

    dataset: str
    backbone: str
    finetune: str
    knowledge: str
    paper: Figures | None = None

    @property
    def name(self) -> str:
        """The name of its flagfile and of its folder."""
        return f"{self.dataset}_{self.backbone}_{self.knowledge}_{self.finetune}"

    @property
    def in_paper(self) -> bool:
        """Whether the paper has this row."""
        return self.dataset == "cub" or self.knowledge == "attributes"

    @property
    def settings(self) -> dict[str, Any]:
        """What its flagfile in flags/ sets; everything else is at its default."""
        fine_tuned = {"num_folds": 1, "finetune_learning_rate": 1e-5}
        return {
            "dataset": self.dataset,
            "split": "ps",
            "knowledge": "attributes" if self.knowledge == "attributes" else _TEXTS[self.dataset],
            "backbone": self.backbone,
            "weights": "imagenet",
            "finetune": self.finetune,
            **(fine_tuned if self.finetune == "all" else {"num_folds": 3}),
            **({"num_support": 128} if self.backbone == "vgg16" else {}),
        }


_TEXTS = {"cub": "captions", "awa2": "texts"}
_PUBLISHED = {
    ("cub", "vgg16", "all", "attributes"): Figures(31.5, 44.9, 37.0),
    ("cub", "resnet101", "all", "attributes"): Figures(20.7, 41.8, 27.7),
    ("awa2", "vgg16", "all", "attributes"): Figures(35.3, 75.5, 48.1),
    ("awa2", "resnet101", "all", "attributes"): Figures(42.3, 38.8, 40.5),
}
_COLUMNS = (("cub", "awa2"), ("vgg16", "resnet101"), ("head", "all"), ("attributes", "captions"))
TABLE_1 = tuple(PaperRow(*keys, paper=_PUBLISHED.get(keys)) for keys in itertools.product(*_COLUMNS))
