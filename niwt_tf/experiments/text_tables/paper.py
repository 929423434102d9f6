"""Tables 2 to 6 and section 5.3 of "Language to Network" (Jin, Liu et al., ACL 2020), row by row.

Rows are data: what the paper calls each, the settings that run it, and the paper's figures. What stands for what is not at hand
is said in a row's note: ResNet50 for ResNet-18, which keras.applications lacks; MiniLM for BERT; texts of one's own for those
that the authors took from Wikipedia.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from niwt_tf.config.names import N3, READING

SOURCE = 'Jin, Liu et al., "Language to Network", ACL 2020'
OWN, OTHERS = N3, READING
STANDS_FOR = (
    "In every row MiniLM replaces BERT, your own texts replace those from Wikipedia, and the form for which the order of the "
    "classes does not matter (--n3_form=equivariant) replaces that of the paper. The unit of mu is a weight's root mean square."
)
# --table, what it compares, and the data sets that have rows of it; drawn birds are no data set of the paper's.
TABLES = {
    "n3_2": ("methods on four data sets (Table 2)", ("cub", "awa2", "nabirds", "flowers")),
    "n3_3": ("weights of the base and of its adaptation (Table 3)", ("cub", "birds")),
    "n3_4": ("embeddings of words (Table 4)", ("cub", "birds")),
    "n3_5": ("base networks (Table 5)", ("cub", "birds")),
    "n3_6": ("the split of PDCNN's paper (Table 6)", ("cub", "flowers")),
    "n3_adapt": ("all layers or only the head (section 5.3)", ("cub", "birds")),
}
_PHOTOGRAPHS: dict[str, Any] = {
    "knowledge": "texts", "text_features": "encoder", "backbone": "resnet50", "weights": "imagenet", "finetune": "head",
    "method": OWN, "n3_adapt": "all", "n3_adapt_if_better": False, "text_pooling": ("max",), "num_folds": 1,
}
# Those of flags/birds200_n3.flags.
_DRAWN: dict[str, Any] = {
    "num_unseen": 25, "knowledge": "captions", "text_features": "encoder", "backbone": "small_vgg", "weights": "none",
    "finetune": "all", "epochs": 16, "batch_size": 64, "num_folds": 1, "validation_classes": 25, "method": OWN,
    "n3_adapt_if_better": False, "text_pooling": ("max",),
}
# Classes of validation and test (Table 1), as many as are told apart.
_WAYS = {"cub": 50, "awa2": 10, "nabirds": 40, "flowers": 10}
# Of the whole data set (Table 1); Table 6 has all of Oxford Flowers.
_CLASSES = {"cub": 200, "awa2": 50, "nabirds": 404, "flowers": 55}
_ALL_FLOWERS = 102
_RESNET = "ResNet50 for ResNet-18"
_DRAWN_BIRDS = "drawn birds; the paper's figure is for CUB"


@dataclass(frozen=True, eq=False)
class TextRow:
    """A row of a table.

    Attributes:
        table: a key of `TABLES`.
        name: of its folder.
        title: what the paper calls it.
        settings: of its run; everything else is at its default.
        paper: accuracy in percent by method, the row's own and those that `niwt baseline` scores in its run.
        note: what stands for what.
        paper_precision: average precision in percent by method; only Table 6 has it.
    """

    table: str
    name: str
    title: str
    settings: Mapping[str, Any]
    paper: Mapping[str, float] = field(default_factory=dict)
    note: str = ""
    paper_precision: Mapping[str, float] = field(default_factory=dict)

    @property
    def others(self) -> tuple[str, ...]:
        """The methods beside its own."""
        return OTHERS if self.table in ("n3_2", "n3_6") else ()

    @property
    def classes(self) -> int | None:
        """How many classes the paper's data set has, or None where it has none of the kind."""
        dataset = str(self.settings["dataset"])
        return _ALL_FLOWERS if (self.table, dataset) == ("n3_6", "flowers") else _CLASSES.get(dataset)

    @property
    def split(self) -> str:
        """The paper's split, "ss" or "ps", though its classes may have to be drawn; or "random"."""
        return self.name.rpartition("_")[2] if self.table == "n3_2" else str(self.settings.get("split", "random"))

    @property
    def comparable(self) -> bool:
        """Whether the paper's figure is of the row's data set: a difference to one of another says nothing."""
        return bool(self.settings["dataset"] != "birds")


def rows_of(table: str, dataset: str) -> list[TextRow]:
    """Return the rows that a table has of a data set, in the paper's order."""
    return {
        "n3_2": _methods, "n3_3": _weights, "n3_4": _embeddings, "n3_5": _bases, "n3_6": _other_split, "n3_adapt": _adapted
    }[table](dataset)


def _base(dataset: str, adapt: str = "all") -> dict[str, Any]:
    """Return what the ablations of a data set have in common: CUB's Standard Split with 50 classes, or the drawn birds."""
    if dataset == "birds":
        return {"dataset": dataset, **_DRAWN, "n3_adapt": adapt}
    way = _WAYS[dataset]
    return {"dataset": dataset, "split": "ss", **_PHOTOGRAPHS, "validation_classes": way, "n3_way": way, "n3_adapt": adapt}


def _figures(*values: float | None) -> dict[str, float]:
    return {name: value for name, value in zip((OWN, *OTHERS), values, strict=False) if value is not None}


