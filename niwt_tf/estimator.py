"""`Niwt`: the whole of NIWT from Python, in scikit-learn's manners."""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from niwt_tf.compute.execution import Execution
from niwt_tf.compute.feature_cache import GIGABYTE, RowCache
from niwt_tf.compute.features import Reader, readers_of
from niwt_tf.config.names import DEFAULT_METHOD
from niwt_tf.config.settings import ADDED_NAMES, SETTINGS, Settings
from niwt_tf.data.images.files import read_one_image
from niwt_tf.data.images.pipeline import usable_images
from niwt_tf.data.readers.class_texts import check_class_texts
from niwt_tf.data.readers.tables import plain_name
from niwt_tf.data.schema import Dataset, Descriptions, Images, Knowledge, seen_data, test_data, unseen_descriptions
from niwt_tf.errors import InputError, suggestion
from niwt_tf.explain.explainer import fit_explainer, importances_of
from niwt_tf.explain.network_explainer import NetworkExplainer
from niwt_tf.explain.record import explanation_record
from niwt_tf.files import finite
from niwt_tf.methods.base import Trial
from niwt_tf.methods.parameters import HeadParameters
from niwt_tf.methods.registry import method_of
from niwt_tf.methods.task import tasks_of
from niwt_tf.models.network import Network
from niwt_tf.protocol.saved_model import SavedModel, load_model, save_model
from niwt_tf.protocol.scoring import metrics_of, score_network
from niwt_tf.protocol.seen_networks import partitions_of, train_partitions
from niwt_tf.protocol.selection import choose
from niwt_tf.serving.export.contents import Contents
from niwt_tf.serving.export.savedmodel import export_network
from niwt_tf.serving.export.verification import noise_images
from niwt_tf.serving.synthesis import synthesized, synthesized_contents

_DATA_SETTINGS = frozenset(
    (
        *("dataset", "data_dir", "split", "unseen", "num_unseen"),
        *("knowledge", "missing_images", "max_bad_images"),
    )
)
_PARAMETERS = {each.name: each.default for each in SETTINGS if each.name not in _DATA_SETTINGS | ADDED_NAMES}
_BATCH = 32
_CACHE_BYTES = 4 * GIGABYTE


