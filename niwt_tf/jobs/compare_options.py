"""The options of `niwt compare`, and the lines of its help."""

from __future__ import annotations

from niwt_tf.config.options import Option

COMPARE_OPTIONS = (
    Option("runs", "strs", (), "Run directories, and folders that hold some."),
    Option(
        "reference",
        "str",
        None,
        "The method that differences are to, as the table names it; by default niwt, or the first one.",
        optional=True,
    ),
    Option("out", "str", "comparison", "Folder for comparison.csv, per_problem.csv, comparison.md and comparison.png."),
    Option(
        "bound",
        "bool",
        False,
        "Show also what H would be if the calibration were chosen on test images: an upper bound, called optimistic.",
    ),
    Option(
        "published",
        "str",
        None,
        "A CSV with the columns method,H,seen,unseen,source,protocol (fractions): shown below the line, never ranked.",
        optional=True,
    ),
    Option("progress", "bool", True, "Show progress bars."),
)
COMPARE_DETAILS = """\
Takes every run's own result and those of niwt baseline. A problem is a data set with its split, and a seed.
Means are over a method's own problems; differences and ranks are over the problems that all methods of a table
have. Runs of one method with other flags are rows of their own. Each data set, kind of split and number of
classes has a table of its own. Unfinished stages are named and left out.

A figure is called optimistic when test figures may have had a part in its choices: flags changed after test
images had been scored in the run directory, or the method uses test labels, or the directory's record of test
use (test_labels.json) is missing or was changed."""
