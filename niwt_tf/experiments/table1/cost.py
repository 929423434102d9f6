"""What an archive and a run of Table 1 take: gigabytes, and GPU hours by counting floating point operations.

Nothing here is measured. Sizes are those that the publishers state, or the sizes of the arrays in a file.
"""

from __future__ import annotations

from dataclasses import dataclass

from niwt_tf.config.backbones import BACKBONES
from niwt_tf.config.settings import Settings


@dataclass(frozen=True)
class Download:
    """A file to fetch, where it is published, its gigabytes (None where its publisher states none), and those it unpacks to."""

    what: str
    url: str
    packed: float | None
    unpacked: float


IMAGES = {
    "cub": Download("CUB_200_2011.tgz", "https://data.caltech.edu/records/65de6-vp158/files/CUB_200_2011.tgz", 1.1, 1.2),
    "awa2": Download("AwA2-data.zip", "https://cvml.ista.ac.at/AwA2/AwA2-data.zip", 13.0, 13.0),
}
SPLITS = Download("xlsa17.zip", "https://datasets.d2.mpi-inf.mpg.de/xian/xlsa17.zip", 0.9, 1.0)
CAPTIONS = Download("text_c10 of cvpr2016_cub.tar.gz", "https://github.com/reedscot/cvpr2016", None, 0.05)
_FILES = ((BACKBONES[backbone].published, backbone, size) for backbone, size in (("vgg16", 0.55), ("resnet101", 0.17)))
WEIGHTS = {backbone: Download(file.name, file.url, size, size) for file, backbone, size in _FILES if file}

# Images of the Proposed Split: those of training, and all.
_IMAGES = {"cub": (7057, 11788), "awa2": (23527, 37322)}
# Multiply-adds of convolutions and fully connected layers for one image of 224 x 224: of the whole network, and of the
# layers after the default one; neurons of that layer; numbers in its map and in the features.
_NETWORKS = {"vgg16": (15.47e9, 0.12e9, 512, 14 * 14 * 512 + 4096), "resnet101": (7.57e9, 0.44e9, 2048, 7 * 7 * 2048 + 2048)}
_MOST_EPOCHS = {"head": 60, "all": 20}


@dataclass(frozen=True)
class Operations:
    """Floating point operations of a run, at most, by what they are spent on.

    Training is epochs of fine-tuning, of the main network and of one a fold, forward and backward; passes are for the maps,
    features and importance of every image; transfer is the tail's derivatives at the support images.
    """

    training: float
    passes: float
    transfer: float

    @property
    def total(self) -> float:
        """All of them."""
        return self.training + self.passes + self.transfer

    def hours(self, tflops: float) -> float:
        """Return the hours that a device takes which does `tflops` 10^12 of them a second."""
        return self.total / (tflops * 1e12) / 3600


def operations(settings: Settings, trained: bool = False) -> Operations:
    """Return an upper estimate for a run of Table 1 up to `evaluate`.

    A multiply-add counts as 2 operations, a backward pass as two forward ones. Training by batches ends early where the
    validation accuracy stops rising, so it may take far less, and nothing if the networks are there already; reading and
    decoding images is not counted.
    """
    train, images = _IMAGES[settings.dataset]
    whole, tail, neurons, _ = _NETWORKS[settings.backbone]
    scale = ((settings.input_size or 224) / 224) ** 2
    whole, tail = 2 * whole * scale, 2 * tail * scale
    networks = 1 + settings.num_folds
    epochs = settings.epochs or _MOST_EPOCHS[settings.finetune]
    # A head alone is trained on features that are computed once.
    training = epochs * networks * train * 3 * whole if settings.finetune == "all" and not trained else 0.0
    # Before all layers are, the head is trained on features; afterwards maps and features are others.
    times = 2 * networks if settings.finetune == "all" else 1
    passes = train * (times * whole + networks * 3 * tail) + (images - train) * whole
    transfer = networks * settings.num_support * neurons * 2 * tail
    return Operations(training, passes, transfer)


def cache_gigabytes(settings: Settings) -> float:
    """Return the size of the maps and features of all images, which a cache would hold if it were large enough."""
    numbers = _NETWORKS[settings.backbone][3] * ((settings.input_size or 224) / 224) ** 2
    return _IMAGES[settings.dataset][1] * numbers * (2 if settings.cache_dtype == "float16" else 4) / 1e9
