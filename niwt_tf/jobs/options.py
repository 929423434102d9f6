"""Which flags each job takes, and the lines of its help. Imported by `niwt --help`, so nothing heavy is imported here."""

from __future__ import annotations

from dataclasses import replace

from niwt_tf.config.names import DEFAULT_METHOD, METHOD_STAGES, TEXT_METHODS, compared_methods, dataset_names
from niwt_tf.config.options import Option
from niwt_tf.config.settings import SETTINGS
from niwt_tf.experiments.text_tables.paper import TABLES

_WORK_OPTIONS = (
    Option("run_dir", "str", None, "Folder of the run. Every stage reads and writes here.", optional=True),
    Option("export_dir", "str", None, "Folder for the exported bundles. By default exports/<name of run_dir>.", optional=True),
    Option(
        "overwrite", "bool", False,
        "If flags have changed, make the stages again that they affect. Without it the job refuses changed flags.",
    ),
    Option("progress", "bool", True, "Show progress bars."),
    Option(
        "cache_dir", "str", None,
        "Folder of the cache of feature maps and features of frozen networks. By default .cache in --run_dir.",
        optional=True,
    ),
    Option("cache_gb", "float", 4.0, "Maximum size of that cache in gigabytes. 0 turns it off.", at_least=0),
    Option(
        "strategy", "str", "none",
        "Devices that share the work: one (none), all of this machine (mirrored), or the processes that TF_CONFIG names "
        "(multiworker).",
        choices=("none", "mirrored", "multiworker"),
    ),
    Option(
        "stage_store", "str", None,
        "Folder in which runs share finished stages. A stage with the same settings, inputs and data is done only once.",
        optional=True,
    ),
)
STAGE_OPTIONS = (*_WORK_OPTIONS, *SETTINGS)

_ABSTAIN = Option(
    "abstain", "bool", False,
    "Export a network that answers 'unknown' if its best probability is low. Validation classes choose the limit.",
)
_OWN_STAGES = [stage for stages in METHOD_STAGES.values() for stage in stages]
STAGES = ("train", *_OWN_STAGES, "transfer", "evaluate", "export", "faithfulness", "report")
EXPORT_OPTIONS = (*STAGE_OPTIONS, _ABSTAIN)
RUN_OPTIONS = (
    *EXPORT_OPTIONS,
    Option("until", "str", "report", "The last stage to do. It must be a stage of the method.", choices=STAGES),
)

DEPLOY_OPTIONS = (
    Option("run_dir", "str", None, "The measured run. Its settings and choices are used.", optional=True),
    Option(
        "deploy_dir", "str", None, "Folder of the new run, which hides no class. By default <run_dir>-deploy.", optional=True,
    ),
    *(declared for declared in _WORK_OPTIONS if declared.name in ("export_dir", "progress", "cache_dir", "cache_gb")),
    _ABSTAIN,
)
DEPLOY_DETAILS = """\
A measured run hides some classes that have photographs, to measure accuracy on them. This job takes the settings and
the choices of such a run, trains on every class that has photographs, adds the classes that have only a description,
and exports. The accuracy of classes without photographs cannot be measured here. The figures of the measured run are
the estimate."""

RENDER_OPTIONS = (
    Option("data_dir", "str", "data/birds", "Folder to write. It must be new or empty, or hold birds that this job drew."),
    Option("num_species", "int", 50, "Number of species. Each species is a class.", at_least=2, below=201),
    Option("images_per_species", "int", 60, "Number of images of each species.", at_least=1, below=10_001),
    Option("image_size", "int", 64, "Side of an image in pixels.", at_least=32, below=1025),
    Option("seed", "int", 0, "Seed of the random choices of species and images.", at_least=0),
)

