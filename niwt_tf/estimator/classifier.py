"""`Niwt`: the whole of NIWT from Python, in scikit-learn's manners."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.metrics import accuracy_score
from sklearn.utils.validation import check_is_fitted

from niwt_tf.compute.execution import Execution
from niwt_tf.compute.feature_cache import GIGABYTE, RowCache
from niwt_tf.compute.features import Reader, readers_of
from niwt_tf.config.settings import Settings
from niwt_tf.data.class_names import check_name, plain_name
from niwt_tf.data.images.files import read_one_image
from niwt_tf.data.readers.class_texts import check_class_texts
from niwt_tf.data.schema import Dataset, Descriptions, Knowledge, seen_data, test_data, unseen_descriptions
from niwt_tf.errors import InputError, brief, require
from niwt_tf.estimator.own_data import dataset_of, logits_of, named_and_predicted, row_of_text, values_of
from niwt_tf.estimator.parameters import PARAMETERS, Parameters, callbacks_of, check_absent, documented, folder_of, name_of
from niwt_tf.estimator.plain_model import plain_model
from niwt_tf.explain.explainer import fit_explainer, importances_of
from niwt_tf.explain.heat import Heat
from niwt_tf.explain.heat_choice import choose_heat
from niwt_tf.explain.network_explainer import NetworkExplainer
from niwt_tf.explain.neurons import NeuronNames, names_of
from niwt_tf.explain.record import explanation_record
from niwt_tf.methods.base import Trial
from niwt_tf.methods.parameters import HeadParameters
from niwt_tf.methods.registry import method_of
from niwt_tf.methods.task import tasks_of
from niwt_tf.metrics.intervals import or_none
from niwt_tf.models.feature_network import check_takes_images
from niwt_tf.models.network import Network
from niwt_tf.protocol.saved_model import SavedModel, load_model, save_model
from niwt_tf.protocol.scoring import metrics_of, score_network
from niwt_tf.protocol.seen_networks import partitions_of, train_partitions
from niwt_tf.protocol.selection import choose
from niwt_tf.serving.export.contents import Contents
from niwt_tf.serving.export.savedmodel import export_network
from niwt_tf.serving.export.verification import noise_images
from niwt_tf.serving.synthesis import synthesized, synthesized_contents

_CACHE_BYTES = 4 * GIGABYTE


@documented
class Niwt(ClassifierMixin, Parameters):
    """A classifier of seen and unseen classes, the latter learnt from their descriptions alone.

    The parameters are the settings of `niwt run` that are not about data, with the same names, defaults and rules. They are
    checked by `fit`. A method that reads texts takes their tokens by `text_features`; the numbers of a description are the
    data set's. `backbone` may be a Keras model too. There is no `n_features_in_`: images have any size.

    >>> Niwt(backbone="mobilenet_v2", weights="imagenet", finetune="head").get_params()["finetune"]
    'head'

    Attributes:
        classes_: names of the C classes, seen ones first.
        network_: the expanded and calibrated Network.
        chosen_: the method as validation classes chose it: its generator makes parameters of classes from descriptions.
        history_: a record for each epoch of training; not of a model that was loaded.
        knowledge_: the C classes' descriptions and the names of their K entries.
    """

    _explainer: NetworkExplainer | None = None
    _importances: np.ndarray | None = None
    _explaining: Mapping[str, np.ndarray]
    _texts: Mapping[str, str] = {}  # noqa: RUF012  of classes that a method wrote from them
    _writer: SavedModel | None = None  # of a classifier that `synthesize` gave

    def fit(
        self, X: Dataset | Any, y: Any = None, *, descriptions: Any = None, class_names: Sequence[str] | None = None,  # noqa: N803
        callbacks: Sequence[keras.callbacks.Callback] = ()
    ) -> Niwt:
        """Train on the seen classes, choose on validation classes, and learn the unseen ones.

        Test images of a data set are not looked at. Beside images, classes that only `descriptions` name are the unseen ones,
        and all images are for training. Pixels are kept as PNG files in a temporary folder meanwhile, so floats are rounded.

        Args:
            X: a data set with a split, as `load_dataset` gives it; or RGB pixels in 0..255 [M, H, W, 3]; a list of paths; a
                DataFrame with a column path (or file, filename, image), and a column class (or label) where y is None; or a
                tf.data.Dataset of images and labels, batched or not, as `keras.utils.image_dataset_from_directory` gives it.
            y: the class of each image, [M], by name or as integers. None where X has the labels.
            descriptions: by class name a text, K numbers, or a number by attribute name; or a DataFrame with a row a class and
                a column an attribute, or one column text; or the path of a classes.csv.
            class_names: what integers in y index; None are those of X, where it has some.
            callbacks: Keras callbacks, `keras.callbacks.TensorBoard` for one, told of each epoch of the network of all seen
                classes; those of the folds are not told of.

        Raises:
            InputError: a parameter breaks its rule, the data set has no split, or the data are not in order.

        >>> again = Niwt(**settings).fit(pixels, labels, descriptions=described)
        >>> list(again.classes_[-2:])  # those that have no image
        ['grey', 'pink']
        """
        if isinstance(X, Dataset):
            check_absent({"y": y, "descriptions": descriptions, "class_names": class_names})
        told = callbacks_of(callbacks)
        with tempfile.TemporaryDirectory(prefix="niwt_cache_") as folder:
            settings = self._settings(Path(folder))
            dataset = X
            if not isinstance(X, Dataset):
                given = X, y, descriptions, class_names, Path(folder)
                dataset = dataset_of(*given, text_features=settings.text_features, progress=bool(self.verbose))
            seen, unseen = seen_data(dataset), unseen_descriptions(dataset)
            method = method_of(settings.method)
            method.check(settings, seen.descriptions)
            method.check(settings, unseen)
            partitions = partitions_of(settings, seen, len(unseen))
            execution = self._execution(settings, RowCache(Path(folder), _CACHE_BYTES, settings.cache_dtype))
            trained = train_partitions(settings, partitions, execution, callbacks=told)
            self.history_ = trained["main"].history
            networks = {name: result.network for name, result in trained.items()}
            tasks = tasks_of(settings, partitions, networks, readers_of(settings, networks, execution))
            method.prepare(settings, tasks)
            self.chosen_ = choose(settings, method, tasks, progress=execution.progress)
            network, _ = self.chosen_.applied(networks["main"], unseen)
            heat = choose_heat(tasks[0], network, self.chosen_.probabilities.temperature)
            self._explaining = {**names_of(tasks[0], dataset.knowledge.names).arrays(), **heat.arrays()}
            if self.chosen_.generator.importances is None:
                self._importances = importances_of(tasks[0], network)
        if self.chosen_.generator.reads_texts:
            self._texts = dict(zip(unseen.names, unseen.texts or (), strict=True))
        known, values = dataset.knowledge, np.concatenate([seen.descriptions.values, unseen.values])
        self.knowledge_ = replace(known, values=values)
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
        """Return calibrated logits, float32 [M, C].

        Args:
            images: as in `predict`.

        Raises:
            InputError: images of another form, or a file that is not there.
        """
        check_is_fitted(self, "network_")
        return logits_of(images, self._reader)

    def predict(self, images: Any) -> np.ndarray:
        """Return the class name of each image, [M].

        Args:
            images: a list of paths; RGB pixels in 0..255 as an array [M, H, W, 3]; a DataFrame with a column path; or a
                tf.data.Dataset of images, whose labels, if there are any, are passed over.

        Raises:
            InputError: images of another form, pixels in 0..1, or a file that is not there.

        >>> model.predict(pixels[:2]).shape
        (2,)
        """
        logits = self.decision_function(images)
        return self.classes_[logits.argmax(axis=1)]

    def predict_proba(self, images: Any) -> np.ndarray:
        """Return probabilities [M, C] at the temperature that validation classes chose, columns in the order of `classes_`.

        Args:
            images: as in `predict`.

        >>> bool(abs(model.predict_proba(pixels[:2]).sum() - 2) < 1e-4)
        True
        """
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
        check_takes_images(self.network_, "An explanation")
        explanation = self._explainer(read.taken(self.network_.input_form), class_name, rival)
        return explanation_record(explanation, os.fspath(image), {"path": None, "version": None})

    def score(self, X: Dataset | Any, y: Any = None, sample_weight: Any = None) -> float:  # noqa: N803
        """Return one number between 0 and 1: how right the model is.

        Args:
            X: images in a form of `fit` with their labels in y or in X: the share of images that are called what they are. Or
                a data set with a split: H, the harmonic mean of seen and unseen accuracy on its test images; the accuracy of
                seen classes where it has no unseen ones. `evaluate` has all figures.
            y: the class of each image, by name.
            sample_weight: weights of the images, [M]; not of a data set.

        Raises:
            InputError: the data set has no split, a class that the model does not know, or y is missing.

        >>> 0 <= model.score(pixels, labels) <= 1
        True
        """
        check_is_fitted(self, "network_")
        if isinstance(X, Dataset):
            check_absent({"y": y, "sample_weight": sample_weight})
            figures = self.evaluate(X)
            found = figures["acc_seen"] if figures["harmonic_mean"] is None else figures["harmonic_mean"]
            return float(found or 0.0)
        named, predicted = named_and_predicted(X, y, self.predict, list(self.classes_))
        return float(accuracy_score(named, predicted, sample_weight=sample_weight))

    def evaluate(self, dataset: Dataset) -> dict[str, float | int | None]:
        """Return the metrics on the data set's test images, by the names of `metrics.json`.

        Args:
            dataset: with a split, as `load_dataset` gives it.

        Raises:
            InputError: the data set has no split, or a class that the model does not know.
        """
        check_is_fitted(self, "network_")
        require(isinstance(dataset, Dataset), f"dataset must be what load_dataset returns. Received: {brief(dataset)}.")
        scored = score_network(self.network_, test_data(dataset), self._reader.execution)
        others = {**self.chosen_.generator.figures, "seed": self.seed}
        return metrics_of(scored, self.network_.num_seen, others, self.chosen_.probabilities.temperature)

    def keras_model(self) -> keras.Model:
        """Return the network as a plain Keras model: RGB images in 0..255 of any size [B, H, W, 3] to logits [B, C].

        It brings images to the network's square and range itself, its layers are Keras's own, and `keras.saving.load_model`
        reads what its `save` writes where this package is not installed. Columns are in the order of `classes_`.

        Raises:
            InputError: the backbone is a module of TensorFlow Hub.

        >>> plain = model.keras_model()
        >>> model.classes_[plain.predict(pixels[:2], verbose=0).argmax(axis=1)].tolist() == model.predict(pixels[:2]).tolist()
        True
        """
        check_is_fitted(self, "network_")
        return plain_model(self.network_)

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
        require(isinstance(texts, Mapping), f"texts must be a dict of texts by class name. Received: {brief(texts)}.")
        classes = check_class_texts(dict(texts), "texts")
        made = type(self)(**self.get_params())
        writer = SavedModel(self.network_, self._settings(), self.chosen_, self.knowledge_, *self._beside())
        made._writer, made._texts = writer, dict(zip(classes.names, classes.texts or (), strict=True))
        made.chosen_, made.knowledge_ = self.chosen_, Knowledge(classes.values, (), (), "texts")
        made._set_network(synthesized(writer, classes))
        return made

    def add_class(
        self, name: str, description: str | Mapping[str, float] | Sequence[float] | np.ndarray | None = None, *,
        text: str | None = None
    ) -> Niwt:
        """Learn one more class from its description, without an image.

        A method that makes whole heads or networks makes this one anew: then the logits of all classes change.

        Args:
            name: a new name.
            description: K numbers in the order and units of the data set's knowledge, or a value by entry name for all K; a
                text for a method that reads texts.
            text: instead of a description, a text in which attributes are looked for by their names, as `niwt add_class
                --text` does; what was understood is said in a warning. For texts and captions, their words count.

        Raises:
            InputError: the name exists, the description does not fit, both or neither are given, or of the text less than
                half is understood.

        >>> grown = pickle.loads(pickle.dumps(model)).add_class("blue", text="A blue crown and blue wings.")
        >>> grown.classes_[-1]
        'blue'
        """
        check_is_fitted(self, "network_")
        generator = self.chosen_.generator
        name = plain_name(name_of(name))
        check_name(name)
        num_seen, names = self.network_.num_seen, (*self.network_.class_names, name)
        require((description is None) != (text is None), "Either description or text must be given. Received: both or neither.")
        require(text is None or isinstance(text, str), f"text must be a text. Received: {brief(text)}.")
        if text is not None:
            known = replace(self.knowledge_, values=self.knowledge_.values[:num_seen])
            description = text if generator.reads_texts else row_of_text(name, text, known)
        if generator.reads_texts:
            return self._written_anew({**self._texts, name: self._text(name, description)})
        row = values_of(description, self.knowledge_) if text is None else np.asarray(description)
        values = np.concatenate([self.knowledge_.values, row[None]])
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

        Args:
            name: of the class.

        Raises:
            InputError: there is no such class; the sentence suggests the nearest.
        """
        check_is_fitted(self, "network_")
        if self.chosen_.generator.reads_texts and self.network_.index_of(name_of(name)) >= self.network_.num_seen:
            return self._written_anew({each: text for each, text in self._texts.items() if each != name})
        network = self.network_.without(name_of(name))
        values = np.delete(self.knowledge_.values, self.network_.index_of(name), axis=0)
        self.knowledge_ = replace(self.knowledge_, values=values)
        self._set_network(network)
        return self

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model to a folder, whole or not at all; no pickle is used.

        Args:
            path: the folder, which is new, empty or a saved model.

        Raises:
            InputError: it is something else, or `synthesize` gave the model.
        """
        check_is_fitted(self, "network_")
        if self._writer is not None:
            raise InputError("A classifier from synthesize can be exported but not saved: save the classifier that wrote it.")
        model = SavedModel(self.network_, self._settings(), self.chosen_, self.knowledge_, *self._beside(), self._texts)
        save_model(folder_of(path), model)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Niwt:
        """Read what `save` wrote.

        Args:
            path: the folder.

        Raises:
            InputError: it does not hold a saved model.
        """
        saved = load_model(folder_of(path))
        settings = saved.settings.as_dict()
        model = cls(**{name: settings[name] for name in PARAMETERS})
        model._take(saved)
        return model

    def __getstate__(self) -> dict[str, Any]:
        """Return the parameters, and of a fitted model the files that `save` writes."""
        state = {"parameters": {**self.get_params(deep=False)}}
        if hasattr(self, "network_"):
            with tempfile.TemporaryDirectory() as folder:
                self.save(Path(folder) / "model")
                state["files"] = {path.name: path.read_bytes() for path in (Path(folder) / "model").iterdir()}
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state["parameters"])  # type: ignore[misc]
        if "files" in state:
            with tempfile.TemporaryDirectory() as folder:
                for name, contents in state["files"].items():
                    (Path(folder) / name).write_bytes(contents)
                self._take(load_model(folder))

    def _take(self, saved: SavedModel) -> None:
        self.chosen_, self.knowledge_ = saved.chosen, saved.knowledge
        self._photographs, self._importances, self._texts = dict(saved.photographs), saved.importances, dict(saved.texts)
        self._explaining = saved.explaining
        self._set_network(saved.network)

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
        target, contents = folder_of(path), self._contents()
        if check_images is not None:
            return export_network(self.network_, target, contents=contents, k=k, check_images=check_images)
        with tempfile.TemporaryDirectory() as folder:
            made = noise_images(Path(folder), self.network_.input_size)
            return export_network(self.network_, target, contents=contents, k=k, check_images=made)

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
            raise InputError(f"A new class must have a new name. Received: {name!r}, which exists.")
        return description

    def _beside(self) -> tuple[dict[str, int], np.ndarray | None, Mapping[str, np.ndarray]]:
        return self._photographs, self._importances, self._explaining

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
        learnt = NeuronNames.from_arrays(self._explaining), Heat.from_arrays(self._explaining)
        described = knowledge.values[: len(seen)], knowledge.names, knowledge.groups
        trial = chosen.trial
        figures = {"validation_harmonic_mean": or_none(trial.harmonic_mean), "validation_acc_zsl": or_none(trial.acc_zsl)}
        return Contents(
            knowledge=knowledge,
            probabilities=chosen.probabilities,
            formula=chosen.generator.formula,
            explainer=fit_explainer(targets, *described, *learnt, num_neurons=self.network_.num_neurons),
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
