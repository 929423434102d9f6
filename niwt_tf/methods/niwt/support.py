"""Support images: what new head columns are fitted on (NIWT Table 2), as conv maps of the frozen trunk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from niwt_tf.compute.features import Reader
from niwt_tf.config.settings import Settings
from niwt_tf.data.images.pipeline import usable_images
from niwt_tf.data.readers.loose_images import loose_images
from niwt_tf.data.sampling import balanced_sample
from niwt_tf.data.schema import Images
from niwt_tf.methods.niwt.layers import with_features
from niwt_tf.methods.niwt.options import NiwtOptions
from niwt_tf.methods.niwt.transfer_closed_form import Blocks, ClosedForm
from niwt_tf.methods.operators import TailOperator, mean_operators, tail_operator
from niwt_tf.models.network import recut

_RULE = "support must be seen, noise or a folder of images"


@dataclass(frozen=True)
class Support:
    """What new columns are fitted on.

    Attributes:
        operator: J [N, D], the mean operator over the support images, of all layers.
        maps: their conv maps [P, H, W, N], for the tape and for `exact`; empty [0, H, W, N] where neither is asked for.
        exact: M(x) of each support image, for the operator engine, or None.
    """

    operator: np.ndarray
    maps: np.ndarray
    exact: TailOperator | None = None
    _solutions: dict[Blocks, ClosedForm] = field(default_factory=dict, repr=False)

    def solution(self, blocks: Blocks) -> ClosedForm:
        """Return the closed form for all classes, lambdas and heads; decomposed once."""
        if blocks not in self._solutions:
            self._solutions[blocks] = ClosedForm(self.operator, blocks)
        return self._solutions[blocks]


def support_of(
    settings: Settings, engines: Sequence[str], reader: Reader, seen_images: Images, seen_operator: np.ndarray
) -> Support:
    """Return the support that the settings ask for.

    Args:
        settings: support, its number and the seed.
        engines: what will solve for the columns.
        reader: makes the maps; its network's tail is used.
        seen_images: training images of seen classes.
        seen_operator: the mean operator over a sample of those.
    """
    tail, execution = reader.network.tail, reader.execution
    descent = bool({"tape", "operator"} & set(engines))
    nothing = np.empty((0, *tail.input_shape[1:]), np.float32)
    if settings.support == "seen" and not descent:
        return Support(seen_operator, nothing)
    maps = support_maps(reader, settings.support, seen_images, settings.num_support, settings.seed)
    operator, exact = seen_operator, None
    if "operator" in engines:
        exact = tail_operator(tail, maps, jit=execution.jit, progress=execution.progress)
    if settings.support != "seen" and exact is not None:
        operator = exact.mean()
    elif settings.support != "seen" and "closed_form" in engines:
        operator = _stacked_operator(settings, reader, seen_images, maps)
    return Support(operator, maps if descent else nothing, exact)


def _stacked_operator(settings: Settings, reader: Reader, seen_images: Images, maps: np.ndarray) -> np.ndarray:
    """Return the mean operator [N, D] of all layers over support images whose maps at the own layer are `maps`."""
    execution, layers = reader.execution, NiwtOptions.of(settings).extra_layers

    def mean(tail: Any, of: np.ndarray) -> np.ndarray:
        everything, shown = np.ones((1, len(of)), bool), execution.progress
        return mean_operators(tail, of, everything, jit=execution.jit, progress=shown, team=execution.team)

    parts = [mean(reader.network.tail, maps)]
    for cut in recut(reader.network, layers):
        other = support_maps(Reader(cut, execution), settings.support, seen_images, settings.num_support, settings.seed)
        parts.append(mean(cut.tail, other))
    return np.concatenate(with_features(layers, parts), axis=1)[0]


def check_support(support: str) -> None:
    """Check what `support_maps` will need, so that a mistake is told before the training and not after it.

    Raises:
        InputError: neither "seen" nor "noise" nor a folder that holds images.
    """
    if support not in ("seen", "noise"):
        loose_images(Path(support), _RULE)


def support_maps(reader: Reader, support: str, seen_images: Images, count: int, seed: int) -> np.ndarray:
    """Return conv maps [P, H, W, N] of the support images.

    Args:
        reader: makes the maps.
        support: "seen" samples `seen_images`, "noise" draws uniform pixels, else a folder of images, searched through.
        seen_images: training images of seen classes.
        count: P, at most.
        seed: of the sample or the noise.

    Raises:
        InputError: a folder without images, or one that cannot be read; an image in it that cannot be decoded.
    """
    if support == "noise":
        size = reader.network.input_size
        generator = np.random.default_rng(seed)
        return reader.maps_of_pixels(generator.uniform(0, 255, (count, size, size, 3)).astype(np.float32))
    chosen = balanced_sample(seen_images if support == "seen" else loose_images(Path(support), _RULE), count, seed)
    if support != "seen":
        usable_images(chosen, progress=False)
    return reader.maps(chosen)
