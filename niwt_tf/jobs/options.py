"""Which flags each job takes, and the lines of its help. Imported by `niwt --help`, so nothing heavy is imported here."""

from __future__ import annotations

from dataclasses import replace

from niwt_tf.config.names import DEFAULT_METHOD, METHOD_STAGES, TEXT_METHODS, compared_methods, dataset_names
from niwt_tf.config.options import Option
from niwt_tf.config.settings import SETTINGS
from niwt_tf.experiments.text_tables.paper import TABLES

_WORK_OPTIONS = (
    Option("run_dir", "str", None, "Folder of the run: every stage reads and writes it.", optional=True),
    Option("export_dir", "str", None, "Where SavedModels go; by default exports/<name of run_dir>.", optional=True),
    Option("overwrite", "bool", False, "Make again what changed flags affect, instead of refusing them."),
    Option("progress", "bool", True, "Show progress bars."),
    Option(
        "cache_dir", "str", None, "Where maps and features of frozen networks are cached; by default .cache in run_dir.",
        optional=True,
    ),
    Option("cache_gb", "float", 4.0, "Most gigabytes of that cache; 0 for none.", at_least=0),
    Option(
        "strategy", "str", "none",
        "Devices that share the work: one, all of this machine, or the processes that TF_CONFIG names.",
        choices=("none", "mirrored", "multiworker"),
    ),
    Option(
        "stage_store", "str", None,
        "Folder in which runs share finished stages: one with the same settings, inputs and data is done once.",
        optional=True,
    ),
)
STAGE_OPTIONS = (*_WORK_OPTIONS, *SETTINGS)

_ABSTAIN = Option(
    "abstain", "bool", False, "Export a network that answers 'unknown' below the probability that validation classes chose.",
)
_OWN_STAGES = [stage for stages in METHOD_STAGES.values() for stage in stages]
STAGES = ("train", *_OWN_STAGES, "transfer", "evaluate", "export", "faithfulness", "report")
EXPORT_OPTIONS = (*STAGE_OPTIONS, _ABSTAIN)
RUN_OPTIONS = (*EXPORT_OPTIONS, Option("until", "str", "report", "The last stage to do, one of the method's.", choices=STAGES))

DEPLOY_OPTIONS = (
    Option("run_dir", "str", None, "The measured run, whose settings and choices are taken.", optional=True),
    Option("deploy_dir", "str", None, "Folder of the run without hidden classes; by default <run_dir>-deploy.", optional=True),
    *(declared for declared in _WORK_OPTIONS if declared.name in ("export_dir", "progress", "cache_dir", "cache_gb")),
    _ABSTAIN,
)
DEPLOY_DETAILS = """\
Trains on every class that has photographs, with the settings and the choices of a run that hid some to measure on,
learns the described classes, and exports. What it does with classes that nobody photographed cannot be measured
again: the figures of the measured run stand for it."""

RENDER_OPTIONS = (
    Option("data_dir", "str", "data/birds", "Folder to write: new, empty, or rendered before."),
    Option("num_species", "int", 50, "Number of species (classes).", at_least=2, below=201),
    Option("images_per_species", "int", 60, "Images of each species.", at_least=1, below=10_001),
    Option("image_size", "int", 64, "Side of an image in pixels.", at_least=32, below=1025),
    Option("seed", "int", 0, "Seed of species and images.", at_least=0),
)

# Flags that were called otherwise, by the flag that stands for them today. They are taken for one more release.
SYNONYMS = {"method": "head"}
BASELINE_SYNONYMS = {"methods": "method"}
BASELINE_OPTIONS = (
    # The run has its method, which can be given by its former name alone: --method was what --methods is now.
    *(replace(declared, name=SYNONYMS.get(declared.name, declared.name)) for declared in STAGE_OPTIONS),
    Option(
        "methods", "strs", ("all",),
        f"Methods to score beside the run's own: all but {' and '.join(METHOD_STAGES)}, which take as long as a run.",
        choices=("all", *compared_methods()),
    ),
    Option(
        "baseline_features", "str", "head",
        "What they are fitted on: what the head is applied to, or the mean of the conv map that NIWT reads.",
        choices=("head", "map"),
    ),
)
_WRITTEN = (
    Option("run_dir", "str", None, "Folder of the run, which has the stage transfer.", optional=True),
    Option("bundle", "str", None, "Instead of a run: an exported version, or the folder of its versions.", optional=True),
)
ONNX_OPTIONS = (
    *_WRITTEN,
    Option("path", "str", None, "File to write, .onnx; by default exports/<name of the run or bundle>.onnx.", optional=True),
)
LITERT_OPTIONS = (
    *_WRITTEN,
    Option(
        "path", "str", None, "File to write, .tflite; by default exports/<name of the run or bundle>.tflite.", optional=True
    ),
    Option(
        "weights_as", "str", "float32", "What the weights are kept as; int8 is quantised dynamically.",
        choices=("float32", "float16", "int8"),
    ),
    Option(
        "images", "str", None, "Folder of images that the file must answer as the network does, 200 at most; by default noise.",
        optional=True
    ),
)