# As printed: N3, PDCNN_FC, PDCNN_FC+CONV, MEGAZSL on the Standard and on the Proposed Split.
_TABLE_2 = {
    "cub": {"ss": (17.6, 6.1, 7.5, 2.9), "ps": (9.5, 6.1, 6.5, 1.8)},
    "awa2": {"ss": (34.0, 12.8, 22.6, 14.0), "ps": (37.5, 18.4, 17.2, 10.4)},
    "nabirds": {"ss": (14.1, 6.7, 8.9, 2.8), "ps": (20.7, 7.4, 5.6, 3.7)},
    "flowers": {"ss": (16.4, 13.1, 7.7, 10.3), "ps": (17.6, 11.9, 13.6, 12.3)},
}


def _methods(dataset: str) -> list[TextRow]:
    way = _WAYS[dataset]
    made = []
    for split, figures in _TABLE_2[dataset].items():
        published = dataset in ("cub", "awa2")
        own = {"split": split} if published else {"split": "random", "num_unseen": way}
        note = (
            _RESNET if published else
            f"{_RESNET}; the classes of {split.upper()} are not available, so {way} classes are drawn"
        )
        settings = {**_base(dataset), **own, **({} if split == "ss" or published else {"seed": 1})}
        title = f"{dataset}-{way} {split.upper()}"
        made.append(TextRow("n3_2", f"{dataset}_{split}", title, settings, _figures(*figures), note))
    return made


_TABLE_3 = {(0.999, 0.001): 16.2, (0.99, 0.01): 18.5, (0.9, 0.1): 16.2, (0.5, 0.5): 6.2, (0.1, 0.9): 2.1, (0.01, 0.99): 2.3}


def _weights(dataset: str) -> list[TextRow]:
    note = _DRAWN_BIRDS if dataset == "birds" else _RESNET
    return [
        TextRow(
            "n3_3", f"{dataset}_gamma_{gamma:g}", f"gamma {gamma:g}, mu {mu:g} at first",
            {**_base(dataset), "n3_gamma": gamma, "n3_mu": mu}, _figures(figure), note
        )
        for (gamma, mu), figure in _TABLE_3.items()
    ]


def _embeddings(dataset: str) -> list[TextRow]:
    base, note = _base(dataset, "head" if dataset == "birds" else "all"), _DRAWN_BIRDS if dataset == "birds" else ""
    listed = (
        ("encoder", "BERT", "encoder", 17.6, "MiniLM for BERT"),
        ("words", "only its word table", "encoder_words", None, "no such row in the paper"),
        ("vectors", "GloVe", "vectors:", 8.9, "the word vectors of --text_features=vectors:FILE"),
        ("random", "random vectors", "random", None, "no such row; words with random vectors"),
    )
    return [
        TextRow(
            "n3_4", f"{dataset}_{name}", title, {**base, "text_features": features}, _figures(figure),
            "; ".join(filter(None, [remark, note]))
        )
        for name, title, features, figure, remark in listed
    ]


# ELMo has no row of ours: its weights are not available as Keras reads them.
NOT_TO_BE_HAD = {"n3_4": {"ELMo (paragraph)": 4.1, "ELMo (sentence)": 5.0}, "n3_6": {"CUB-2010": 33.9}}


def _bases(dataset: str) -> list[TextRow]:
    listed: list[tuple[str, str, float | None, str]]
    if dataset == "birds":
        none = "no such row in the paper"
        listed = [("small_vgg", "small VGG", None, none), ("mobilenet_v2", "MobileNetV2", None, none)]
        more: dict[str, Any] = {"input_size": 64}
    else:
        listed = [
            ("efficientnet_v2_b0", "GoogLeNet", 21.3, "EfficientNetV2-B0 for GoogLeNet"),
            ("resnet50", "ResNet-18", 17.6, _RESNET),
            ("mobilenet_v2", "SqueezeNet 1.1", 17.7, "MobileNetV2 for SqueezeNet"),
        ]
        more = {}
    base = {**_base(dataset, "head" if dataset == "birds" else "all"), **more}
    return [
        TextRow("n3_5", f"{dataset}_{backbone}", title, {**base, "backbone": backbone}, _figures(figure), note)
        for backbone, title, figure, note in listed
    ]


# Average precision of N3, PDCNN_FC and PDCNN_FC+CONV, which is all that Table 6 has of the latter two.
_PRECISION = {"cub": (27.0, 11.0, 13.0), "flowers": (16.0, 7.0, 6.7)}


def _other_split(dataset: str) -> list[TextRow]:
    unseen, figure = {"cub": (40, 32.6), "flowers": (20, 10.4)}[dataset]
    settings = {**_base(dataset), "split": "random", "num_unseen": unseen, "validation_classes": unseen, "n3_way": unseen}
    title = {"cub": "CUB-2011", "flowers": "Oxford Flowers"}[dataset]
    note = f"{_RESNET}; {unseen} classes are drawn, as in the paper"
    return [
        TextRow("n3_6", f"{dataset}_{unseen}", title, settings, _figures(figure), note, _figures(*_PRECISION[dataset]))
    ]


def _adapted(dataset: str) -> list[TextRow]:
    note = _DRAWN_BIRDS if dataset == "birds" else _RESNET
    titles = {"all": "every layer", "film": "factors and shifts of channels", "head": "the head alone"}
    figures = {"all": 17.6}
    return [
        TextRow("n3_adapt", f"{dataset}_{adapt}", title, _base(dataset, adapt), _figures(figures.get(adapt)), note)
        for adapt, title in titles.items()
    ]
