"""Which heat map a network explains with: at which layer, and how a layer's activations and gradients become heat.

The columns of the head are known, so heat can be taken at any layer, which need not be the method's own. Three kinds:
Grad-CAM (Selvaraju et al. 2017); LayerCAM (Jiang et al. 2021), sum_n ReLU(g_n) a_n, in which each position has weights of its
own, so that fine maps are sharp; and LayerCAM at a fine layer times Grad-CAM at the last map before the features, which keeps
of the sharp map what the whole network agrees with.

Dimensions: B images, S pixels a side, H x W positions of a map, N neurons of a layer, C classes, D features.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from niwt_tf.errors import InputError
from niwt_tf.explain.grad_cam import grad_cam, importance, resized, scaled_to_one, upsampled
from niwt_tf.models.cut import features_of, last_map, output_of
from niwt_tf.models.network import Network

Compute = Callable[[tf.Tensor], tf.Tensor]
Classes = Sequence[tf.Tensor]
GRAD_CAM, LAYER_CAM, FUSED = KINDS = ("grad_cam", "layer_cam", "fused")


@dataclass(frozen=True)
class Heat:
    """A kind of heat map and its layer, "" for the network's own; what was measured of it, if it was chosen.

    Insertion minus deletion, `gain`, is a mean over held-out training images; `centre` is that of a bump in the middle of the
    image, the same for all images, and `lead_low` the lower end of the 95 % interval of the difference. NaN is not known.
    """

    kind: str = GRAD_CAM
    layer: str = ""
    gain: float = float("nan")
    centre: float = float("nan")
    lead_low: float = float("nan")

    @property
    def is_measured(self) -> bool:
        """Whether it was chosen on images."""
        return bool(np.isfinite(self.lead_low))

    @property
    def is_true(self) -> bool:
        """Whether it was told from the centre of the image; True where that is not known."""
        return not self.is_measured or self.lead_low > 0

    def arrays(self) -> dict[str, np.ndarray]:
        """Return everything as arrays by name; `from_arrays` takes them back."""
        figures = np.array([self.gain, self.centre, self.lead_low])
        return {"heat": np.array([self.kind, self.layer], np.str_), "heat_figures": figures}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Heat:
        """Return what `arrays` gave."""
        return cls(*arrays["heat"].tolist(), *arrays["heat_figures"].tolist())


class Steps(NamedTuple):
    """A network as steps from images to features, and which of the maps between them mean what.

    The first step takes images to the first map, others a map to the next, the last a map to features [B, D].
    """

    calls: tuple[Compute, ...]
    own: int = 0
    fine: int = 0
    last: int = 0
    kind: str = GRAD_CAM

    @classmethod
    def of(cls, network: Network, heat: Heat, wrap: Callable[[Compute], Compute] = lambda step: step) -> Steps:
        """Return the steps of a network for a heat map, sharing its layers; `wrap` is applied to each."""
        fine = heat.layer or network.layer
        wanted = {network.layer, fine} | ({last_map(network.model)} if heat.kind == FUSED else set())
        order = [layer.name for layer in network.model.layers]
        layers = sorted(wanted, key=order.index)
        tensors = [network.model.inputs[0], *(output_of(network.model, name) for name in layers), features_of(network.model)]
        models = [keras.Model(start, end) for start, end in zip(tensors[:-1], tensors[1:], strict=True)]
        calls = tuple(wrap(partial(_inference, model)) for model in models)
        return cls(calls, layers.index(network.layer), layers.index(fine), len(layers) - 1, heat.kind)

    @property
    def trunk(self) -> Compute:
        """Images -> the network's own map."""
        return partial(_chained, self.calls[: self.own + 1])

    @property
    def tail(self) -> Compute:
        """The network's own map -> features."""
        return partial(_chained, self.calls[self.own + 1 :])


def first_cut(network: Network, heat: Heat) -> Network:
    """Return the network cut at the earliest layer that its explanations need."""
    order = [layer.name for layer in network.model.layers]
    first = min({network.layer, heat.layer or network.layer}, key=order.index)
    return network if first == network.layer else Network(network.model, first)


def _inference(model: keras.Model, values: tf.Tensor) -> tf.Tensor:
    return model(values, training=False)


def _chained(calls: tuple[Compute, ...], values: tf.Tensor) -> tf.Tensor:
    for call in calls:
        values = call(values)
    return values


class Explained(NamedTuple):
    """Maps by step, calibrated or plain logits float32 [B, C], the chosen classes, and for each the maps' gradients."""

    maps: list[tf.Tensor]
    logits: tf.Tensor
    classes: Classes
    gradients: list[list[tf.Tensor]]


def explained(first: tf.Tensor, steps: Steps, logits_of: Compute, choose: Callable[[tf.Tensor], Classes]) -> Explained:
    """Return all maps after the first, and the gradients by them of the logits of classes that are chosen after seeing them.

    One pass forward, and one back for each choice. The gradient of a difference of logits is the difference of gradients.
    """
    with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
        tape.watch(first)
        maps = [first]
        for call in steps.calls[1:-1]:
            maps.append(call(maps[-1]))
        logits = logits_of(steps.calls[-1](maps[-1]))
    chosen = tuple(choose(logits))
    width = tf.shape(logits)[1]
    gradients = [
        [
            tf.cast(gradient, tf.float32)
            for gradient in tape.gradient(logits, maps, output_gradients=tf.one_hot(classes, width, dtype=logits.dtype))
        ]
        for classes in chosen
    ]
    return Explained(maps, tf.cast(logits, tf.float32), chosen, gradients)


