"""What a frozen network makes of images: conv maps, features and logits, streamed in batches and computed once.

Dimensions: B images of a batch, M images, H x W positions, N neurons, D features, C classes.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from niwt_tf.compute.execution import LARGEST_IN_MEMORY, Execution, compiled
from niwt_tf.compute.feature_cache import RowTable, identities_of
from niwt_tf.config.settings import Settings
from niwt_tf.data.folds import Fold, Partition
from niwt_tf.data.images.pipeline import KeptPixels, image_batches
from niwt_tf.data.sampling import evaluation_sample, held_out_sample, statistics_sample
from niwt_tf.data.schema import Images
from niwt_tf.errors import InputError
from niwt_tf.files import fingerprint
from niwt_tf.models.network import Network, in_precision


class Reader:
    """Reads images through a network whose weights do not change as long as a reader with a cache is used.

    Everything is compiled once, at first use. With a cache, rows that are there are read, and what is computed is kept:
    features always, maps where that is asked for. Results are float32 and in the order of the images, in inference mode.
    With a team, `features`, `pooled_maps` and `logits` compute this process's share and exchange the rest exactly; the
    iterators stream what they are given.

    Args:
        network: what is read through.
        execution: how.
        kept: images that were decoded before, for what is read again and again; None decodes each time.
    """

    def __init__(self, network: Network, execution: Execution | None = None, kept: KeptPixels | None = None) -> None:
        self.network, self.kept = network, kept
        self.execution = execution or Execution()
        self.cache = self.execution.cache

    def map_batches(self, images: Images, *, keep: bool = True) -> Iterator[tf.Tensor]:
        """Yield conv maps [B, H, W, N]; `keep` puts those that are computed in the cache."""
        yield from self._stream("maps", images, self._decoded(self._trunk), keep, "")

    def feature_batches(self, images: Images, *, keep_maps: bool = False) -> Iterator[np.ndarray]:
        """Yield features [B, D]; `keep_maps` puts the maps on the way to them in the cache as well."""
        for rows in self._stream("features", images, self._features_source(keep_maps), True, "features"):
            yield np.asarray(rows)

    def maps(self, images: Images) -> np.ndarray:
        """Return conv maps [M, H, W, N], all in memory."""
        parts = [np.asarray(batch) for batch in self.map_batches(images)]
        return np.concatenate(parts) if parts else np.empty((0, *self._shape("maps")), np.float32)

    def maps_of_pixels(self, pixels: np.ndarray) -> np.ndarray:
        """Return conv maps [M, H, W, N] of pixels [M, S, S, 3], RGB in 0..255."""
        size = self.execution.batch_size
        starts = range(0, len(pixels), size)
        maps = np.concatenate([self._trunk(tf.constant(pixels[start : start + size])).numpy() for start in starts])
        if not np.isfinite(maps).all():
            raise InputError("Conv maps of --support=noise must be finite. Received: NaN or infinity.")
        return maps

    def features(self, images: Images) -> np.ndarray:
        """Return what the head is applied to, [M, D]; a read-only view of the cache's file where its rows lie in a row."""
        view = self._view(images) if self.execution.team.size == 1 else None
        return view if view is not None else self._gathered(images, self._shape("features")[0], self.feature_batches)

    def pooled_maps(self, images: Images) -> np.ndarray:
        """Return the conv map's mean over positions, [M, N]."""
        return self._gathered(images, self.network.num_neurons, self._pooled_batches)

    def logits(self, images: Images) -> np.ndarray:
        """Return calibrated logits [M, C]."""
        columns = len(self.network.class_names)
        if self.cache is None:
            whole = self._decoded(self._whole)
            return self._gathered(images, columns, lambda few: map(np.asarray, self._stream("", few, whole, False, "predict")))
        return self._gathered(images, columns, lambda some: (self._head(rows).numpy() for rows in self.feature_batches(some)))

    def _pooled_batches(self, images: Images) -> Iterator[np.ndarray]:
        def source(some: Images) -> Iterator[tf.Tensor]:
            for maps in self._stream("maps", some, self._decoded(self._trunk), False, ""):
                yield self._rounded(tf.reduce_mean(maps, axis=[1, 2]))

        for rows in self._stream("pooled", images, source, True, "features"):
            yield np.asarray(rows)

    @cached_property
    def _body(self) -> Network:
        precision = self.execution.precision
        return self.network if precision == "float32" else in_precision(self.network, precision)

    @cached_property
    def _trunk(self) -> Callable[[tf.Tensor], tf.Tensor]:
        trunk = self._body.trunk
        return self._compiled(lambda images: self._rounded(trunk(images, training=False)), self._pixels)

    @cached_property
    def _tail(self) -> Callable[[tf.Tensor], tf.Tensor]:
        tail = self._body.tail
        return self._compiled(lambda maps: self._rounded(tail(maps, training=False)), self._shape("maps"))

    @cached_property
    def _trunk_and_tail(self) -> Callable[[tf.Tensor], tf.Tensor]:
        trunk, tail = self._body.trunk, self._body.tail

        def both(images: tf.Tensor) -> tf.Tensor:
            return self._rounded(tail(self._rounded(trunk(images, training=False)), training=False))

        return self._compiled(both, self._pixels)

    @cached_property
    def _whole(self) -> Callable[[tf.Tensor], tf.Tensor]:
        model = self._body.model
        return self._compiled(lambda images: model(images, training=False), self._pixels)

    @cached_property
    def _head(self) -> Callable[[np.ndarray], tf.Tensor]:
        return self._compiled(lambda features: self.network.head(features), self._shape("features"))

    @property
    def _pixels(self) -> tuple[int, ...]:
        return tuple(int(size) for size in self.network.model.input_shape[1:])

    def _shape(self, kind: str) -> tuple[int, ...]:
        shapes = {"maps": self.network.tail.input_shape[1:], "features": self.network.tail.output_shape[1:]}
        return tuple(int(size) for size in shapes.get(kind, (self.network.num_neurons,)))

    def _compiled(self, function: Callable[[tf.Tensor], tf.Tensor], shape: tuple[int, ...]) -> Callable[..., tf.Tensor]:
        def in_float32(rows: tf.Tensor) -> tf.Tensor:
            return tf.cast(function(rows), tf.float32)

        return compiled(in_float32, [tf.TensorSpec([None, *shape], tf.float32)], self.execution.jit, self.execution.batch_size)

    def _rounded(self, rows: tf.Tensor) -> tf.Tensor:
        """Return rows as a cache of half precision would give them back, so that a cold and a warm cache agree."""
        rows = tf.cast(rows, tf.float32)
        if self.cache is None or self.cache.dtype == "float32":
            return rows
        largest = float(np.finfo(self.cache.dtype).max)
        return tf.cast(tf.cast(tf.clip_by_value(rows, -largest, largest), self.cache.dtype), tf.float32)

    @cached_property
    def _made_from(self) -> dict[str, dict[str, str | int | bool]]:
        execution, size = self.execution, self.network.input_size
        common: dict[str, str | int | bool] = {
            "layer": self.network.layer, "input_size": size, "decoding": f"upright {self.network.input_form.resize}",
             "precision": execution.precision, "jit": execution.jit,
            "tensorflow": tf.__version__, "trunk": model_fingerprint(self.network.trunk)
        }
        return {"maps": common, "pooled": common, "features": {**common, "tail": model_fingerprint(self.network.tail)}}

    def _table(self, kind: str, make: bool) -> RowTable | None:
        if self.cache is None or not kind:
            return None
        return self.cache.table(kind, self._shape(kind), self._made_from[kind], make=make)

    def _view(self, images: Images) -> np.ndarray | None:
        table = self._table("features", make=False) if len(images) else None
        if table is None:
            return None
        table.refresh()
        return table.view(table.find(identities_of(images)))

    def _gathered(self, images: Images, width: int, batches: Callable[[Images], Iterator[np.ndarray]]) -> np.ndarray:
        team = self.execution.team
        mine = team.share(len(images))
        result, done = self._room(len(images), width), 0
        for rows in batches(images if team.size == 1 else images.take(mine)):
            result[mine[done : done + len(rows)]] = rows
            done += len(rows)
        return team.sum(result)[0]

    def _room(self, count: int, width: int) -> np.ndarray:
        """Return zeros [M, D]: in memory, or where they are too many in a file that is gone with the array."""
        if count * width * 4 <= LARGEST_IN_MEMORY:
            return np.zeros((count, width), np.float32)
        folder = self.cache.folder if self.cache is not None and self.cache.folder.is_dir() else None
        with tempfile.TemporaryFile(dir=folder) as file:
            return np.memmap(file, np.float32, "w+", shape=(count, width))

    def _decoded(self, function: Callable[[tf.Tensor], tf.Tensor]) -> Callable[[Images], Iterator[tf.Tensor]]:
        form, batch_size = self.network.input_form, self.execution.batch_size

        def source(images: Images) -> Iterator[tf.Tensor]:
            for batch, _ in image_batches(images, form, batch_size, kept=self.kept) if len(images) else ():
                yield function(batch)

        return source

    def _features_source(self, keep_maps: bool) -> Callable[[Images], Iterator[tf.Tensor]]:
        if not keep_maps and self._table("maps", make=False) is None:
            return self._decoded(self._trunk_and_tail)
        return lambda images: (
            self._tail(maps) for maps in self._stream("maps", images, self._decoded(self._trunk), keep_maps, "")
        )

    def _stream(
        self, kind: str, images: Images, source: Callable[[Images], Iterator[tf.Tensor]], keep: bool, title: str
    ) -> Iterator[tf.Tensor]:
        """Yield rows in the order of the images: those of the table, and between them those that `source` computes."""
        with tqdm(total=len(images), desc=title, unit="image", disable=not (title and self.execution.progress)) as bar:
            done = 0
            for batch in self._rows(kind, images, source, keep):
                self._check_finite(batch, images, done)
                done += len(batch)
                yield batch
                bar.update(len(batch))

    def _check_finite(self, rows: Any, images: Images, first: int) -> None:
        sums = np.asarray(tf.reduce_sum(tf.reshape(rows, [len(rows), -1]) * 0.0, axis=1))  # NaN for NaN and infinity
        broken = np.flatnonzero(sums != 0)
        if len(broken):
            place = first + int(broken[0])
            path, name = images.paths[place], images.class_names[images.labels[place]]
            raise InputError(
                "The output of the network for an image must be finite; training with a lower --learning_rate or in "
                f"--precision=float32 may help. Received: NaN or infinity for the image {path!r} (class {name!r})."
            )

    def _rows(
        self, kind: str, images: Images, source: Callable[[Images], Iterator[tf.Tensor]], keep: bool
    ) -> Iterator[tf.Tensor]:
        table = self._table(kind, make=keep) if len(images) else None
        if table is None or self.cache is None:
            yield from source(images)
            return
        identities = identities_of(images)
        table.refresh()
        rows = table.find(identities)
        absent = np.flatnonzero(rows < 0)
        computed = _Computed(source(images.take(absent)))
        for start in range(0, len(images), self.execution.batch_size):
            chosen = np.arange(start, min(start + self.execution.batch_size, len(images)))
            missing = rows[chosen] < 0
            if missing.all():
                batch = computed.take(len(chosen))
                if keep:
                    keep = self.cache.store(kind, table, identities[chosen], batch.numpy(), len(absent))
                yield batch
                continue
            values = np.empty((len(chosen), *table.shape), np.float32)
            values[~missing], sound = table.read(rows[chosen[~missing]])
            if missing.any():
                values[missing] = computed.take(int(missing.sum())).numpy()
            torn = np.flatnonzero(~missing)[~sound]
            if len(torn):
                self.cache.tell_damage(table)
                values[torn] = np.concatenate([each.numpy() for each in source(images.take(chosen[torn]))])
                missing[torn] = True
            if keep and missing.any():
                keep = self.cache.store(kind, table, identities[chosen[missing]], values[missing], len(absent))
            yield tf.constant(values)