BASELINE_OPTIONS = (
    *STAGE_OPTIONS,
    Option(
        "methods", "strs", ("all",),
        "Methods to score besides the method of the run. all: every method but "
        f"{' and '.join(METHOD_STAGES)}, which take as long as a whole run.",
        choices=("all", *compared_methods()),
    ),
    Option(
        "baseline_features", "str", "head",
        "What these methods are fitted on: the features that the head takes (head), or the feature map of --layer, averaged "
        "over positions (map).",
        choices=("head", "map"),
    ),
)
_BUNDLE = Option(
    "bundle", "str", None, "An exported version, or a folder of versions, of which the newest is used.", optional=True,
)
_WRITTEN = (
    Option("run_dir", "str", None, "Folder of a run whose stage transfer is finished.", optional=True),
    Option("bundle", "str", None, f"{_BUNDLE.help} Use it instead of --run_dir.", optional=True),
)
ONNX_OPTIONS = (
    *_WRITTEN,
    Option(
        "path", "str", None, "The .onnx file to write. By default exports/<name of the run or bundle>.onnx.", optional=True
    ),
)
LITERT_OPTIONS = (
    *_WRITTEN,
    Option(
        "path", "str", None,
        "The .tflite file to write. By default exports/<name of the run or bundle>.tflite.", optional=True,
    ),
    Option(
        "weights_as", "str", "float32", "Number format of the weights. int8 is dynamic quantisation.",
        choices=("float32", "float16", "int8"),
    ),
    Option(
        "images", "str", None,
        "Folder of test images, 200 at most. The file must give the answers of the network. By default the images are noise.",
        optional=True,
    ),
)

_HALF_DECADES = tuple(float(f"{10.0 ** (power / 2):.3g}") for power in range(-12, 7))
# Beyond, sums of squares overflow or vanish in float32, and there is nothing to draw.
_LEAST, _MOST = 1e-12, 1e12

LAMBDA_SWEEP_OPTIONS = (
    *STAGE_OPTIONS,
    Option(
        "lambda_grid", "floats", _HALF_DECADES,
        "Weights of the regulariser to draw accuracies for.", at_least=_LEAST, below=_MOST,
    ),
)

WEIGHT_RECOVERY_OPTIONS = (
    *STAGE_OPTIONS,
    Option(
        "epsilons", "floats", (0.0, 0.1, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0),
        "Amounts of noise to add to importances. The unit is the mean magnitude of the importance.", at_least=0, below=_MOST,
    ),
    Option("noise_seeds", "int", 5, "How many times the noise is drawn.", at_least=2),
    Option("recovery_images", "int", 2000, "Maximum number of training images that importances are measured on.", at_least=1),
)

LAYER_DEPTH_OPTIONS = (
    *STAGE_OPTIONS,
    Option(
        "layers", "strs", (),
        "Layers to cut the network at. By default the last of each block, and every fully connected layer.",
    ),
)

SUPPORT_IMAGES_OPTIONS = (
    *STAGE_OPTIONS,
    Option(
        "imagenet_dir", "str", None,
        "Folder of other images, such as a sample of ImageNet. They become a row of the table.", optional=True,
    ),
)

COMPARE_OPTIONS = (
    Option("runs", "strs", (), "Run directories, or folders that contain run directories."),
    Option(
        "reference", "str", None,
        "The method that the other methods are compared with, by its name in the table. By default niwt, or the first method.",
        optional=True,
    ),
    Option("out", "str", "comparison", "Folder for comparison.csv, per_problem.csv, comparison.md and comparison.png."),
    Option(
        "bound", "bool", False,
        "Also show the H of a calibration that is chosen on test images. This is an upper bound, marked as optimistic.",
    ),
    Option(
        "published", "str", None,
        "A CSV with the columns method,H,seen,unseen,source,protocol; figures are fractions. The table shows these rows below "
        "a line and does not rank them.",
        optional=True,
    ),
    Option("progress", "bool", True, "Show progress bars."),
)
COMPARE_DETAILS = """\
The job takes the result of every run, and the results of niwt baseline in its folder. A problem is a data set with its
split, and a seed. Means are over the problems that a method has. Differences and ranks are over the problems that all
methods of a table have. Runs of one method with different flags are separate rows. Each data set, kind of split and
number of classes has its own table. The job names unfinished stages and leaves them out.

A figure is optimistic if test images may have helped to choose it. There are three cases: flags or descriptions
changed after test images were scored in the run directory; the method uses test labels; or the directory's record
of the use of test images (test_labels.json) is missing or was changed."""

