"""The page itself, which `streamlit run` runs anew for every visitor and change; arguments: bundle, images, most images."""

from __future__ import annotations

import sys

import streamlit as st
from starlette.formparsers import MultiPartParser

from niwt_tf.data.images.foreign import as_known
from niwt_tf.errors import InputError
from niwt_tf.studio.compose_tab import compose_tab
from niwt_tf.studio.explained_view import show_best, show_pictures, show_reasons
from niwt_tf.studio.pictures import decoded
from niwt_tf.studio.plain_text import plain
from niwt_tf.studio.workshop import Workshop

_MEGABYTES = 20
_SUFFIXES = ("jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff", "heic", "heif", "avif")
# The room above the title is for a toolbar that this page does not have.
_STYLE = "<style>[data-testid=stMainBlockContainer] {padding-top: 2rem; padding-bottom: 2rem}</style>"


def _keep_uploads_in_memory() -> None:
    """Make the server hold a whole upload in memory, which would else put more than a megabyte into a file for a moment."""
    MultiPartParser.spool_max_size = (_MEGABYTES + 1) * 2**20


@st.fragment
def _image_tab(shop: Workshop) -> None:
    """Show the chosen image's classes and why."""
    bench = shop.bench
    images = bench.gallery.images
    left, right = st.columns([2, 3], gap="large")
    with left:
        upload = st.file_uploader("Upload an image", type=_SUFFIXES, max_upload_size=_MEGABYTES)
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


@st.cache_resource(show_spinner="Loading the network and the test images", max_entries=1)
def _workshop(bundle: str, images: str, most_images: int) -> Workshop:
    _keep_uploads_in_memory()
    return Workshop(bundle, images, most_images)


def main() -> None:
    """Show the page."""
    st.set_page_config("niwt studio", layout="wide")
    bundle, images, most_images = sys.argv[1:4]
    try:
        shop = _workshop(bundle, images, int(most_images))
    except InputError as error:
        st.error(plain(str(error)))
        return
    opened = shop.bench.bundle
    seen = sum(card.seen for card in opened.cards)
    st.html(_STYLE)
    st.title("niwt studio")
    st.caption(
        f"{plain(opened.folder.parent.name)}, version {plain(opened.folder.name)}: {seen} classes learnt from photographs, "
        f"{len(opened.cards) - seen} from descriptions"
    )
    refused = shop.bench.gallery.images.refused
    if refused:
        rest = f" and {len(refused) - 3} more" if len(refused) > 3 else ""
        st.warning(plain(f"Left out, because they cannot be decoded: {', '.join(map(repr, refused[:3]))}{rest}."))
    first, second = st.tabs(["Try an image", "Compose a class"])
    with first:
        _image_tab(shop)
    with second:
        compose_tab(shop)


main()
