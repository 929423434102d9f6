"""The parameters of `Niwt`: the settings that are not about data, in scikit-learn's manner; and the rules of its arguments.

What each parameter does is written down once, where the settings are declared; `documented` has `help` say it.
"""

from __future__ import annotations

import os
import textwrap
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import keras
from sklearn.base import BaseEstimator

from niwt_tf.config.names import DEFAULT_METHOD
from niwt_tf.config.options import Option
from niwt_tf.config.settings import ADDED_NAMES, SETTINGS, Settings
from niwt_tf.errors import InputError, brief
from niwt_tf.models.given import GIVEN, written_model

DATA_SETTINGS = frozenset(
    (
        *("dataset", "data_dir", "split", "unseen", "num_unseen"),
        *("knowledge", "missing_images", "max_bad_images"),
    )
)
PARAMETERS = {each.name: each.default for each in SETTINGS if each.name not in DATA_SETTINGS | ADDED_NAMES}
T = TypeVar("T", bound=type)
_OTHERS = {
    "head": "The former name of `method`.",
    "verbose": "Show progress bars.",
}
_WIDTH = 112


def documented(described: T) -> T:
    """Give a class's docstring an entry for each parameter, with its rule and default."""
    said = [(each.name, f"{each.help} {_rule(each)}Default: {each.default!r}.") for each in SETTINGS if each.name in PARAMETERS]
    entries = [
        textwrap.fill(f"{name}: {text}", _WIDTH, initial_indent=" " * 8, subsequent_indent=" " * 12)
        for name, text in (*said, *_OTHERS.items())
    ]
    described.__doc__ = "\n".join([(described.__doc__ or "").rstrip(), "", "    Args:", *entries, "    "])
    return described


def _rule(option: Option) -> str:
    return f"One of {', '.join(option.choices)}{' or a path' if option.path else ''}. " if option.choices else ""


class Parameters(BaseEstimator):
    """An estimator whose parameters are settings."""

    verbose: bool

    def __init__(
        self,
        backbone: Any = "small_vgg",
        layer: str | None = None,
        seed: int = 0,
        *,
        preprocessing: str = "auto",
        weights: str = "none",
        input_size: int | None = None,
        resize: str = "squash",
        finetune: str = "all",
        epochs: int | None = None,
        batch_size: int = 32,
        learning_rate: float = 1e-3,
        finetune_learning_rate: float = 1e-5,
        weight_decay: float = 5e-4,
        dropout: float = 0.5,
        attribute_loss: float = 0.0,
        patience: int = 5,
        method: str = DEFAULT_METHOD,
        text_features: str = "lsa",
        head: str | None = None,
        seen_head: str | tuple[str, ...] = PARAMETERS["seen_head"],
        head_regularization: tuple[float, ...] = PARAMETERS["head_regularization"],
        lda_shrinkage: tuple[float, ...] = PARAMETERS["lda_shrinkage"],
        importance_over: str = "shared",
        map: str = "auto",  # noqa: A002  the command line's name
        map_regularization: tuple[float, ...] = PARAMETERS["map_regularization"],
        normalisation: str = "centred",
        support: str = "seen",
        num_support: int = 96,
        engine: str | tuple[str, ...] = PARAMETERS["engine"],
        regularizer: str = "norm",
        transfer_anchor: str | tuple[str, ...] = PARAMETERS["transfer_anchor"],
        transfer_lambda: tuple[float, ...] = PARAMETERS["transfer_lambda"],
        transfer_learning_rate: tuple[float, ...] = PARAMETERS["transfer_learning_rate"],
        transfer_batch_size: int = 64,
        transfer_steps: int = 300,
        column_scale: str = "matched",
        n3_form: str = "equivariant",
        n3_adapt: str = "head",
        n3_adapt_if_better: bool = True,
        n3_prior: bool = False,
        n3_way: int = 25,
        n3_steps: int = 500,
        n3_network_steps: int = 150,
        n3_width: int = 128,
        n3_blocks: int = 2,
        n3_learning_rate: float = 1e-3,
        n3_mu: float = 1e-2,
        n3_gamma: float = 1.0,
        n3_tokens: int = 128,
        n3_variants: int = 8,
        text_pooling: str | tuple[str, ...] = PARAMETERS["text_pooling"],
        heat: str = "auto",
        num_folds: int = 3,
        validation_classes: int | None = None,
        fold_importance_images: int = 24,
        extra_layers: tuple[str, ...] = (),
        extra_layer_weights: tuple[float, ...] = PARAMETERS["extra_layer_weights"],
        precision: str = "float32",
        jit: bool = False,
        cache_dtype: str = "float32",
        verbose: bool = False,
    ) -> None:
        """Keep the parameters; `verbose` shows progress bars. `head` is the former name of `method`."""
        given = dict(locals())
        for name in (*PARAMETERS, "head", "verbose"):
            setattr(self, name, given[name])

    def _settings(self, folder: Path | None = None) -> Settings:
        """Return the parameters as settings; a model given as backbone is written into the folder, or named without one."""
        values = {name: getattr(self, name) for name in PARAMETERS}
        if isinstance(self.backbone, keras.Model):
            values["backbone"] = GIVEN if folder is None else written_model(self.backbone, folder)
        if self.head is not None:
            if self.method not in (PARAMETERS["method"], self.head):
                raise InputError(f"head is the former name of method. Received: {self.head!r} and method={self.method!r}.")
            warnings.warn("Niwt(head=...) is now Niwt(method=...).", FutureWarning, stacklevel=3)
            values["method"] = self.head
        return Settings.from_dict(values)


def check_absent(given: Mapping[str, Any]) -> None:
    """Check that arguments that a data set has itself, by name, are None.

    Raises:
        InputError: naming the first that is not.
    """
    name = next((name for name, value in given.items() if value is not None), None)
    if name is not None:
        rule = f"{name} must be left out if X is what load_dataset returns, which has all of it"
        raise InputError(f"{rule}. Received: {brief(given[name])}.")


def name_of(value: Any) -> str:
    """Return what is the name of a class.

    Raises:
        InputError: it is no text.
    """
    if not isinstance(value, str):
        raise InputError(f"name must be the name of a class, a text. Received: {brief(value)}.")
    return value


def folder_of(value: Any) -> Path:
    """Return the path of a folder, which a ~ at its beginning takes to the user's home.

    Raises:
        InputError: it is no path, or an empty one.
    """
    if not isinstance(value, str | os.PathLike) or not os.fspath(value):
        raise InputError(f"path must be the path of a folder. Received: {brief(value)}.")
    return Path(os.path.expanduser(value))


def callbacks_of(given: Any) -> list[keras.callbacks.Callback]:
    """Return a list of Keras callbacks; None is no callback.

    Raises:
        InputError: it is something else.
    """
    is_list = isinstance(given, list | tuple) and all(isinstance(each, keras.callbacks.Callback) for each in given)
    if not (is_list or given is None):
        raise InputError(f"callbacks must be a list of Keras callbacks. Received: {brief(given)}.")
    return list(given or ())
