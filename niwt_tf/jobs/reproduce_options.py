"""What `niwt reproduce` takes beside the flags of a run, and the lines of its help."""

from __future__ import annotations

from niwt_tf.config.options import Option

DEFAULT_FOLDER = "runs/table1"
REPRODUCE_ONLY = (
    Option("table", "int", 1, "Table of the paper; of whole runs there is one.", at_least=1),
    Option("dry_run", "bool", False, "Say what is needed and what of it is there, and stop: status 2 if any is missing."),
    Option("gpu_tflops", "float", 5.0, "10^12 floating point operations a second, to estimate GPU hours by.", above=0),
)
# What a flag that is left out means here, where it is not what it means to niwt run.
REPRODUCE_DEFAULTS = {
    "dataset": "none, it must be given: cub or awa2",
    "data_dir": "data/cub or data/awa2",
    "backbone": "both of Table 1, vgg16 and resnet101",
    "finetune": "both, head and all",
    "knowledge": "both, attributes and captions",
    "split": "ps",
    "weights": "imagenet",
    "num_folds": "1 where all layers are trained, 3 where the head is",
    "num_support": "128 of vgg16, 96 of resnet101",
    "run_dir": DEFAULT_FOLDER,
    "stage_store": ".stages in --run_dir",
}
REPRODUCE_DETAILS = """\
A row of Table 1 is --dataset=cub|awa2, --backbone=vgg16|resnet101, --finetune=head|all ("fixed" and "fine-tuned" in
the paper) and --knowledge=attributes|captions. Whatever is left out means all of it, one row after the other. A row is
a run in a folder of its own in --run_dir (by default runs/table1), with the settings of its flagfile in flags/. AwA2
has no published captions: there --knowledge=captions is --knowledge=texts, and the paper has no such row.

What is needed is said first; if any of it is missing, that is all that happens, with a sentence that names it on
stderr and status 2. --dry_run ends there in any case, with status 0 if nothing is missing. Other flags of a run take
the place of the row's, and the table says so. The same command goes on after an interruption, and finished rows are
kept. In --run_dir: table1.csv and table1.md, our figures beside the paper's."""
