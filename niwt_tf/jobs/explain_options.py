"""The options of `niwt explain`."""

from __future__ import annotations

from niwt_tf.config.options import Option

EXPLAIN_OPTIONS = (
    Option("image", "str", None, "The image file.", optional=True),
    Option("run_dir", "str", None, "Folder of a run, which has the stage transfer.", optional=True),
    Option("bundle", "str", None, "Instead of a run: an exported version, or the folder of its versions.", optional=True),
    # An empty text is refused: the name that a script meant to put there is missing.
    Option("class", "str", None, "The class to explain; by default the most probable one."),
    Option("rival", "str", None, "The class to compare it with; by default the best of the others."),
    Option("out", "str", "explanations", "Folder for <image>.png and <image>.json; other images' are not replaced."),
)