_HALF_DECADES = tuple(float(f"{10.0 ** (power / 2):.3g}") for power in range(-12, 7))
# Beyond, sums of squares overflow or vanish in float32, and there is nothing to draw.
_LEAST, _MOST = 1e-12, 1e12

LAMBDA_SWEEP_OPTIONS = (
    *STAGE_OPTIONS,
    Option("lambda_grid", "floats", _HALF_DECADES, "Weights of the regulariser to draw.", at_least=_LEAST, below=_MOST),
)

WEIGHT_RECOVERY_OPTIONS = (
    *STAGE_OPTIONS,
    Option(
        "epsilons", "floats", (0.0, 0.1, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0),
        "Noise, in units of the mean magnitude of the importance that it is added to.", at_least=0, below=_MOST,
    ),
    Option("noise_seeds", "int", 5, "Draws of the noise.", at_least=2),
    Option("recovery_images", "int", 2000, "Most training images that importances are taken of.", at_least=1),
)

LAYER_DEPTH_OPTIONS = (
    *STAGE_OPTIONS,
    Option("layers", "strs", (), "Layers to cut at; by default the last of each block and every fully connected layer."),
)

SUPPORT_IMAGES_OPTIONS = (
    *STAGE_OPTIONS,
    Option("imagenet_dir", "str", None, "Folder of other images, such as a sample of ImageNet, for a row.", optional=True),
)

