"""What `niwt sweep` takes beside the flags of a run, and the lines of its help."""

from __future__ import annotations

from niwt_tf.config.options import Option

SWEEP_ONLY = (
    Option("sweep_dir", "str", None, "Folder of the sweep; the same command goes on there.", optional=True),
    Option("grid", "str", None, "Flags and the values to try, for instance 'seen_head=ridge,softmax;seed=0,1'.", optional=True),
    Option(
        "grid_file",
        "str",
        None,
        'The same as a JSON file, {"flag": [value, value]}, for values with , ; or | in them; a list is a value.',
        optional=True,
    ),
    Option("sampler", "str", "grid", "Try all of the grid, or what Optuna's TPE picks of it.", choices=("grid", "tpe")),
    Option("num_trials", "int", None, "How many configurations tpe picks for each problem.", optional=True, at_least=1),
    Option("parallel", "int", 1, "Trials at a time; they share the processors.", at_least=1),
)
SWEEP_DETAILS = """\
--grid parts flags by semicolons and values by commas. The items of one value that is itself a list are joined by |:
--grid='seen_head=ridge,softmax;transfer_lambda=0.01|0.1,1;seed=0,1,2' makes 2 x 2 x 3 trials, each with
--transfer_lambda=0.01,0.1 or --transfer_lambda=1. Flags beside the grid are those of niwt run and go to every trial.
A trial is a run in trials/ of --sweep_dir.

Flags that make another problem repeat a configuration: dataset, data_dir, split, unseen, num_unseen, knowledge,
text_features, missing_images, max_bad_images, seed. The other flags of the grid are the configuration. Trials
end before any test image is scored. For each problem the configuration of the highest mean
validation_harmonic_mean is chosen (of equal ones the first), and its trials alone are then evaluated on test
images. Repetitions with the same images, classes, split and descriptions are one problem; others choose apart,
for the validation classes of one are test classes of another.

--sampler=tpe --num_trials=20 tries 20 configurations of the grid and not all: Optuna's tree of Parzen estimators
proposes each by the validation_harmonic_mean of those before it, seeded by --seed, for each problem apart.

In --sweep_dir: results.csv (a row a trial), configurations.csv (mean and standard deviation over repetitions),
tensorboard/ (HParams), logs/, journal.log (Optuna's). The same command goes on after an interruption; a larger
grid adds its trials. Stages that trials have in common are done once. Several processes, on machines that share
the folder too, may give the same command at a time: they part the trials between them."""