SWEEP_OPTIONS = (
    Option(
        "sweep_dir", "str", None, "Folder of the sweep. After an interruption the same command goes on there.", optional=True,
    ),
    Option("grid", "str", None, "Flags and the values to try, such as 'seen_head=ridge,softmax;seed=0,1'.", optional=True),
    Option(
        "grid_file", "str", None,
        'The grid as a JSON file, {"flag": [value, value]}. It is needed if a value has , ; or | in it. A list can be a value.',
        optional=True,
    ),
    Option(
        "sampler", "str", "grid",
        "Which trials are made: all of the grid (grid), or those that Optuna's TPE picks (tpe).", choices=("grid", "tpe"),
    ),
    Option(
        "num_trials", "int", None, "How many configurations --sampler=tpe picks for each problem.", optional=True, at_least=1,
    ),
    Option("parallel", "int", 1, "How many trials run at the same time. They share the processors.", at_least=1),
    *(declared for declared in _WORK_OPTIONS if declared.name in ("progress", "cache_dir", "cache_gb", "strategy")),
    *SETTINGS,
)
SWEEP_DETAILS = """\
In --grid, semicolons stand between flags and commas between values. If a value is a list, | stands between its items:
--grid='seen_head=ridge,softmax;transfer_lambda=0.01|0.1,1;seed=0,1,2' makes 2 x 2 x 3 trials, each with
--transfer_lambda=0.01,0.1 or --transfer_lambda=1. All other flags of niwt run can be given too, for every trial.
A trial is a run in trials/ of --sweep_dir.

Some flags of the grid change the problem: dataset, data_dir, split, unseen, num_unseen, knowledge, text_features,
missing_images, max_bad_images, seed. The others are the configuration, which is tried on every problem. Trials end
before any test image is scored. For each problem the job chooses the configuration with the highest mean
validation_harmonic_mean (the first of equal ones). Only the trials of this configuration are then evaluated on test
images. Trials with the same images, classes, split and descriptions belong to one problem. Each problem chooses
separately, because the validation classes of one can be the test classes of another.

--sampler=tpe --num_trials=20 tries 20 configurations of the grid, not all. Optuna's tree of Parzen estimators (TPE)
proposes each one from the validation_harmonic_mean of those before it. Its seed is --seed, and it works separately for
each problem.

In --sweep_dir: results.csv (a row for each trial), configurations.csv (mean and standard deviation over repetitions),
tensorboard/ (HParams), logs/, journal.log (Optuna's). After an interruption the same command goes on. A larger grid
adds its trials. Stages that trials share are done once. You can give the same command in several processes at a time,
also on several machines that share the folder. They divide the trials among them."""

REPRODUCE_OPTIONS = (
    Option(
        "table", "str", "1",
        "The table to reproduce. 1: Table 1 of NIWT's paper. From N3's paper: "
        f"{'; '.join(f'{name}, {title}' for name, (title, _) in TABLES.items())}. published: published figures of methods on "
        "the features of xlsa17 (--dataset=xlsa17).",
        choices=("1", *TABLES, "published"),
    ),
    Option(
        "dry_run", "bool", False,
        "List what the job needs and what is missing, then stop. The status is 2 if anything is missing.",
    ),
    Option(
        "gpu_tflops", "float", 5.0,
        "Speed of your GPU in 10^12 floating point operations a second. It is used to estimate GPU hours.", above=0,
    ),
    *(declared for declared in _WORK_OPTIONS if declared.name != "export_dir"), *SETTINGS,
)
# What a flag that is left out means here, where it is not what it means to niwt run.
REPRODUCE_DEFAULTS = {
    "dataset": "none; you must give it: cub or awa2, or a data set of the table",
    "backbone": "for Table 1 both vgg16 and resnet101",
    "finetune": "both head and all",
    "knowledge": "both attributes and captions",
    "split": "ps, or that of the row",
    "method": f"for Table 1 {DEFAULT_METHOD}, otherwise that of the row",
    "text_features": "for Table 1 lsa, otherwise that of the row",
    "weights": "imagenet",
    "num_folds": "1 if all layers are trained, 3 if only the head is",
    "num_support": "128 for vgg16, 96 for resnet101",
    "run_dir": "runs/table1, or runs/<table>_<dataset>",
    "stage_store": ".stages in --run_dir",
}
REPRODUCE_DETAILS = """\
Four flags name a row of Table 1: --dataset=cub|awa2, --backbone=vgg16|resnet101, --finetune=head|all ("fixed" and
"fine-tuned" in the paper) and --knowledge=attributes|captions. If you leave one out, all its values are run, one row
after the other. Each row is a run in its own folder in --run_dir (by default runs/table1), with the settings of its
flag file in flags/. AwA2 has no published captions. For AwA2, --knowledge=captions means --knowledge=texts, and the
paper has no such row.

First the job lists what it needs. If anything is missing, the job names it on stderr and stops with status 2.
--dry_run always stops there, with status 0 if nothing is missing. You can give other flags of a run in place of those
of the row; the table then says so. After an interruption the same command goes on and keeps finished rows.
In --run_dir: the table as CSV and Markdown, with our figures and those of the paper. N3's tables are also a picture.

The tables of N3's paper ("Language to Network") need --dataset: cub, awa2, nabirds or flowers for n3_2 (--split picks
a row), cub or flowers for n3_6, cub or birds (drawn) for the others. Their rows have the settings of that paper where
these are available. Each row says what it uses in place of the rest. You bring your own texts of the classes, in
descriptions/<class>.txt.

--table=published --dataset=xlsa17 --data_dir=xlsa17 runs NIWT and every other method on the features res101.mat of
each data set whose folder exists (xlsa17/data/CUB, ...). It shows published figures on the same features for
comparison."""

