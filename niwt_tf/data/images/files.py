"""One image file: its bytes, its pixels as a person sees them, and as a network takes them.

TensorFlow and Pillow are imported inside the functions that need them, so that importing this is cheap.
"""

from __future__ import annotations

import io
import math
import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from niwt_tf.data.images.foreign import HEAD, is_foreign, read_known, rgb
from niwt_tf.data.schema import Images, InputForm
from niwt_tf.errors import InputError, brief
from niwt_tf.files import state_of

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True)
class OneImage:
    """An image that can be decoded.

    Attributes:
        path: of the file.
        encoded: its bytes.
        pixels: uint8 [height, width, 3], RGB.
    """

    path: Path
    encoded: bytes
    pixels: np.ndarray

    def taken(self, form: InputForm) -> np.ndarray:
        """Return float32 [S, S, 3], RGB in 0..255, as a network of that form takes it."""
        import tensorflow as tf

        from niwt_tf.data.images.decode import decode_image

        return np.asarray(decode_image(tf.constant(self.encoded), form))


def read_one_image(path: str | os.PathLike[str], argument: str) -> OneImage:
    """Read and decode one image.

    Args:
        path: of the file.
        argument: what named it, for messages.

    Raises:
        InputError: it is no path, or it cannot be read or decoded.
    """
    import tensorflow as tf

    from niwt_tf.data.images.decode import decode_pixels, refusal

    if not isinstance(path, str | os.PathLike):
        raise InputError(f"{argument} must be the path of a file. Received: {brief(path)}.")
    try:
        encoded = read_known(path)
    except InputError as error:
        raise InputError(f"{argument} must be an image that can be decoded. Received: {os.fspath(path)!r} ({error}).") from None
    except (OSError, ValueError) as error:  # the latter where a path holds a zero byte
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{argument} must be a file that can be read. Received: {os.fspath(path)!r} ({reason}).") from None
    try:
        return OneImage(Path(path), encoded, decode_pixels(tf.constant(encoded)).numpy())
    except tf.errors.OpError as error:
        rule = f"{argument} must be an image that can be decoded."
        raise InputError(f"{rule} Received: {os.fspath(path)!r} ({refusal(error)}).") from None


def check_pixels(pixels: np.ndarray) -> None:
    """Check that an array is of RGB images in 0..255, [M, H, W, 3].

    Raises:
        InputError: it has another shape or range, or values that are not finite.
    """
    if pixels.ndim != 4 or pixels.shape[-1] != 3 or 0 in pixels.shape[1:]:
        raise InputError(f"images must be a list of paths or an array [M, H, W, 3]. Received: shape {pixels.shape}.")
    if pixels.dtype.kind not in "iufb":
        raise InputError(f"images must be numbers in 0..255. Received: {pixels.dtype}.")
    if not np.isfinite(pixels).all():
        raise InputError("images must be finite. Received: NaN or infinity.")
    lowest, highest = (float(pixels.min()), float(pixels.max())) if pixels.size else (0.0, 0.0)
    if lowest < 0 or highest > 255:
        raise InputError(f"images must be RGB in 0..255. Received: numbers from {lowest:g} to {highest:g}.")
    if 0 < highest <= 1 and pixels.dtype.kind in "fb":  # in 0..255 such images would be black
        raise InputError("images must be RGB in 0..255. Received: numbers in 0..1; multiply them by 255.")


def thumbnail(path: Path, side: int) -> Image.Image | None:
    """Return the whole image as RGB with its longer side of `side` pixels, its shape kept, or None if it cannot be opened."""
    plain = opened(path, side)
    return None if plain is None else resized(plain, side)


def opened(path: Path, side: int) -> Image.Image | None:
    """Return the whole image as RGB, or None if it cannot be opened.

    Like the decoder that the network sees through, it drops an alpha channel, keeps the upper 8 of 16 bits, and turns a
    photograph as its EXIF data say.

    Args:
        path: an image file.
        side: the longer side in pixels that is needed at least, where the file has as many; a JPEG file is decoded at a lower
            resolution if that is enough.
    """
    from PIL import Image

    try:
        state_of(path)
        with open(path, "rb") as file:
            foreign = is_foreign(file.read(HEAD))
        source = io.BytesIO(read_known(path)) if foreign else path
        with warnings.catch_warnings(), Image.open(source) as image:
            warnings.simplefilter("ignore")  # of oddities in the file, which the caller cannot act on
            image.draft("RGB", (2 * side, 2 * side))
            plain, turning = rgb(image), _TURNINGS.get(_orientation(image))
            return plain if turning is None else plain.transpose(Image.Transpose[turning])
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def _orientation(image: Image.Image) -> Any:
    """Return what the EXIF data of an image say; 1 where they are damaged, as for the decoder that the network sees through."""
    from PIL import Image

    exif = Image.Exif()
    try:
        exif.load(image.info.get("exif", b""))
        return exif.get(0x0112, 1)
    except Exception:  # noqa: BLE001  whatever Pillow makes of them
        return 1


# What brings an image upright, by its EXIF orientation.
_TURNINGS = {
    2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE", 6: "ROTATE_270", 7: "TRANSVERSE",
    8: "ROTATE_90",
}  # fmt: skip


def upright_file(encoded: bytes) -> bytes:
    """Return an image file of the same pixels that does not say that it is turned: the same file where it already does not.

    For graphs that were exported before they looked at it. What cannot be decoded is returned as it is.
    """
    import tensorflow as tf
    from PIL import Image

    from niwt_tf.data.images.decode import decode_pixels
    from niwt_tf.data.images.orientation import UPRIGHT, orientation

    if int(orientation(tf.constant(encoded))) == UPRIGHT:
        return encoded
    stream = io.BytesIO()
    try:
        Image.fromarray(decode_pixels(tf.constant(encoded)).numpy()).save(stream, format="PNG", compress_level=1)
    except tf.errors.OpError:
        return encoded
    return stream.getvalue()


def framed(image: Image.Image, resize: str) -> Image.Image:
    """Return what a network is shown of an image, in the image's own shape: all, its middle square, or all within a square.

    `resize` is that of an `InputForm`. Maps over the network's square can be stretched over the result.
    """
    left, top, right, bottom = InputForm(0, resize).part(*image.size)
    x, y = math.floor(left), math.floor(top)
    # Pillow fills what lies outside of the image with black.
    return image.crop((x, y, x + round(right - left), y + round(bottom - top)))


def resized(image: Image.Image, side: int) -> Image.Image:
    """Return an image with its longer side of `side` pixels, its shape kept."""
    from PIL import Image

    scale = side / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.BICUBIC if scale > 1 else Image.Resampling.LANCZOS)


def image_sides(images: Images) -> np.ndarray:
    """Return int64 [M, 2], width and height in pixels as they are stored; files were found good by `usable_images`."""
    from PIL import Image

    def size(path: str) -> tuple[int, int]:
        with Image.open(images.root / path) as image:
            return image.size

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of a large header, which was judged when the data were read
        return np.array([size(path) for path in images.paths], np.int64).reshape(-1, 2)