class _Computed:
    """Batches of any sizes out of a stream of batches."""

    def __init__(self, batches: Iterator[tf.Tensor]) -> None:
        self._batches = batches
        self._held: list[tf.Tensor] = []

    def take(self, count: int) -> tf.Tensor:
        """Return the next `count` rows."""
        while sum(len(batch) for batch in self._held) < count:
            self._held.append(next(self._batches))
        rows = self._held[0] if len(self._held) == 1 else tf.concat(self._held, axis=0)
        self._held = [rows[count:]] if len(rows) > count else []
        return rows if len(rows) == count else rows[:count]


def readers_of(settings: Settings, networks: Mapping[str, Network], execution: Execution) -> dict[str, Reader]:
    """Return a reader by partition; with `finetune="head"` all share main's, for they differ in their heads alone."""
    if settings.finetune == "head":
        return dict.fromkeys(networks, Reader(networks["main"], execution))
    return {name: Reader(network, execution) for name, network in networks.items()}


def prepare_choices(settings: Settings, partition: Partition, reader: Reader) -> None:
    """Put the features that Stage 3 will ask for in the reader's cache, so that it runs no network; without one do nothing."""
    if reader.cache is None:
        return
    compared = evaluation_sample(settings, partition) if isinstance(partition, Fold) else held_out_sample(settings, partition)
    for images in (statistics_sample(settings, partition), compared):
        reader.features(images)


# These change how a model is trained, or where a module lies, not what is made of an image.
_IGNORED = frozenset(("trainable", "kernel_initializer", "bias_initializer", "build_config", "inference", "handle"))


def model_fingerprint(model: keras.Model) -> str:
    """Return 16 hex digits that change with the model's architecture, precision or weights.

    Names of layers make no difference: Keras numbers them by what else the process has built.
    """
    config = model.get_config()
    names = {layer["config"]["name"]: f"layer {index}" for index, layer in enumerate(config["layers"])}
    text = json.dumps(_renamed(config["layers"], names), sort_keys=True, default=str)
    return fingerprint(text, *(np.asarray(weight) for weight in model.get_weights()))


def _renamed(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _renamed(item, names) for key, item in value.items() if key not in _IGNORED}
    if isinstance(value, list | tuple):
        return [_renamed(item, names) for item in value]
    return names.get(value, value) if isinstance(value, str) else value
