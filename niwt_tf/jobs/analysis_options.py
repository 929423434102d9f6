"""Flags of the analyses, beside those of every stage. Imported by `niwt --help`, so nothing heavy is imported here."""

from __future__ import annotations

from niwt_tf.config.options import Option

_HALF_DECADES = tuple(float(f"{10.0 ** (power / 2):.3g}") for power in range(-12, 7))

# Beyond, sums of squares overflow or vanish in float32, and there is nothing to draw.
_LEAST, _MOST = 1e-12, 1e12

LAMBDA_SWEEP_OPTIONS = (
    Option("lambda_grid", "floats", _HALF_DECADES, "Weights of the regulariser to draw.", at_least=_LEAST, below=_MOST),
)

WEIGHT_RECOVERY_OPTIONS = (
    Option(
        "epsilons",
        "floats",
        (0.0, 0.1, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0),
        "Noise, in units of the mean magnitude of the importance that it is added to.",
        at_least=0,
        below=_MOST,
    ),
    Option("noise_seeds", "int", 5, "Draws of the noise.", at_least=2),
    Option("recovery_images", "int", 2000, "Most training images that importances are taken of.", at_least=1),
)

LAYER_DEPTH_OPTIONS = (
    Option("layers", "strs", (), "Layers to cut at; by default the last of each block and every fully connected layer."),
)

SUPPORT_IMAGES_OPTIONS = (
    Option("imagenet_dir", "str", None, "Folder of other images, such as a sample of ImageNet, for a row.", optional=True),
)