SYNTHESIZE_OPTIONS = (
    Option(
        "run_dir", "str", None,
        f"Folder of a finished run with a method that reads texts: --method={'|'.join(TEXT_METHODS)}.",
        optional=True,
    ),
    Option(
        "descriptions", "str", None,
        "A folder with <class>.txt for each class, or a CSV with the columns class,text.", optional=True,
    ),
    Option("export_dir", "str", None, "Folder for the versions of the bundle. By default exports/synthesized.", optional=True),
)
SYNTHESIZE_DETAILS = """\
Writes a network for classes without photographs. Each class has a text. The job exports the network for TensorFlow
Serving. The network knows only these classes, not those of the run. The bundle keeps the texts, the order of its
classes and the meta-model that wrote it. niwt add_class and niwt remove_class use these to write the whole network
again, which changes the logits of all its classes."""

_NAME = Option("name", "str", None, "Name of the class.", optional=True)

ADD_CLASS_OPTIONS = (
    _BUNDLE,
    _NAME,
    Option("attributes", "str", None, "A JSON or CSV file with the value of each attribute.", optional=True),
    Option("text", "str", None, "A description of the class in words.", optional=True),
    Option("text_file", "str", None, "A file with this description in words.", optional=True),
    Option(
        "cards", "str", None, "A CSV of several classes, each with attributes, a text or the name of a file.", optional=True,
    ),
    Option("source", "str", None, "Where the description comes from. The class card shows it.", optional=True),
    Option(
        "missing", "str", "error",
        "What happens if an attribute is not named: an error, or it gets the mean of the seen classes.",
        choices=("error", "mean"),
    ),
    Option(
        "yes", "bool", False, "Save the class even if less than half of its text was understood. Without it, a terminal asks.",
    ),
)
RENAME_CLASS_OPTIONS = (_BUNDLE, _NAME, Option("new_name", "str", None, "The new name of the class.", optional=True))
REMOVE_CLASS_OPTIONS = (_BUNDLE, _NAME)
LIST_CLASSES_OPTIONS = (
    _BUNDLE,
    Option("format", "str", "table", "A table to read, or all fields of the cards as JSON.", choices=("table", "json")),
)

CLASSIFY_OPTIONS = (
    Option(
        "images", "str", None, "Image files or folders of images, separated by commas. Subfolders are read too.", optional=True,
    ),
    Option("server", "str", None, "Address of a server: grpc://host:8500 or http://host:8501.", optional=True),
    Option("name", "str", None, "Name of the model on the server.", optional=True),
    Option("model_version", "str", None, "Number or label of a version on the server. By default the newest.", optional=True),
    replace(_BUNDLE, help=f"{_BUNDLE.help} Use it instead of --server. With --describe on a server you need both."),
    Option("top", "int", 1, "Number of classes to show for each image. A bundle gives at most five.", at_least=1),
    Option("explain", "bool", False, "Explain the best class of each image in words."),
    Option(
        "describe", "str", None,
        "A new class, only for these images, such as 'moss wren: A red crown.'. Put several classes on separate lines.",
    ),
    Option("cards", "str", None, "New classes, only for these images, from a CSV as niwt add_class takes it.", optional=True),
    Option("yes", "bool", False, "Use a text even if less than half of it was understood."),
    Option("format", "str", "table", "Format of the answers on standard output.", choices=("table", "json", "csv")),
    Option("json", "str", None, "A JSON file that the answers are also written to.", optional=True),
    Option(
        "answers", "str", None,
        "A .csv, .jsonl or .parquet file. Answers are appended to it as they come, instead of printed. After an interruption "
        "the same command goes on. Images that cannot be read are listed in <name>.bad.csv.", optional=True,
    ),
    Option("workers", "int", 1, "Number of processes that classify. They share the processors.", at_least=1, below=257),
    Option(
        "cluster", "str", None,
        "Address of a Ray cluster that classifies instead of this machine: auto, or host:port. --workers then counts processes "
        "of the cluster, by default one for each processor.", optional=True,
    ),
    Option("timeout", "float", 30.0, "Time limit in seconds for one batch on a server, including retries.", above=0),
    Option("retries", "int", 3, "How many times a batch is sent again if the server is too busy.", at_least=0, below=101),
    Option("batch_size", "int", 32, "Images in one request.", at_least=1, below=4097),
    Option("progress", "bool", True, "Show a progress bar after five seconds, with images per second and the time left."),
)

