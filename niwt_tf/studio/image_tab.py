"""The part of the page where an image is tried."""

from __future__ import annotations

import streamlit as st
from starlette.formparsers import MultiPartParser

from niwt_tf.data.images.foreign import as_known
from niwt_tf.errors import InputError
from niwt_tf.studio.explained_view import show_best, show_pictures, show_reasons
from niwt_tf.studio.pictures import decoded
from niwt_tf.studio.plain_text import plain
from niwt_tf.studio.workshop import Workshop

MEGABYTES = 20
_SUFFIXES = ("jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff", "heic", "heif", "avif")


def keep_uploads_in_memory() -> None:
    """Make the server hold a whole upload in memory, which would else put more than a megabyte into a file for a moment."""
    MultiPartParser.spool_max_size = (MEGABYTES + 1) * 2**20


@st.fragment
def image_tab(shop: Workshop) -> None:
    """Show the chosen image's classes and why."""
    bench = shop.bench
    images = bench.gallery.images
    left, right = st.columns([2, 3], gap="large")
    with left:
        upload = st.file_uploader("Upload an image", type=_SUFFIXES, max_upload_size=MEGABYTES)
        chosen = st.selectbox(
            "Or choose a test image",
            range(len(images.names)),
            format_func=lambda place: images.titles[place],
            disabled=upload is not None,
        )
    try:
        if upload is None:
            name, encoded = images.titles[chosen], images.read(chosen)
        else:
            name, encoded = upload.name, as_known(upload.getvalue())
        pixels = decoded(encoded, name)
    except InputError as error:
        right.error(plain(str(error)))
        return
    with right, st.spinner("Classifying the image"):
        answer = bench.model.answer(encoded)
    with left:
        show_pictures(answer, pixels, name, bench.bundle.input_form.resize)
    with right:
        st.subheader(plain(answer.label))
        show_best(answer)
        show_reasons(answer)
        for sentence in filter(None, (bench.followed, *bench.bundle.cautions)):
            st.caption(plain(sentence))
