"""How the page shows what a bundle says of one image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import streamlit as st
from PIL import Image

from niwt_tf.data.images.files import framed
from niwt_tf.plots.style import shorten
from niwt_tf.studio.pictures import with_heat
from niwt_tf.studio.plain_text import plain
from niwt_tf.studio.tried_model import Answer, Weighted

_SIDE = 196
_NUMBER: Any = st.column_config.NumberColumn(format="%.3g")


def show_pictures(answer: Answer, pixels: np.ndarray, name: str, resize: str) -> None:
    """Show an image, as `framed` does, and, where there are explanations, where the network looks."""
    pixels = np.asarray(framed(Image.fromarray(pixels), resize))
    with st.container(horizontal=True):
        st.image(pixels, caption=plain(name), width=_SIDE, alt=f"The image {name}")
        if answer.heat_png:
            heated, alt = with_heat(pixels, answer.heat_png), "Heat map: bright where the evidence for the class is"
            st.image(heated, caption="Where the network looks", width=_SIDE, alt=alt)


def show_best(answer: Answer) -> None:
    """Show the best classes with their probabilities."""
    labels, scores, seen = zip(*answer.best, strict=True)
    learnt = ["photographs" if each else "description" for each in seen]
    columns: Any = {
        "Class": st.column_config.TextColumn(width="medium"),
        "Probability": st.column_config.ProgressColumn(format="percent", min_value=0.0, max_value=1.0),
    }
    alt = "The best classes, with their probabilities and what they were learnt from"
    rows = {"Class": labels, "Probability": scores, "Learnt from": learnt}
    st.dataframe(rows, column_config=columns, hide_index=True, alt=alt)


def show_reasons(answer: Answer, described: Mapping[str, float] | None = None) -> None:
    """Show what speaks for the class, beside its description by the names of attributes, and for or against the runner-up."""
    if not answer.heat_png:
        st.text("This bundle has no explanations.")
        return
    first, second = st.columns(2)
    with first:
        st.markdown("**Attributes that support it**")
        _weights(answer.attributes, "Attribute", "Attributes that support the class", described)
    with second:
        st.markdown("**Neurons that support it**")
        rows = {
            "Neuron": [number.removeprefix("neuron ") for number, _, _ in answer.neurons],
            "Name": [name or "no name" for _, name, _ in answer.neurons],
            "Weight": [weight for _, _, weight in answer.neurons],
        }
        st.dataframe(rows, column_config={"Weight": _NUMBER}, hide_index=True, alt="Neurons that support the class")
    rival, score = answer.runner_up
    if not rival:
        return
    st.markdown(f"**Why not {plain(rival)}** ({score:.1%}), the second best class")
    first, second = st.columns(2)
    with first:
        _weights(answer.reasons, f"For {shorten(answer.label, 30)}", "Attributes that count against the second best class")
    with second:
        _weights(answer.objections, f"For {shorten(rival, 30)}", "Attributes that support the second best class")


def _weights(weighted: Sequence[Weighted], heading: str, alt: str, described: Mapping[str, float] | None = None) -> None:
    if not weighted:
        st.text("None.")
        return
    rows: dict[str, Any] = {heading: [name for name, _ in weighted], "Weight": [weight for _, weight in weighted]}
    if described is not None:
        rows["Described"] = [described[name] for name, _ in weighted]
    st.dataframe(rows, column_config={"Weight": _NUMBER, "Described": _NUMBER}, hide_index=True, alt=alt)