class Niwt(BaseEstimator):
    """A classifier of seen and unseen classes, the latter learnt from their descriptions alone.

    The parameters are the settings of `niwt run` that are not about data, with the same names, defaults and rules;
    `niwt run --help` says what each does. They are checked by `fit`. A method that reads texts takes their tokens by
    `text_features`; the numbers of a description are the data set's.

    Attributes:
        classes_: names of the C classes, seen ones first.
        network_: the expanded and calibrated Network.
        chosen_: the method as validation classes chose it: its generator makes parameters of classes from descriptions.
        knowledge_: the C classes' descriptions and the names of their K entries.
    """

    _explainer: NetworkExplainer | None = None
    _importances: np.ndarray | None = None
    _texts: Mapping[str, str] = {}  # noqa: RUF012  of classes that a method wrote from them
    _writer: SavedModel | None = None  # of a classifier that `synthesize` gave

    def __init__(
        self,
        backbone: str = "small_vgg",
        layer: str | None = None,
        seed: int = 0,
        *,
        weights: str = "none",
        input_size: int | None = None,
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
        seen_head: str | tuple[str, ...] = _PARAMETERS["seen_head"],
        head_regularization: tuple[float, ...] = _PARAMETERS["head_regularization"],
        lda_shrinkage: tuple[float, ...] = _PARAMETERS["lda_shrinkage"],
        importance_over: str = "shared",
        map: str = "ridge",  # noqa: A002  the command line's name
        map_regularization: tuple[float, ...] = _PARAMETERS["map_regularization"],
        normalisation: str = "centred",
        support: str = "seen",
        num_support: int = 96,
        engine: str | tuple[str, ...] = _PARAMETERS["engine"],
        regularizer: str = "norm",
        transfer_anchor: str | tuple[str, ...] = _PARAMETERS["transfer_anchor"],
        transfer_lambda: tuple[float, ...] = _PARAMETERS["transfer_lambda"],
        transfer_learning_rate: tuple[float, ...] = _PARAMETERS["transfer_learning_rate"],
        transfer_batch_size: int = 64,
        transfer_steps: int = 300,
        column_scale: str = "matched",
        n3_form: str = "equivariant",
        n3_adapt: str = "head",
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
        text_pooling: str | tuple[str, ...] = _PARAMETERS["text_pooling"],
        num_folds: int = 3,
        validation_classes: int | None = None,
        fold_importance_images: int = 24,
        extra_layers: tuple[str, ...] = (),
        extra_layer_weights: tuple[float, ...] = _PARAMETERS["extra_layer_weights"],
        precision: str = "float32",
        jit: bool = False,
        cache_dtype: str = "float32",
        verbose: bool = False,
    ) -> None:
        """Keep the parameters; `verbose` shows progress bars. `head` is the former name of `method`."""
        given = dict(locals())
        for name in (*_PARAMETERS, "head", "verbose"):
            setattr(self, name, given[name])

    def fit(self, dataset: Dataset, y: None = None) -> Niwt:
        """Train on the seen classes, choose on validation classes, and learn the unseen ones.

        Test images of the data set are not looked at.

        Args:
            dataset: with a split, as `load_dataset` gives it.
            y: ignored; here for scikit-learn.

        Raises:
            InputError: a parameter breaks its rule, or the data set has no split.
        """
        del y
        settings = self._settings()
        method = method_of(settings.method)
        seen, unseen = seen_data(dataset), unseen_descriptions(dataset)
        method.check(settings, seen.descriptions)
        method.check(settings, unseen)
        partitions = partitions_of(settings, seen, len(unseen))
        with tempfile.TemporaryDirectory(prefix="niwt_cache_") as folder:
            execution = self._execution(settings, RowCache(Path(folder), _CACHE_BYTES, settings.cache_dtype))
            trained = train_partitions(settings, partitions, execution)
            networks = {name: result.network for name, result in trained.items()}
            tasks = tasks_of(settings, partitions, networks, readers_of(settings, networks, execution))
            method.prepare(settings, tasks)
            self.chosen_ = choose(settings, method, tasks, progress=execution.progress)
            network, _ = self.chosen_.applied(networks["main"], unseen)
            if self.chosen_.generator.importances is None:
                self._importances = importances_of(tasks[0], network)
        if self.chosen_.generator.reads_texts:
            self._texts = dict(zip(unseen.names, unseen.texts or (), strict=True))
        known, values = dataset.knowledge, np.concatenate([seen.descriptions.values, unseen.values])
        self.knowledge_ = Knowledge(values, known.names, known.groups, known.source, known.words)
        counts = np.bincount(seen.images.labels, minlength=len(seen.descriptions))
        self._photographs = dict(zip(seen.descriptions.names, counts.tolist(), strict=True))
        self._set_network(network)
        return self

    @property
    def trials_(self) -> list[Trial]:
        """Every candidate that was tried on validation classes; none in a model that was loaded."""
        check_is_fitted(self, "chosen_")
        return list(self.chosen_.trials)

    def decision_function(self, images: Any) -> np.ndarray:
        """Return calibrated logits, float32 [M, C]; images as in `predict`."""
        check_is_fitted(self, "network_")
        if isinstance(images, Images):
            return self._reader.logits(images)
        if isinstance(images, np.ndarray) and images.dtype.kind not in "UO":
            return self._logits_of_pixels(images)
        if isinstance(images, str | os.PathLike) or not isinstance(images, Sequence | np.ndarray):
            raise InputError(f"images must be a list of paths or an array [M, H, W, 3]. Received: {type(images).__name__}.")
        strange = next((path for path in images if not isinstance(path, str | os.PathLike)), None)
        if strange is not None:
            raise InputError(f"images must be a list of paths or an array [M, H, W, 3]. Received: {strange!r} in a list.")
        paths = tuple(os.path.abspath(os.fspath(path)) for path in images)
        absent = next((path for path in paths if not os.path.isfile(path)), None)
        if absent is not None:
            raise InputError(f"images must be files that exist. Received: {absent!r}.")
        return self._logits_of_files(Images(Path("/"), paths, np.zeros(len(paths), np.int32), ("any",)))

    def predict(self, images: Any) -> np.ndarray:
        """Return the class name of each image, [M].

        Args:
            images: a list of paths, or RGB pixels in 0..255 as an array [M, H, W, 3].

        Raises:
            InputError: images of another form, or a file that is not there.
        """
        logits = self.decision_function(images)
        return self.classes_[logits.argmax(axis=1)]

    def predict_proba(self, images: Any) -> np.ndarray:
        """Return probabilities [M, C] at the temperature that validation classes chose, columns in the order of `classes_`."""
        return self.chosen_.probabilities.of(self.decision_function(images))

    def explain(self, image: str | os.PathLike[str], class_name: str | None = None, rival: str | None = None) -> dict[str, Any]:
        """Return why an image is of a class and not of another: the record that `niwt explain` writes as JSON.

        Args:
            image: a file.
            class_name: the class to explain; None is the most probable one.
            rival: the class to compare it with; None is the best of the others.

        Raises:
            InputError: an image that cannot be decoded, or a class that is not known; the nearest is suggested.
        """
        check_is_fitted(self, "network_")
        read = read_one_image(image, "image")
        if self._explainer is None:  # which takes its time where there are many attributes
            contents = self._contents()
            assert contents.explainer is not None, "a fitted model has one"
            known = contents.probabilities, self.knowledge_.values, contents.formula
            self._explainer = NetworkExplainer(self.network_, contents.explainer, *known)
        explanation = self._explainer(read.squashed(self.network_.input_size), class_name, rival)
        return explanation_record(explanation, os.fspath(image), {"path": None, "version": None})

    def score(self, dataset: Dataset, y: None = None) -> dict[str, float | int | None]:  # type: ignore[override]
        """Return the metrics on the data set's test images, by the names of `metrics.json`.

        Raises:
            InputError: the data set has no split, or a class that the model does not know.
        """
        del y
        check_is_fitted(self, "network_")
        scored = score_network(self.network_, test_data(dataset), self._reader.execution)
        others = {**self.chosen_.generator.figures, "seed": self.seed}
        return metrics_of(scored, self.network_.num_seen, others, self.chosen_.probabilities.temperature)

    def synthesize(self, texts: Mapping[str, str]) -> Niwt:
        """Return a classifier of K other classes alone, described by texts; this one stays as it is.

        It predicts and is exported like any other. Only a method that reads texts writes one, see
        `niwt_tf.config.names.TEXT_METHODS`.

        Args:
            texts: one by class name, two classes at least.

        Raises:
            InputError: the method reads no texts, or a text is not in order.
        """
        check_is_fitted(self, "network_")
        classes = check_class_texts(dict(texts), "texts")
        made = type(self)(**self.get_params())
        writer = SavedModel(self.network_, self._settings(), self.chosen_, self.knowledge_, *self._beside())
        made._writer, made._texts = writer, dict(zip(classes.names, classes.texts or (), strict=True))
        made.chosen_, made.knowledge_ = self.chosen_, Knowledge(classes.values, (), (), "texts")
        made._set_network(synthesized(writer, classes))
        return made

    def add_class(self, name: str, description: str | Mapping[str, float] | Sequence[float] | np.ndarray) -> Niwt:
        """Learn one more class from its description, without an image.

        A method that writes whole networks writes this one anew: then all logits move.

        Args:
            name: a new name.
            description: K numbers in the order and units of the data set's knowledge, or a value by entry name for all K; a
                text for a method that reads texts.

        Raises:
            InputError: the name exists, or the description does not fit.
        """
        check_is_fitted(self, "network_")
        generator = self.chosen_.generator
        name = plain_name(name) if generator.reads_texts else name
        num_seen, names = self.network_.num_seen, (*self.network_.class_names, name)
        if generator.reads_texts:
            return self._written_anew({**self._texts, name: self._text(name, description)})
        values = np.concatenate([self.knowledge_.values, self._description(description)[None]])
        if generator.independent:
            parameters = generator.generate(Descriptions((name,), values[-1:]))
            assert isinstance(parameters, HeadParameters), "the other classes' parameters stay as they are"
            network = self.network_.expand(*parameters.new, (name,))
        else:
            network = self._applied(Descriptions(names[num_seen:], values[num_seen:]))
        self.knowledge_ = replace(self.knowledge_, values=values)
        self._set_network(network)
        return self

    def remove_class(self, name: str) -> Niwt:
        """Forget a class.

        Raises:
            InputError: there is no such class; the sentence suggests the nearest.
        """
        check_is_fitted(self, "network_")
        if self.chosen_.generator.reads_texts and self.network_.index_of(name) >= self.network_.num_seen:
            return self._written_anew({each: text for each, text in self._texts.items() if each != name})
        network = self.network_.without(name)
        values = np.delete(self.knowledge_.values, self.network_.index_of(name), axis=0)
        self.knowledge_ = replace(self.knowledge_, values=values)
        self._set_network(network)
        return self

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model to a folder, whole or not at all; no pickle is used."""
        check_is_fitted(self, "network_")
        if self._writer is not None:
            raise InputError("A classifier that synthesize gave is exported, and not saved: save the one that wrote it.")
        model = SavedModel(self.network_, self._settings(), self.chosen_, self.knowledge_, *self._beside(), self._texts)
        save_model(path, model)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Niwt:
        """Read what `save` wrote.

        Raises:
            InputError: the folder does not hold a saved model.
        """
        saved = load_model(path)
        settings = saved.settings.as_dict()
        model = cls(**{name: settings[name] for name in _PARAMETERS})
        model.chosen_, model.knowledge_ = saved.chosen, saved.knowledge
        model._photographs, model._importances, model._texts = dict(saved.photographs), saved.importances, dict(saved.texts)
        model._set_network(saved.network)
        return model

    def export(
        self, path: str | os.PathLike[str], *, check_images: Sequence[str | os.PathLike[str]] | None = None, k: int = 5
    ) -> Path:
        """Write the next numbered SavedModel under `path`, verified in a fresh process, and return its folder.

        Args:
            path: folder of the versions.
            check_images: images on which the SavedModel must answer as the model does; None makes some of noise.
            k: labels an answer.
        """
        check_is_fitted(self, "network_")
        contents = self._contents()
        if check_images is not None:
            given = [Path(image) for image in check_images]
            return export_network(self.network_, Path(path), contents=contents, k=k, check_images=given)
        with tempfile.TemporaryDirectory() as folder:
            made = noise_images(Path(folder), self.network_.input_size)
            return export_network(self.network_, Path(path), contents=contents, k=k, check_images=made)

    def _written_anew(self, texts: dict[str, str]) -> Niwt:
        """Write the network anew for the classes that are described by texts, beside the seen ones where there are any."""
        if self._writer is not None:
            made = self._writer, check_class_texts(texts, "texts")
            self._set_network(synthesized(*made))
            self.knowledge_ = replace(self.knowledge_, values=made[1].values)
        else:
            entries = self.knowledge_.values.shape[1]
            classes = Descriptions(tuple(texts), np.zeros((len(texts), entries), np.float32), tuple(texts.values()))
            network = self._applied(classes)
            known = dict(zip(self.network_.class_names, self.knowledge_.values, strict=True))
            words = self.knowledge_.words
            for name, text in texts.items():
                if name not in known:
                    known[name] = np.zeros(entries, np.float32) if words is None else words([text])[0]
            self.knowledge_ = replace(self.knowledge_, values=np.stack([known[name] for name in network.class_names]))
            self._set_network(network)
        self._texts = texts
        return self

    def _applied(self, classes: Descriptions) -> Network:
        """Return the network of the seen classes and others; seen ones that were removed have a part in it, and no column."""
        network, fitted = self.network_, tuple(self._photographs)
        kept = network.class_names[: network.num_seen]
        if len(kept) < len(fitted):
            head = np.zeros((network.num_features, len(fitted)), np.float32), np.zeros(len(fitted), np.float32)
            network = network.with_head(*head, fitted, len(fitted))
        network, _ = self.chosen_.applied(network, classes)
        for name in fitted:
            network = network if name in kept else network.without(name)
        return network

    def _text(self, name: str, description: Any) -> str:
        if not isinstance(description, str) or not description.strip():
            raise InputError(f"description must be a text for method={self.chosen_.method!r}. Received: {description!r}.")
        if name in self.network_.class_names:
            raise InputError(f"A class that is added must have a name of its own. Received: {name!r}, which exists.")
        return description

    def _settings(self) -> Settings:
        values = {name: getattr(self, name) for name in _PARAMETERS}
        if self.head is not None:
            if self.method not in (_PARAMETERS["method"], self.head):
                raise InputError(f"head is the former name of method. Received: {self.head!r} beside method={self.method!r}.")
            warnings.warn("Niwt(head=...) is now Niwt(method=...).", FutureWarning, stacklevel=3)
            values["method"] = self.head
        return Settings.from_dict(values)

    def _beside(self) -> tuple[dict[str, int], np.ndarray | None]:
        return self._photographs, self._importances

    def _contents(self) -> Contents:
        """Return what goes with the network into an export."""
        if self._writer is not None:
            return synthesized_contents(self._writer, [self._texts[name] for name in self.network_.class_names])
        chosen, knowledge, names = self.chosen_, self.knowledge_, self.network_.class_names
        seen = names[: self.network_.num_seen]
        fitted = list(self._photographs)  # the classes that it was fitted on: some may have been removed since
        rows = [fitted.index(name) for name in seen]
        importances = chosen.generator.importances
        targets = np.asarray(self._importances if importances is None else importances)[rows]
        described = knowledge.values[: len(seen)], knowledge.names, knowledge.groups
        trial = chosen.trial
        figures = {"validation_harmonic_mean": finite(trial.harmonic_mean), "validation_acc_zsl": finite(trial.acc_zsl)}
        return Contents(
            knowledge=knowledge,
            probabilities=chosen.probabilities,
            formula=chosen.generator.formula,
            explainer=fit_explainer(targets, *described, num_neurons=self.network_.num_neurons),
            few_shot=chosen.generator.few_shot,
            images=[self._photographs.get(name, 0) for name in names],
            validation={name: float(value) for name, value in figures.items() if value is not None},
            how=method_of(chosen.method).how(trial.candidate),
            method=chosen.method,
        )

    def _execution(self, settings: Settings, cache: RowCache | None = None) -> Execution:
        return Execution(precision=settings.precision, jit=settings.jit, progress=bool(self.verbose), cache=cache)

    def _set_network(self, network: Network) -> None:
        self.network_ = network
        self._reader = Reader(network, self._execution(self._settings()))
        self._explainer = None  # made by the first explanation of these classes
        self.classes_ = np.array(network.class_names, dtype=object)

    def _logits_of_files(self, images: Images) -> np.ndarray:
        import tensorflow as tf

        try:
            return self._reader.logits(images)
        except tf.errors.InvalidArgumentError:
            usable_images(images, progress=False)  # names the file
            raise

    def _logits_of_pixels(self, pixels: np.ndarray) -> np.ndarray:
        import tensorflow as tf

        if pixels.ndim != 4 or pixels.shape[-1] != 3:
            raise InputError(f"images must be a list of paths or an array [M, H, W, 3]. Received: shape {pixels.shape}.")
        if not np.isfinite(pixels).all():
            raise InputError("images must be finite. Received: NaN or infinity.")
        size, logits = self.network_.input_size, []
        for start in range(0, len(pixels), _BATCH):
            batch = tf.cast(pixels[start : start + _BATCH], tf.float32)
            resized = tf.image.resize(batch, (size, size), antialias=True)
            logits.append(self.network_.model(resized, training=False).numpy())
        return np.concatenate(logits) if logits else np.empty((0, len(self.classes_)), np.float32)

    def _description(self, description: Any) -> np.ndarray:
        names = self.knowledge_.names
        if isinstance(description, Mapping):
            unknown = next((name for name in description if name not in names), None)
            if unknown is not None:
                raise InputError(f"description has an unknown entry. Received: {unknown!r}.{suggestion(unknown, names)}")
            absent = [name for name in names if name not in description]
            if absent:
                raise InputError(f"description must give all {len(names)} entries. Received: none for {absent[0]!r}.")
            description = [description[name] for name in names]
        try:
            values = np.asarray(description, np.float32)
        except (TypeError, ValueError):
            values = np.empty(0, np.float32)
        if values.shape != (len(names),) or not np.isfinite(values).all():
            raise InputError(f"description must be {len(names)} finite numbers or a value by name. Received: {description!r}.")
        return values