def heat_of(steps: Steps, maps: list[tf.Tensor], gradients: list[tf.Tensor]) -> tf.Tensor:
    """Return the heat map float32 [B, H, W] at the fine layer, at least 0 and with a maximum of 1, or 0 everywhere.

    The gradients are those of a logit or of a difference of two, by each of the maps.
    """
    fine, slope = tf.cast(maps[steps.fine], tf.float32), gradients[steps.fine]
    if steps.kind == GRAD_CAM:
        return grad_cam(fine, importance(slope))
    sharp = scaled_to_one(tf.nn.relu(tf.reduce_sum(tf.nn.relu(slope) * fine, axis=-1)))
    if steps.kind == LAYER_CAM:
        return sharp
    whole = grad_cam(tf.cast(maps[steps.last], tf.float32), importance(gradients[steps.last]))
    shape = tf.shape(sharp)
    return scaled_to_one(sharp * resized(whole, shape[1], shape[2]))


def explained_twice(network: Network, heat: Heat, *, jit: bool = False) -> Callable[..., tuple[tf.Tensor, ...]]:
    """Return a compiled function of first maps that are at hand already: two classes of each image, for one pass forward.

    It takes maps of `first_cut`, float32 [B, H, W, N], classes and others int64 [B], and gives the network's own map, heat and
    importance [B, N] of the first class, then heat and importance of the second.
    """
    steps = Steps.of(network, heat)

    def twice(maps: tf.Tensor, classes: tf.Tensor, others: tf.Tensor) -> tuple[tf.Tensor, ...]:
        found = explained(maps, steps, network.head, lambda _: (classes, others))
        said: list[Any] = [tf.cast(found.maps[steps.own], tf.float32)]
        for gradients in found.gradients:
            said += [heat_of(steps, found.maps, gradients), importance(gradients[steps.own])]
        return tuple(said)

    chosen = tf.TensorSpec([None], tf.int64)
    shape = first_cut(network, heat).tail.input_shape[1:]
    return _traced(twice, [tf.TensorSpec([None, *shape], tf.float32), chosen, chosen], jit)


_NOBODY = -1


class HeatMaps:
    """Heat maps of a network, which is read when a shape is first seen and must not change its layers after that.

    What follows the first map is taken from the `judging` network instead, as a check of what a heat map depends on. `jit`
    compiles with XLA.
    """

    def __init__(
        self, network: Network, heat: Heat | None = None, judging: Network | None = None, *, jit: bool = False
    ) -> None:
        self._network, self._judging, heat = network, judging or network, heat or Heat()
        self._first, self._steps = Steps.of(network, heat).calls[0], Steps.of(self._judging, heat)
        self._shape = output_of(network.model, heat.layer or network.layer).shape[1:3]
        size = network.input_size
        pixels, whole = tf.TensorSpec([None, size, size, 3], tf.float32), tf.TensorSpec([None], tf.int32)
        # XLA compiles for a shape; a signature would hide it.
        signature = None if jit else [pixels, whole, whole]
        self._coarse = _traced(self._maps, signature, jit)
        self._fine = _traced(self._upsampled_maps, signature, jit)

    def __call__(
        self, images: np.ndarray, classes: np.ndarray, rivals: np.ndarray | None = None, *, upsample: bool = True
    ) -> np.ndarray:
        """Return a map for each image, at least 0 and with a maximum of 1; 0 everywhere where nothing speaks for the class.

        Images are [B, S, S, 3], RGB in 0..255, classes int [B]. With rivals, int [B], the map is that of the difference of the
        two logits. It is [B, S, S], bilinear, or without `upsample` [B, H, W].

        Raises:
            InputError: a class that the network does not have, or not one for each image.
        """
        count = len(images)
        against = np.full(count, _NOBODY) if rivals is None else np.asarray(rivals)
        for name, chosen in (("classes", np.asarray(classes)), ("rivals", against)):
            self._check(name, chosen, count, lowest=_NOBODY if rivals is None and name == "rivals" else 0)
        if not count:  # some operations refuse a batch of none
            size = self._network.input_size
            return np.empty((0, size, size) if upsample else (0, *self._shape), np.float32)
        compute = self._fine if upsample else self._coarse
        arguments = (images, tf.float32), (classes, tf.int32), (against, tf.int32)
        return compute(*(tf.cast(value, dtype) for value, dtype in arguments)).numpy()

    def _check(self, name: str, chosen: np.ndarray, count: int, lowest: int) -> None:
        if chosen.shape != (count,):
            raise InputError(f"{name} must name one class for each of {count} images. Received: shape {chosen.shape}.")
        known = len(self._network.class_names)
        if count and not (lowest <= chosen.min() and chosen.max() < known):
            wrong = chosen[(chosen < lowest) | (chosen >= known)][0]
            raise InputError(f"{name} must be indices from 0 to {known - 1}. Received: {wrong}.")

    def _maps(self, images: tf.Tensor, classes: tf.Tensor, rivals: tf.Tensor) -> tf.Tensor:
        against = tf.maximum(rivals, 0)
        found = explained(self._first(images), self._steps, self._judging.head, lambda _: (classes, against))
        has_rival = tf.cast(rivals != _NOBODY, tf.float32)[:, None, None, None]
        gradients = [own - has_rival * other for own, other in zip(*found.gradients, strict=True)]
        return heat_of(self._steps, found.maps, gradients)

    def _upsampled_maps(self, images: tf.Tensor, classes: tf.Tensor, rivals: tf.Tensor) -> tf.Tensor:
        return scaled_to_one(upsampled(self._maps(images, classes, rivals), self._network.input_size))


def _traced(function: Callable[..., Any], signature: list[tf.TensorSpec] | None, jit: bool) -> Callable[..., Any]:
    # TensorFlow warns of retracing by the line of code that a function is from; a partial is a function of its own.
    return tf.function(partial(function), input_signature=signature, jit_compile=jit, autograph=False)
