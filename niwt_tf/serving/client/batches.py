"""Many images asked about in batches, so that one that cannot be decoded costs no other its answer."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field

import numpy as np

from niwt_tf.data.images.foreign import as_known, read_known
from niwt_tf.data.images.messages import is_of_image
from niwt_tf.errors import InputError, asserted, brief
from niwt_tf.serving.client.answers import ImageAnswer
from niwt_tf.serving.client.transport import Outputs, RequestError

Image = str | os.PathLike[str] | bytes
Progress = Callable[[int], None]
Call = Callable[[Mapping[str, np.ndarray]], Outputs]


@dataclass
class BatchAnswers:
    """What is known of B images so far: the outputs of each by name and the version that answered, or an error by place."""

    rows: list[ImageAnswer | None]
    versions: list[int | None]
    errors: dict[int, str] = field(default_factory=dict)


def ask(
    call: Call, images: Sequence[Image], shared: Mapping[str, np.ndarray], batch_size: int, progress: Progress | None = None
) -> BatchAnswers:
    """Ask about images, files or contents of files, in batches, and image by image about a batch that is refused.

    `call` sends one request, `shared` are inputs beside `image_bytes` that are the same for every image, without the axis of
    the batch, and `progress` is called with the number of images of each batch that is done.

    Raises:
        InputError: no image.
        RequestError: a batch was not answered, for another reason than its images; also where the server says it of each
            image alone, in one and the same sentence that is not of images.
    """
    unordered = isinstance(images, str | bytes | os.PathLike | Mapping | Set)
    if unordered or not hasattr(images, "__len__") or not len(images):
        raise InputError(f"images must be a list of at least one image. Received: {brief(images)}.")
    images = list(images)  # those of a DataFrame's column have an index of their own
    strange = next((place for place, image in enumerate(images) if not isinstance(image, str | bytes | os.PathLike)), None)
    if strange is not None:
        rule = "images must be paths of files or their contents, in a list"
        raise InputError(f"{rule}. Received: {type(images[strange]).__name__} at place {strange}.")
    asked = BatchAnswers([None] * len(images), [None] * len(images))
    for start in range(0, len(images), batch_size):
        batch = range(start, min(start + batch_size, len(images)))
        contents: dict[int, bytes] = {}
        for place in batch:
            try:
                contents[place] = _content(images[place])
            except InputError as error:
                asked.errors[place] = str(error)
            except (OSError, ValueError) as error:  # the latter where a path holds a zero byte
                reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
                asked.errors[place] = f"It cannot be read ({reason})."
        if contents:
            _ask(call, asked, contents, shared)
        if progress:
            progress(len(batch))
    return asked


def _ask(call: Call, asked: BatchAnswers, contents: Mapping[int, bytes], shared: Mapping[str, np.ndarray]) -> None:
    refused = _refusals(call, asked, contents, shared)
    if refused and len(contents) > 1:
        alone = [_refusals(call, asked, {place: content}, shared) for place, content in contents.items()]
        refused = {place: error for one in alone for place, error in one.items()}
    reasons = {place: _reason(error) for place, error in refused.items()}
    is_one_for_all = len(reasons) == len(contents) and len(set(reasons.values())) == 1
    # Once an image has been answered, the rest of the request is known to be right.
    if is_one_for_all and not any(map(is_of_image, reasons.values())) and not any(row is not None for row in asked.rows):
        place, error = refused.popitem()
        raise RequestError(error.code, reasons[place], error.can_be_repeated)
    asked.errors.update(reasons)


def _refusals(
    call: Call, asked: BatchAnswers, contents: Mapping[int, bytes], shared: Mapping[str, np.ndarray]
) -> dict[int, RequestError]:
    """Send one request and take its answer in; return what it was refused with, for each of its images."""
    encoded = np.empty(len(contents), object)
    encoded[:] = list(contents.values())
    repeated = {name: np.repeat(value[None], len(contents), 0) for name, value in shared.items()}
    try:
        outputs = call({"image_bytes": encoded, **repeated})
    except RequestError as error:
        if error.code != "INVALID_ARGUMENT":
            raise
        return dict.fromkeys(contents, error)
    for row, place in enumerate(contents):
        asked.rows[place] = {name: value[row] for name, value in outputs.tensors.items()}
        asked.versions[place] = outputs.version
    return {}


def _reason(error: RequestError) -> str:
    """Return what a server said, without what only its makers can read."""
    return asserted(next(iter(error.detail.splitlines()), error.code))


def _content(image: Image) -> bytes:
    return as_known(image) if isinstance(image, bytes) else read_known(image)