COMPARE_OPTIONS = (
    Option("runs", "strs", (), "Run directories, and folders that hold some."),
    Option(
        "reference", "str", None,
        "The method that differences are to, as the table names it; by default niwt, or the first one.", optional=True,
    ),
    Option("out", "str", "comparison", "Folder for comparison.csv, per_problem.csv, comparison.md and comparison.png."),
    Option(
        "bound", "bool", False,
        "Show also what H would be if the calibration were chosen on test images: an upper bound, called optimistic.",
    ),
    Option(
        "published", "str", None,
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

SWEEP_OPTIONS = (
    Option("sweep_dir", "str", None, "Folder of the sweep; the same command goes on there.", optional=True),
    Option("grid", "str", None, "Flags and the values to try, for instance 'seen_head=ridge,softmax;seed=0,1'.", optional=True),
    Option(
        "grid_file", "str", None,
        'The same as a JSON file, {"flag": [value, value]}, for values with , ; or | in them; a list is a value.',
        optional=True,
    ),
    Option("sampler", "str", "grid", "Try all of the grid, or what Optuna's TPE picks of it.", choices=("grid", "tpe")),
    Option("num_trials", "int", None, "How many configurations tpe picks for each problem.", optional=True, at_least=1),
    Option("parallel", "int", 1, "Trials at a time; they share the processors.", at_least=1),
    *(declared for declared in _WORK_OPTIONS if declared.name in ("progress", "cache_dir", "cache_gb", "strategy")),
    *SETTINGS,
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

REPRODUCE_OPTIONS = (
    Option(
        "table", "str", "1",
        f"Table 1 of NIWT's paper, or one of N3's: {'; '.join(f'{name}, {title}' for name, (title, _) in TABLES.items())}; or "
        "published, the field's figures on its own features (--dataset=xlsa17).",
        choices=("1", *TABLES, "published"),
    ),
    Option("dry_run", "bool", False, "Say what is needed and what of it is there, and stop: status 2 if any is missing."),
    Option("gpu_tflops", "float", 5.0, "10^12 floating point operations a second, to estimate GPU hours by.", above=0),
    *(declared for declared in _WORK_OPTIONS if declared.name != "export_dir"), *SETTINGS,
)
# What a flag that is left out means here, where it is not what it means to niwt run.
REPRODUCE_DEFAULTS = {
    "dataset": "none, it must be given: cub or awa2, or what the table names",
    "data_dir": "data/<dataset>",
    "backbone": "both of Table 1, vgg16 and resnet101",
    "finetune": "both, head and all",
    "knowledge": "both, attributes and captions",
    "split": "ps, or the row's",
    "method": f"of Table 1 {DEFAULT_METHOD}, otherwise the row's",
    "text_features": "of Table 1 lsa, otherwise the row's",
    "weights": "imagenet",
    "num_folds": "1 where all layers are trained, 3 where the head is",
    "num_support": "128 of vgg16, 96 of resnet101",
    "run_dir": "runs/table1, or runs/<table>_<dataset>",
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
kept. In --run_dir: the table as CSV and Markdown, our figures beside the paper's, and of N3's tables as a picture.

The tables of N3's paper ("Language to Network") take --dataset: cub, awa2, nabirds or flowers for n3_2, where --split
picks a row, cub or flowers for n3_6, cub or birds (drawn) for the others. Their rows have the settings of that paper
as far as they can be had; what stands for what is said beside each row. Texts of classes are the user's own,
descriptions/<class>.txt.

--table=published --dataset=xlsa17 --data_dir=xlsa17 runs NIWT and every other method on the features res101.mat of
each data set whose folder is there (xlsa17/data/CUB, ...) and puts published figures on the same features beside."""

SYNTHESIZE_OPTIONS = (
    Option(
        "run_dir", "str", None, f"Folder of a finished run of a method that reads texts: --method={'|'.join(TEXT_METHODS)}.",
        optional=True,
    ),
    Option("descriptions", "str", None, "A folder with <class>.txt for each class, or a CSV with class,text.", optional=True),
    Option("export_dir", "str", None, "Folder of the bundle's versions; by default exports/synthesized.", optional=True),
)
SYNTHESIZE_DETAILS = """\
Writes a network for classes that nobody photographed, each described by a text, and exports it for TensorFlow
Serving. The classes are told apart among themselves: those of the run are not in it. The bundle keeps the texts,
the order of its classes and the meta-model that wrote it: niwt add_class and remove_class write it anew, which
moves the logits of all its classes."""

_BUNDLE = Option("bundle", "str", None, "The exported version, or the folder of its versions: then the newest.", optional=True)
_NAME = Option("name", "str", None, "The class.", optional=True)

ADD_CLASS_OPTIONS = (
    _BUNDLE,
    _NAME,
    Option("attributes", "str", None, "JSON or CSV file with the value of each attribute.", optional=True),
    Option("text", "str", None, "What the class looks like, in words.", optional=True),
    Option("text_file", "str", None, "A file with that text.", optional=True),
    Option("cards", "str", None, "CSV of several classes, described by attributes, by text or by files.", optional=True),
    Option("source", "str", None, "Where the description comes from, for the class's card.", optional=True),
    Option(
        "missing", "str", "error", "What attributes get that are not named: refuse, or give the seen classes' mean.",
        choices=("error", "mean"),
    ),
    Option("yes", "bool", False, "Save also what a text says of which less than half was understood; a terminal asks."),
)
RENAME_CLASS_OPTIONS = (_BUNDLE, _NAME, Option("new_name", "str", None, "What it is called from now on.", optional=True))
REMOVE_CLASS_OPTIONS = (_BUNDLE, _NAME)
LIST_CLASSES_OPTIONS = (
    _BUNDLE,
    Option("format", "str", "table", "A table for people, or all of the cards.", choices=("table", "json")),
)

CLASSIFY_OPTIONS = (
    Option("images", "str", None, "Image files, and folders of them (folders within too), with commas between.", optional=True),
    Option("server", "str", None, "A server: grpc://host:8500 or http://host:8501.", optional=True),
    Option("name", "str", None, "What the server calls the model.", optional=True),
    Option("model_version", "str", None, "A version's number or a label on the server; by default the newest.", optional=True),
    replace(_BUNDLE, help=f"{_BUNDLE.help} Instead of a server, or beside it to know what --describe means."),
    Option("top", "int", 1, "Classes to show of each image, at most; a bundle answers five.", at_least=1),
    Option("explain", "bool", False, "Say in words what speaks for the best class."),
    Option(
        "describe", "str", None,
        "A class that the model has not been given, for these images alone: 'moss wren: A red crown.'; several in lines.",
    ),
    Option("cards", "str", None, "The same of a CSV, as niwt add_class takes it.", optional=True),
    Option("yes", "bool", False, "Take also a text of which less than half was understood."),
    Option("format", "str", "table", "What goes to the standard output.", choices=("table", "json", "csv")),
    Option("json", "str", None, "A file to write the answers to as JSON as well.", optional=True),
    Option(
        "answers", "str", None,
        "A file that the answers are appended to as they come, .csv, .jsonl or .parquet, instead of the standard output. "
        "The same command goes on after an interruption. Bad images go to <name>.bad.csv.", optional=True,
    ),
    Option("workers", "int", 1, "Processes that answer; they share the processors.", at_least=1, below=257),
    Option(
        "cluster", "str", None,
        "A Ray cluster whose machines answer instead of this one: auto, or host:port. --workers are then of the cluster, by "
        "default one for each processor.", optional=True,
    ),
    Option("timeout", "float", 30.0, "Seconds for one batch on a server, with its repetitions.", above=0),
    Option("retries", "int", 3, "Repetitions of one batch that a server is too busy to answer.", at_least=0, below=101),
    Option("batch_size", "int", 32, "Images a request.", at_least=1, below=4097),
    Option("progress", "bool", True, "Show a progress bar after five seconds, with images a second and the time left."),
)

CHECK_OPTIONS = (
    _BUNDLE,
    Option("images", "str", None, "Image files to ask about, with commas between them; by default drawn ones.", optional=True),
)

_OF_DATA = ("split", "unseen", "num_unseen", "knowledge", "text_features", "missing_images", "seed")
CHECK_DATA_OPTIONS = (
    Option("data_dir", "str", None, "Folder of the data.", optional=True),
    Option("dataset", "str", None, "What it holds; by default what its files tell.", optional=True, choices=dataset_names()),
    Option("json", "str", None, "A file to write all that was found to, as JSON.", optional=True),
    Option("page", "str", None, "A file to write it to as a page with the pictures, .html.", optional=True),
    *(declared for declared in SETTINGS if declared.name in _OF_DATA),
    Option("progress", "bool", True, "Show a progress bar after five seconds."),
)
CHECK_DATA_DETAILS = """\
Decodes every photograph as training does, and looks for those that are there more than once: identical files, and
pictures that look the same (saved again, smaller, lighter, mirrored). Looks for descriptions that cannot be told apart
or learnt from, counts the photographs of each class, and says how many classes to hold out. niwt run says the same in
fewer words.

Each finding has a level. An error spoils results: a photograph that cannot be decoded, one that is in two classes or
in training and in test, classes of one description. A warning may spoil them; a note is advice. The status is 1 where
there is an error, 0 where there is none, and 2 where the data or a flag cannot be read at all."""
CHECK_RUN_OPTIONS = (
    Option("run_dir", "str", None, "Folder of the run.", optional=True),
    Option("format", "str", "table", "A table for people, or all of it.", choices=("table", "json")),
)

REFINE_CLASS_OPTIONS = (
    _BUNDLE, _NAME,
    Option("images", "str", None, "A folder of photographs of the class, or files with commas between them.", optional=True),
)

FLAGS_OPTIONS = (
    Option("list", "bool", False, "List them with what each is for, as without any flag."),
    Option("show", "str", None, "The name of one to print.", optional=True),
    Option("copy_to", "str", None, "A new folder for all of them, and for the files to deploy bundles with.", optional=True),
)
QUICKSTART_OPTIONS = (
    Option("data_dir", "str", "data/birds", "Where the birds are drawn."),
    Option("run_dir", "str", "runs/birds", "Folder of the run."),
    Option("export_dir", "str", "exports/birds", "Where SavedModels go."),
    Option(
        "small", "bool", False,
        "Take few birds and little training, to see that all parts work; folders that are not given end in -small.",
    ),
    Option("progress", "bool", True, "Show progress bars."),
)

STUDIO_OPTIONS = (
    _BUNDLE, Option("images", "str", None, "Folder of test images, in it and below; it is only read.", optional=True),
    Option("most_images", "int", 200, "Most test images that are taken, at even distances.", at_least=1, below=5001),
    Option("port", "int", 8600, "Where the page is.", at_least=1, below=65_536),
    Option("host", "str", "127.0.0.1", "From where it can be reached; 127.0.0.1 is this machine alone."),
)

EXPLAIN_OPTIONS = (
    Option("image", "str", None, "The image file.", optional=True),
    Option("run_dir", "str", None, "Folder of a run, which has the stage transfer.", optional=True),
    Option("bundle", "str", None, "Instead of a run: an exported version, or the folder of its versions.", optional=True),
    # An empty text is refused: the name that a script meant to put there is missing.
    Option("class", "str", None, "The class to explain; by default the most probable one."),
    Option("rival", "str", None, "The class to compare it with; by default the best of the others."),
    Option("out", "str", "explanations", "Folder for <image>.png and <image>.json; other images' are not replaced."),
)
