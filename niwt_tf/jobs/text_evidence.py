"""What the texts of a network's classes say of an image: of a run whose method reads them, or of a bundle that one wrote."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from niwt_tf.config.settings import Settings
from niwt_tf.data.load import load_dataset
from niwt_tf.data.schema import Descriptions, InputForm, descriptions_of
from niwt_tf.errors import InputError
from niwt_tf.explain.explainer import Explainer
from niwt_tf.explain.network_explainer import NetworkExplainer
from niwt_tf.explain.record import ImageExplanation
from niwt_tf.jobs.synthesize import writer_of
from niwt_tf.methods.registry import method_of
from niwt_tf.methods.text_evidence import TextEvidence
from niwt_tf.models.network import Network
from niwt_tf.protocol.saved_model import SavedModel, load_model
from niwt_tf.serving.bundle.bundle import WRITER, Bundle
from niwt_tf.serving.synthesis import synthesized

_LOG = logging.getLogger("niwt_tf.jobs")
_READ = 12  # texts word by word: an encoder takes its time


def evidence_of_run(
    run_dir: Path, network: Network, explanation: ImageExplanation, pixels: np.ndarray
) -> TextEvidence | None:
    """Return what the texts say of an image that a run's network explains; None where its method reads none.

    They are read from the run's data set; where that is gone, a warning says so.

    Args:
        run_dir: the run's folder.
        network: of its stage transfer.
        explanation: of the image.
        pixels: float32 [S, S, 3].
    """
    if explanation.contrast is None or not (run_dir / "transfer" / "generator.npz").is_file():
        return None
    writer = writer_of(run_dir)
    try:
        texts = _texts_of(writer.settings)
        classes = _described(network.class_names, [texts.get(name, "") for name in network.class_names])
        return _evidence(writer, classes, explanation, pixels, network.num_seen, network.calibration)
    except InputError as error:
        _LOG.warning("The words of the texts are left out of the explanation: %s", error)
        return None


class SynthesizedExplainer:
    """Explains images by a bundle that was written from texts alone: where, by which neurons, and in which words of the texts.

    Raises:
        InputError: the method that wrote it is not in the bundle, or cannot read its texts any more.
    """

    def __init__(self, bundle: Bundle) -> None:
        self._writer = load_model(bundle.folder / WRITER)
        self._classes = _described([card.name for card in bundle.cards], [card.text for card in bundle.cards])
        network = synthesized(self._writer, self._classes)
        # There are no attributes. A graph needs one, of which nothing is ever said.
        neurons = network.num_neurons
        nothing = Explainer(
            np.zeros((1, neurons), np.float32), np.zeros(1, np.float32), ("",), ("",), ("",) * neurons,
            np.zeros(neurons, np.float32), 0.0, 0.0
        )
        described = np.full((len(self._classes), 1), np.nan, np.float32)
        self._explain = NetworkExplainer(network, nothing, self._writer.chosen.probabilities, described, None)

    @property
    def input_form(self) -> InputForm:
        """How its network takes an image."""
        return self._explain.input_form

    def __call__(
        self, pixels: np.ndarray, class_name: str | None, rival: str | None, arguments: tuple[str, str]
    ) -> tuple[ImageExplanation, TextEvidence | None]:
        """Explain one image, see `NetworkExplainer.__call__`."""
        said = self._explain(pixels, class_name, rival, arguments)
        return said, None if said.contrast is None else _evidence(self._writer, self._classes, said, pixels)


def _evidence(
    writer: SavedModel, classes: Descriptions, explanation: ImageExplanation, pixels: np.ndarray, num_seen: int = 0,
    calibration: float = 0.0
) -> TextEvidence | None:
    assert explanation.contrast is not None, "who asks has looked"
    names = explanation.own.label, explanation.contrast.rival.label
    method, generator = method_of(writer.chosen.method), writer.chosen.generator
    how = {"num_seen": num_seen, "calibration": calibration, "most": _READ}
    return method.text_evidence(generator, classes, pixels, *names, **how)  # type: ignore[arg-type]


def _described(names: tuple[str, ...] | list[str], texts: list[str]) -> Descriptions:
    return Descriptions(tuple(names), np.zeros((len(names), 0), np.float32), tuple(texts))


def _texts_of(settings: Settings) -> dict[str, str]:
    """Return the texts of a run's classes by their names, without making numbers of them as its knowledge does."""
    dataset = load_dataset(
        settings.dataset, settings.data_folder, split=settings.split, unseen=settings.unseen, num_unseen=settings.num_unseen,
        knowledge=settings.knowledge, seed=settings.seed, missing_images=settings.missing_images,
        # Decoding all images to leave some out takes long: only where a run may have done so.
        max_bad_images=settings.max_bad_images or None,
    )
    return dict(zip(dataset.class_names, descriptions_of(dataset).texts or (), strict=False))
