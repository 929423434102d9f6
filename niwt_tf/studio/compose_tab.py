"""The part of the page where a class is composed, tried on the test images and saved."""

from __future__ import annotations

import time
from typing import Any

import streamlit as st

from niwt_tf.errors import InputError
from niwt_tf.serving.classes.rewrite import ClassCheckError
from niwt_tf.studio.composing import Claims, Composition, by_group, short_name
from niwt_tf.studio.explained_view import show_pictures, show_reasons
from niwt_tf.studio.pictures import decoded
from niwt_tf.studio.plain_text import plain
from niwt_tf.studio.workshop import OpenVersion, Workshop

_MOST_SHOWN = 15
_MEAN = "The mean of the seen classes"
_MOST_FOUND = 24
_FEW = 12
_MOST_KEPT = 100  # changes that can be undone


@st.fragment
def compose_tab(shop: Workshop) -> None:
    """Show the editor, what the new class claims, and why."""
    bench = shop.bench
    try:
        bench.bundle.check_formula()
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
            with st.spinner("Computing the new class"):
                found = bench.claims(made)
        except InputError as error:
            st.error(plain(str(error)))
            return
        milliseconds = 1000 * (time.perf_counter() - begun)
        _show_claims(bench, found, milliseconds)
        _show_why(bench, made, found)
        _show_saving(shop, made)


def _show_claims(bench: OpenVersion, found: Claims, milliseconds: float) -> None:
    images = bench.gallery.images
    st.subheader(f"The new class gets {len(found.claimed)} of {len(images.names)} test images")
    st.caption(f"Computed in {milliseconds:.2f} ms from the features of the images.")
    shown = found.claimed[:_MOST_SHOWN] or tuple((-found.scores).argsort()[:5].tolist())
    if not found.claimed:
        st.text("The closest images:")
    with st.container(horizontal=True, gap="small"):
        for place in shown:
            caption = f"{found.scores[place]:.0%}, before: {plain(found.before[place])}"
            st.image(images.thumbnails[place], caption=caption, width=112, alt=images.titles[place])
    if len(found.claimed) > len(shown):
        st.text(f"and {len(found.claimed) - len(shown)} more.")
    if found.claimed:
        lost = found.lost()
        rows = {"Class before": [label for label, _ in lost], "Images": [count for _, count in lost]}
        st.dataframe(rows, hide_index=True, alt="Classes of these images without the new class")


def _show_why(bench: OpenVersion, made: Composition, found: Claims) -> None:
    if not found.claimed or not bench.model.explains:
        return
    images = bench.gallery.images
    place = st.selectbox(
        "Explain an image", found.claimed, format_func=lambda place: f"{images.titles[place]} ({found.scores[place]:.0%})"
    )
    try:
        encoded = images.read(place)
        pixels = decoded(encoded, images.titles[place])
    except InputError as error:
        st.error(plain(str(error)))
        return
    with st.spinner("Computing the explanation"), bench.with_class(made):
        answer = bench.model.answer(encoded)
    show_pictures(answer, pixels, images.titles[place], bench.bundle.input_form.resize)
    show_reasons(answer, dict(zip(bench.knowledge.names, bench.in_units(made.values).tolist(), strict=True)))


def _show_saving(shop: Workshop, made: Composition) -> None:
    bench, state = shop.bench, st.session_state
    st.markdown("**Save the class**")
    same = bench.called(made)
    if same:
        st.text(f"Your description is that of {same!r}: the network cannot tell the two classes apart.")
    name = st.text_input("Name of the new class", key="name", max_chars=250)
    taken = bench.named(name or "")
    if taken:
        st.text(f"A class with this name exists: {taken!r}.")
    if st.button("Save the class", type="primary"):
        try:
            with st.spinner("Writing and checking the next version"):
                path, notes = shop.save(name, made)
        except (InputError, ClassCheckError, OSError) as error:
            st.error(plain(str(error)))
        else:
            state.said = "Saved. This page now uses the new version:", path, notes
            state.setdefault("own_classes", []).append(shop.bench.bundle.labels[-1])
            st.rerun(scope="app")
    own = [label for label in state.get("own_classes", ()) if label in bench.bundle.labels]
    if own and st.button(plain(f"Remove {own[-1]} again")):
        try:
            with st.spinner("Writing and checking a version without it"):
                path = shop.take_back(own[-1])
        except (InputError, ClassCheckError, OSError) as error:
            st.error(plain(str(error)))
        else:
            state.own_classes = own[:-1]
            state.said = "Removed. This page now uses a new version without it. Older versions are kept:", path, ()
            st.rerun(scope="app")
    if "said" in state:
        sentence, path, notes = state.pop("said")
        st.success(sentence)
        st.code(str(path), language=None, wrap_lines=True)
        for note in notes:
            st.text(note)


