"""How good the maps between descriptions and importance are, and what Stage 3 was chosen from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from niwt_tf.config.names import title_of
from niwt_tf.explain.explainer import Explainer
from niwt_tf.explain.inverse_map import FORMS
from niwt_tf.report.contents import MapFigure, TrialRow

_FIGURES = {
    "map_rank_correlation": (
        "Importance map: rank correlation",
        "Spearman's rank correlation between predicted and measured importance of seen classes that are left out. A map "
        "that knows nothing has 0.",
    ),
    "rank_correlation_within": (
        "Importance within a class",
        "Mean rank correlation of the importances of two images of the same class. It says how well the mean of a class "
        "stands for its images.",
    ),
    "rank_correlation_across": (
        "Importance across classes", "The same for images of two different classes. It is near 0 if the classes differ."
    ),
    "transfer_cosine": (
        "Cosine of the new head columns",
        "Between the importance of the new head columns and the predicted importance. 1 means that they agree exactly.",
    ),
    "validation_harmonic_mean": (
        "H on validation classes", "These are seen classes that play unseen ones. Every choice was made on this figure."
    ),
    "validation_acc_zsl": ("ZSL on validation classes", "Accuracy when only the validation classes compete."),
}  # fmt: skip
_REACHED = ("calibration", "harmonic_mean", "acc_zsl")


def map_figures(figures: Mapping[str, float | None], explainer: Explainer) -> tuple[MapFigure, ...]:
    """Return the figures of selection.json and of the inverse map, with what they mean."""
    form = explainer.form.replace("_", " ")
    strength = f"{explainer.regularization:g}"
    chosen = f"ridge penalty {strength}" if explainer.form == FORMS[0] else f"stopped after {strength} steps of descent"
    inverse = MapFigure(
        f"Inverse map ({form}): rank correlation",
        explainer.rank_correlation,
        f"Spearman's rank correlation between inferred and true attributes of seen classes that are left out; {chosen}. It is "
        "the best of all candidates on the classes that chose among them, so it is a little too high.",
    )
    first, *others = (MapFigure(title, figures.get(name), meaning) for name, (title, meaning) in _FIGURES.items())
    return (first, inverse, *others)


def trial_rows(selection: Mapping[str, Any], most: int = 200) -> tuple[TrialRow, ...]:
    """Return the trials of selection.json, at most `most` of them; the chosen one is always among them."""
    chosen, trials = selection["chosen"], selection["trials"]
    kept = trials[:most] if chosen in trials[:most] else [*trials[: most - 1], chosen]
    perhaps = ("head_regularization", "regularization", "map_regularization")
    return tuple(
        TrialRow(
            engine=in_words(selection["method"], trial),
            anchor=trial.get("anchor", ""),
            layer_weights=", ".join(f"{weight:g}" for weight in trial.get("layer_weights", ())),
            mean_cosine=trial.get("transfer_cosine"),
            chosen=trial == chosen,
            head_kind=trial.get("head_kind", ""),
            **{name: trial[name] for name in _REACHED},
            **{name: trial.get(name) for name in perhaps},
        )
        for trial in kept
    )


def in_words(method: str, trial: Mapping[str, Any]) -> str:
    """Return the engine of a trial of Stage 3, or a method's name with the parameters of its candidate."""
    if "engine" in trial:
        return str(trial["engine"])
    own = {name.replace("_", " "): value for name, value in trial.items() if name not in _REACHED}
    said = (f"{name} {value if isinstance(value, str) else format(value, 'g')}" for name, value in own.items())
    return f"{title_of(method)}: {', '.join(said)}"
