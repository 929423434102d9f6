"""What `niwt reproduce` takes beside the flags of a run, and the lines of its help."""

from __future__ import annotations

from niwt_tf.experiments.options import Option

REPRODUCE_ONLY = (
    Option("table", "int", 1, "Table of the paper; of whole runs there is one.", at_least=1),
    Option("dry_run", "bool", False, "Say what is needed and what of it is there, and stop."),
    Option("gpu_tflops", "float", 5.0, "10^12 floating point operations a second, to estimate GPU hours by.", above=0),
)
REPRODUCE_DETAILS = """\
A row of Table 1 is --dataset=cub|awa2, --backbone=vgg16|resnet101, --finetune=head|all ("fixed" and "fine-tuned" in
the paper) and --knowledge=attributes|captions. Whatever is left out means all of it, one row after the other. A row is
a run in a folder of its own in --run_dir (by default runs/table1), with the settings of its flagfile in flags/. AwA2
has no published captions: there --knowledge=captions is --knowledge=texts, and the paper has no such row.

What is needed is said first; if any of it is missing, that is all that happens. Other flags of a run take the place
of the row's, and the table says so. The same command goes on after an interruption, and finished rows are kept.
In --run_dir: table1.csv and table1.md, our figures beside the paper's."""
