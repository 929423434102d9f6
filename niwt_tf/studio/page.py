"""The page itself, which `streamlit run` runs anew for every visitor and change; arguments: bundle, images, most images."""

from __future__ import annotations

import sys

import streamlit as st

from niwt_tf.errors import InputError
from niwt_tf.studio.compose_tab import compose_tab
from niwt_tf.studio.image_tab import image_tab, keep_uploads_in_memory
from niwt_tf.studio.plain_text import plain
from niwt_tf.studio.workshop import Workshop

# The room above the title is for a toolbar that this page does not have.
_STYLE = "<style>[data-testid=stMainBlockContainer] {padding-top: 2rem; padding-bottom: 2rem}</style>"


@st.cache_resource(show_spinner="Loading the network and the test images", max_entries=1)
def _workshop(bundle: str, images: str, most_images: int) -> Workshop:
    keep_uploads_in_memory()
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
        image_tab(shop)
    with second:
        compose_tab(shop)


main()
