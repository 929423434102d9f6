"""The part of the page where a class is composed, tried on the test images and saved."""

from __future__ import annotations

import time

import streamlit as st

from niwt_tf.errors import InputError
from niwt_tf.serving.class_check import ClassCheckError
from niwt_tf.studio.composing import Claims, Composition
from niwt_tf.studio.editor import composition, show_editor
from niwt_tf.studio.explained_view import show_pictures, show_reasons
from niwt_tf.studio.pictures import decoded
from niwt_tf.studio.plain_text import plain
from niwt_tf.studio.workshop import Bench, Workshop

_MOST_SHOWN = 15


@st.fragment
def compose_tab(shop: Workshop) -> None:
    """Show the editor, what the new class claims, and why."""
    bench = shop.bench
    try:
        bench.bundle.check_column_map()
        made = composition(bench)
    except InputError as error:
        st.info(plain(str(error)))
        return
    left, right = st.columns([2, 3], gap="large")
    with left:
        show_editor(bench)
    with right:
        begun = time.perf_counter()
        try:
            found = bench.claims(made)
        except InputError as error:
            st.error(plain(str(error)))
            return
        milliseconds = 1000 * (time.perf_counter() - begun)
        _show_claims(bench, found, milliseconds)
        _show_why(bench, made, found)
        _show_saving(shop, made)


def _show_claims(bench: Bench, found: Claims, milliseconds: float) -> None:
    images = bench.gallery.images
    st.subheader(f"It claims {len(found.claimed)} of {len(images.names)} test images")
    st.caption(f"Computed in {milliseconds:.2f} ms from the images' features.")
    shown = found.claimed[:_MOST_SHOWN] or tuple((-found.scores).argsort()[:5].tolist())
    if not found.claimed:
        st.text("The nearest:")
    with st.container(horizontal=True, gap="small"):
        for place in shown:
            caption = f"{found.scores[place]:.0%}, was {plain(found.before[place])}"
            st.image(images.thumbnails[place], caption=caption, width=112, alt=images.names[place])
    if len(found.claimed) > len(shown):
        st.text(f"and {len(found.claimed) - len(shown)} more.")
    if found.claimed:
        lost = found.lost()
        rows = {"They were called": [label for label, _ in lost], "Images": [count for _, count in lost]}
        st.dataframe(rows, hide_index=True, alt="What the claimed images were called without the new class")


def _show_why(bench: Bench, made: Composition, found: Claims) -> None:
    if not found.claimed or not bench.model.explains:
        return
    images = bench.gallery.images
    place = st.selectbox(
        "Why does it claim",
        found.claimed,
        format_func=lambda place: f"{images.names[place]} ({found.scores[place]:.0%})",
    )
    try:
        encoded = images.read(place)
        pixels = decoded(encoded, images.names[place])
    except InputError as error:
        st.error(plain(str(error)))
        return
    with bench.with_class(made):
        answer = bench.model.answer(encoded)
    show_pictures(answer, pixels, images.names[place])
    show_reasons(answer, dict(zip(bench.knowledge.names, made.values.tolist(), strict=True)))


def _show_saving(shop: Workshop, made: Composition) -> None:
    st.markdown("**Save it**")
    name = st.text_input("Name of the new class", key="name", max_chars=250)
    if st.button("Save as a class card", type="primary"):
        try:
            with st.spinner("Writing and checking the next version"):
                st.session_state.saved = shop.save(name, made)
        except (InputError, ClassCheckError, OSError) as error:
            st.error(plain(str(error)))
        else:
            st.rerun(scope="app")
    if "saved" in st.session_state:
        path, notes = st.session_state.pop("saved")
        st.success("Saved. This page now works on the new version:")
        st.code(str(path), language=None, wrap_lines=True)
        for note in notes:
            st.text(note)
