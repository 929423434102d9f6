"""Photographs in formats that a served graph does not know (TIFF, HEIC, AVIF, JPEG 2000, PPM): Pillow reads them, PNG goes on.

So are BMP files of other than 24 bits a pixel: TensorFlow reads the numbers of a palette's colours as shades of grey.

They are known by their first bytes. HEIC needs a plug-in of Pillow's, pillow-heif. TensorFlow is not imported.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import io
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from niwt_tf.config.extras import to_install
from niwt_tf.data.images.messages import ANIMATED, PIXEL_LIMIT, TOO_LARGE
from niwt_tf.errors import InputError
from niwt_tf.files import state_of

if TYPE_CHECKING:
    from PIL import Image

# What a file of one of them has, and where: all of a row. The file of a HEIC or AVIF photograph is made like that of a film.
_TIFF = ((0, b"II*\0"), (0, b"MM\0*"), (0, b"II+\0"), (0, b"MM\0+"))
_JPEG_2000 = ((0, b"\0\0\0\x0cjP  "), (0, b"\xff\x4f\xff\x51"))
_NETPBM = ((0, b"P5\n"), (0, b"P6\n"), (0, b"P5 "), (0, b"P6 "))
_BMP = (0, b"BM")
_BITS = tuple((28, bytes((bits, 0))) for bits in (1, 4, 8, 16, 32))  # a pixel
_OF_OS2 = (14, b"\x0c\0\0\0")  # its header is shorter
FIRST_BYTES = (
    *((test,) for test in (*_TIFF, *_JPEG_2000, *_NETPBM, (4, b"ftyp"))), *((_BMP, other) for other in (*_BITS, _OF_OS2))
)  # fmt: skip
HEAD = max(place + len(name) for tests in FIRST_BYTES for place, name in tests)  # bytes of a file that tell
FOREIGN_SUFFIXES = frozenset(
    (".tif", ".tiff", ".heic", ".heif", ".hif", ".avif", ".jp2", ".j2k", ".jpf", ".jpx", ".ppm", ".pgm", ".pnm")
)
_HEIC = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1", b"mif2")
_AVIF = (b"avif", b"avis")


def is_foreign(encoded: bytes) -> bool:
    """Return whether the bytes are of a format that Pillow must read."""
    return any(all(encoded.startswith(name, place) for place, name in tests) for tests in FIRST_BYTES)


def as_known(encoded: bytes) -> bytes:
    """Return the bytes of a file that a served graph decodes: those given, or a PNG of the same pixels where they are foreign.

    Raises:
        InputError: the format is foreign, and the file is damaged, too large or has several pages, or what reads it is not
            installed. The message says that of "the image"; the caller names the file.
    """
    if not is_foreign(encoded):
        return encoded
    from PIL import Image, ImageOps

    _register_heif()
    if any(encoded.startswith(name) for _, name in _TIFF):
        _check_tiff(encoded)
    try:
        with warnings.catch_warnings(), Image.open(io.BytesIO(encoded)) as image:
            warnings.simplefilter("ignore")
            if image.width * image.height > PIXEL_LIMIT:
                raise InputError(f"{TOO_LARGE}{image.width * image.height}.")
            if image.format == "AVIF" and getattr(image, "n_frames", 1) > 1:
                raise InputError(ANIMATED)
            stream = io.BytesIO()
            rgb(ImageOps.exif_transpose(image), _bits(image)).save(stream, format="PNG", compress_level=1)
            return stream.getvalue()
    except InputError:
        raise
    except Image.UnidentifiedImageError:
        raise InputError(f"The image is {_unread(encoded)}.") from None
    except Image.DecompressionBombError:
        raise InputError(f"The image must declare at most {PIXEL_LIMIT} pixels. Received: more.") from None
    except Exception as error:  # whatever a plug-in makes of a damaged file
        raise InputError(f"The image cannot be decoded by Pillow ({str(error).strip() or type(error).__name__}).") from None


MOST_BYTES = 2**29  # of a file: as many pixels as may be decoded, of four numbers of 32 bits each, without any compression


def stored_bytes(path: str | os.PathLike[str]) -> bytes:
    """Return the bytes of a file as they are.

    Raises:
        OSError: it cannot be read, is larger than any image, or would never end, as a pipe or a device.
    """
    if state_of(path).st_size > MOST_BYTES:
        raise OSError(errno.EINVAL, f"Larger than {MOST_BYTES} bytes", os.fspath(path))
    return Path(path).read_bytes()


def read_known(path: str | os.PathLike[str]) -> bytes:
    """Return the bytes of a file as `as_known` does.

    Raises:
        InputError: see there.
        OSError: it cannot be read.
    """
    return as_known(stored_bytes(path))


def _bits(image: Image.Image) -> int:
    """Return how many bits a pixel of a TIFF file has that Pillow reads into 16: 12 of some microscopes and scanners."""
    told = getattr(image, "tag_v2", {}).get(_BITS_PER_SAMPLE, (16,))
    return int(told[0]) if told and 8 < told[0] < 16 else 16


_BITS_PER_SAMPLE = 258


def rgb(image: Image.Image, bits: int = 16) -> Image.Image:
    """Return an image as RGB: of 16 bits (or as many as are given) the upper 8, which Pillow would clip, and without alpha.

    Raises:
        ValueError: its pixels are fractions, whose range nothing says; Pillow would make 0..1 black.
    """
    from PIL import Image

    if image.mode == "F":
        raise ValueError("its pixels are fractions; save it with 8 or 16 bits")
    if image.mode.startswith("I"):
        upper = (np.asarray(image, np.float64) / 2 ** (bits - 8)).clip(0, 255)
        return Image.fromarray(upper.astype(np.uint8)).convert("RGB")
    return image.convert("RGB")


# Bytes of a number of each type that a TIFF's tags have.
_WIDTHS = np.array([0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 0, 0, 8, 8, 8], np.float64)


def _check_tiff(encoded: bytes) -> None:
    """Check that a TIFF has one page, whose tags do not name the same bytes again and again: Pillow would copy them each time.

    Raises:
        InputError: it has several, or they do.
    """
    order, big = "<" if encoded[:2] == b"II" else ">", b"+" in encoded[2:4]
    number, count, word = (8, "u8", 20) if big else (4, "u2", 12)
    try:
        first = int(np.frombuffer(encoded, f"{order}u{number}", 1, number)[0])
        entries = int(np.frombuffer(encoded, f"{order}{count}", 1, first)[0])
        start = first + int(count[1])
        tags = np.frombuffer(encoded, f"{order}u2,{order}u2,{order}u{number},V{number}", entries, start)
        further = int(np.frombuffer(encoded, f"{order}u{number}", 1, start + entries * word)[0])
    except (ValueError, OverflowError):  # it is cut off, which Pillow says
        return
    named = _WIDTHS[np.where(tags["f1"] < len(_WIDTHS), tags["f1"], 0)] * tags["f2"]
    if named.sum() > 2 * len(encoded):
        rule = f"The image must have tags that its {len(encoded)} bytes hold"
        raise InputError(f"{rule}. Received: {named.sum():.0f} bytes of them.")
    if further not in (0, first):
        raise InputError("The image must not have several pages.")


def _unread(encoded: bytes) -> str:
    """Return what a file is that Pillow does not know."""
    from PIL import features

    brand = encoded[8:12]
    readers = {**dict.fromkeys(_HEIC, ("HEIC", _register_heif())), **dict.fromkeys(_AVIF, ("AVIF", features.check("avif")))}
    if encoded[4:8] == b"ftyp" and brand not in readers:
        return "a film, or of a format that cannot be read"
    name, is_read = readers.get(brand, ("", True))
    return "damaged" if is_read else f"a {name} file, which needs {to_install('pillow_heif')}"


@functools.cache
def _register_heif() -> bool:
    """Have Pillow read HEIC files, where the plug-in is installed; return whether it is."""
    with contextlib.suppress(ImportError):
        import pillow_heif

        pillow_heif.register_heif_opener()
        return True
    return False