CHECK_OPTIONS = (
    _BUNDLE,
    Option(
        "images", "str", None,
        "Image files to classify, separated by commas. By default three random images are used.", optional=True,
    ),
)

_OF_DATA = ("split", "unseen", "num_unseen", "knowledge", "text_features", "missing_images", "seed")
CHECK_DATA_OPTIONS = (
    Option("data_dir", "str", None, "Folder of the data.", optional=True),
    Option(
        "dataset", "str", None,
        "The data set in --data_dir. By default the job recognises it by its files.", optional=True, choices=dataset_names(),
    ),
    Option("json", "str", None, "A JSON file to write all findings to.", optional=True),
    Option("page", "str", None, "An .html file to write all findings to, with pictures.", optional=True),
    *(declared for declared in SETTINGS if declared.name in _OF_DATA),
    Option("progress", "bool", True, "Show a progress bar after five seconds."),
)
CHECK_DATA_DETAILS = """\
Decodes every photograph as training does. Looks for photographs that occur more than once: identical files, and
pictures that look the same (saved again, smaller, lighter, mirrored). Looks for descriptions that are equal, or that
nothing can be learnt from. Counts the photographs of each class, and says how many classes to hide. niwt run gives a
shorter form of the same findings.

Each finding has a level. An error spoils results: a photograph that cannot be decoded, one that is in two classes or
in both training and test, two classes with the same description. A warning may spoil results. A note is advice. The
status is 1 if there is an error, 0 if there is none, and 2 if the data or a flag cannot be read at all."""
CHECK_RUN_OPTIONS = (
    Option("run_dir", "str", None, "Folder of the run.", optional=True),
    Option("format", "str", "table", "A table to read, or everything as JSON.", choices=("table", "json")),
)

REFINE_CLASS_OPTIONS = (
    _BUNDLE, _NAME,
    Option("images", "str", None, "A folder of photographs of the class, or image files separated by commas.", optional=True),
)

FLAGS_OPTIONS = (
    Option("list", "bool", False, "List the flag files and the purpose of each. This is also done if no flag is given."),
    Option("show", "str", None, "Name of a flag file to print.", optional=True),
    Option(
        "copy_to", "str", None, "A new folder to copy all flag files to, with the files that deploy bundles.", optional=True,
    ),
)
QUICKSTART_OPTIONS = (
    Option("data_dir", "str", "data/birds", "Folder that the birds are drawn into."),
    Option("run_dir", "str", "runs/birds", "Folder of the run."),
    Option("export_dir", "str", "exports/birds", "Folder for the exported bundles."),
    Option(
        "small", "bool", False,
        "Use few birds and little training, to see that all parts work. Default folder names then end in -small.",
    ),
    Option("progress", "bool", True, "Show progress bars."),
)

STUDIO_OPTIONS = (
    _BUNDLE,
    Option(
        "images", "str", None, "Folder of test images. Subfolders are read too. Nothing is written here.", optional=True
    ),
    Option(
        "most_images", "int", 200,
        "Maximum number of test images. If there are more, they are picked at even distances.", at_least=1, below=5001,
    ),
    Option("port", "int", 8600, "Port of the page.", at_least=1, below=65_536),
    Option("host", "str", "127.0.0.1", "Address that the page listens on. Only this machine can reach 127.0.0.1."),
)

EXPLAIN_OPTIONS = (
    Option("image", "str", None, "The image file.", optional=True),
    Option("run_dir", "str", None, "Folder of a run whose stage transfer is finished.", optional=True),
    Option("bundle", "str", None, f"{_BUNDLE.help} Use it instead of --run_dir.", optional=True),
    # An empty text is refused: the name that a script meant to put there is missing.
    Option("class", "str", None, "The class to explain. By default the most probable class."),
    Option("rival", "str", None, "The class to compare it with. By default the most probable of the other classes."),
    Option("out", "str", "explanations", "Folder for <image>.png and <image>.json. Files of other images stay."),
)