def composition(bench: OpenVersion) -> Composition:
    """Return what this visitor is composing.

    Raises:
        InputError: the bundle knows no descriptions.
    """
    state = st.session_state
    if "composition" not in state:
        _begin(bench.start(None))
    return state.composition


def show_editor(bench: OpenVersion) -> None:
    """Show all that changes the composition."""
    state = st.session_state

    def start() -> None:
        _begin(bench.start(state.start or None))
        state.begun = state.start

    def read() -> None:
        try:
            _begin(*bench.read(state.words))
        except InputError as error:
            state.reading_error = str(error)

    described = [card.name for card in bench.bundle.cards if card.description is not None]
    if state.get("start", "") not in ("", *described):  # it was taken out since
        state.start = ""
    # No class has the name "".
    st.selectbox("Start from", ["", *described], format_func=lambda name: name or _MEAN, key="start", on_change=start)
    st.text_area("Or describe the class in words", key="words", height=80, max_chars=5000)
    st.button("Read the text", on_click=read)
    for note in state.get("notes", ()):
        st.text(note)
    if "reading_error" in state:
        st.error(plain(state.pop("reading_error")))
    _changed(bench)
    _sliders(bench)


def _begin(start: Composition, notes: tuple[str, ...] = (), kept: bool = True) -> None:
    """Go on with another beginning; what it takes the place of can be undone, if it is to be `kept`."""
    state = st.session_state
    if kept:
        _keep()
    state.composition, state.notes = start, notes
    # Sliders of another beginning are other widgets, so that none keeps its old value.
    state.beginning = state.get("beginning", 0) + 1


def _keep() -> None:
    """Keep the composition for Undo."""
    state = st.session_state
    if "composition" in state:
        state.earlier = [*state.get("earlier", ()), (state.composition, state.notes, state.get("begun", ""))][-_MOST_KEPT:]


def _undo() -> None:
    state = st.session_state
    *state.earlier, (made, notes, begun) = state.earlier
    _begin(made, notes, kept=False)
    state.start = state.begun = begun


def _changed(bench: OpenVersion) -> None:
    made: Composition = st.session_state.composition
    with st.container(horizontal=True):
        st.button("Undo", on_click=_undo, disabled=not st.session_state.get("earlier"), help="Undoes the last change.")
        st.button(
            "Undo all changes",
            on_click=lambda: _begin(Composition(made.start, text=made.text), st.session_state.notes),
            disabled=not made.edits,
        )
    if not made.edits:
        return
    start, now = bench.in_units(made.start), bench.in_units(made.values)
    places = sorted(made.edits)
    digits = max(bench.ranges[place].digits for place in places)
    number: Any = st.column_config.NumberColumn(format=f"%.{digits}f")
    rows = {
        "Changed": [bench.knowledge.names[place] for place in places],
        "From": [float(start[place]) for place in places],
        "To": [float(now[place]) for place in places],
    }
    st.dataframe(rows, column_config={"From": number, "To": number}, hide_index=True, alt="Changed attributes")


def _sliders(bench: OpenVersion) -> None:
    names, groups = bench.knowledge.names, bench.knowledge.groups
    search = st.text_input(f"Search {len(names)} attributes", key="search", type="search", max_chars=100) or ""
    found = by_group(names, groups, search)
    if search.strip():
        places = [place for group in found.values() for place in group]
        for place in places[:_MOST_FOUND]:
            _slider(bench, place, names[place])
        if len(places) > _MOST_FOUND or not places:
            st.text(f"{len(places)} attributes match" + (f"; {_MOST_FOUND} are shown." if places else "."))
        return
    for group, places in found.items():
        with st.expander(plain(group), expanded=len(names) <= _FEW, key=f"group {group}", on_change="rerun") as opened:
            # What is closed is not sent: a page of hundreds of sliders would be slow.
            if opened.open:
                for place in places:
                    _slider(bench, place, short_name(names[place], groups[place]))


def _slider(bench: OpenVersion, place: int, label: str) -> None:
    made: Composition = st.session_state.composition
    limits, key = bench.ranges[place], f"value {st.session_state.beginning} {place}"
    value, form = limits.nearest(float(bench.in_units(made.values)[place])), f"%.{limits.digits}f"

    def edit() -> None:
        _keep()
        state = st.session_state
        state.composition = state.composition.edited(place, bench.out_of_units(place, state[key]))

    st.slider(plain(label), limits.low, limits.high, value, limits.step, form, key, on_change=edit)
