"""Every job, and what `niwt --help` and `niwt JOB --help` print of it. Nothing heavy is imported here."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field

from niwt_tf.config.names import METHOD_STAGES
from niwt_tf.config.options import Option
from niwt_tf.config.settings import SYNONYMS
from niwt_tf.jobs.options import (
    ADD_CLASS_OPTIONS,
    BASELINE_OPTIONS,
    CHECK_DATA_DETAILS,
    CHECK_DATA_OPTIONS,
    CHECK_OPTIONS,
    CHECK_RUN_OPTIONS,
    CLASSIFY_OPTIONS,
    COMPARE_DETAILS,
    COMPARE_OPTIONS,
    DEPLOY_DETAILS,
    DEPLOY_OPTIONS,
    EXPLAIN_OPTIONS,
    EXPORT_OPTIONS,
    FLAGS_OPTIONS,
    LAMBDA_SWEEP_OPTIONS,
    LAYER_DEPTH_OPTIONS,
    LIST_CLASSES_OPTIONS,
    LITERT_OPTIONS,
    ONNX_OPTIONS,
    QUICKSTART_OPTIONS,
    REFINE_CLASS_OPTIONS,
    REMOVE_CLASS_OPTIONS,
    RENAME_CLASS_OPTIONS,
    RENDER_OPTIONS,
    REPRODUCE_DEFAULTS,
    REPRODUCE_DETAILS,
    REPRODUCE_OPTIONS,
    RUN_OPTIONS,
    STAGE_OPTIONS,
    STUDIO_OPTIONS,
    SUPPORT_IMAGES_OPTIONS,
    SWEEP_DETAILS,
    SWEEP_OPTIONS,
    SYNTHESIZE_DETAILS,
    SYNTHESIZE_OPTIONS,
    WEIGHT_RECOVERY_OPTIONS,
)


@dataclass(frozen=True)
class Job:
    """A job: `niwt_tf.jobs.<name>` has its `main`, or the file that several jobs share has its `<name>_job`.

    Attributes:
        name: what follows `niwt` on the command line.
        summary: one line for `niwt --help`.
        options: the flags that it takes.
        module: the file of `niwt_tf/jobs/` that it shares with other jobs; "" for one of its own.
        tensorflow: whether it needs TensorFlow at its start.
        details: more lines for `niwt JOB --help`.
        needs: modules of extras without which it does nothing.
        defaults: what a flag that is left out means to this job, for people, where the option's own default does not tell.
        own_stage: whether it is a stage that one method alone has.
    """

    name: str
    summary: str
    options: tuple[Option, ...] = STAGE_OPTIONS
    module: str = ""
    tensorflow: bool = True
    details: str = ""
    needs: tuple[str, ...] = ()
    defaults: Mapping[str, str] = field(default_factory=dict)
    own_stage: bool = False

    @property
    def synonyms(self) -> Mapping[str, str]:
        """Former names of flags, by the name of today."""
        return SYNONYMS if any(declared.name in SYNONYMS for declared in self.options) else {}


_DRAWS = ("matplotlib",)
JOBS = {
    job.name: job
    for job in (
        Job("quickstart", "Draw birds, learn ten species by description, export, report.", QUICKSTART_OPTIONS, "", False),
        Job(
            "flags",
            "List the flag files in the package. Use one with --flagfile=niwt:NAME.", FLAGS_OPTIONS, "packaged_files", False,
        ),
        Job("render", "Draw the birds data set, with folders and files as in CUB.", RENDER_OPTIONS, tensorflow=False),
        Job(
            "check_data", "Look for what may be wrong with a data set.", CHECK_DATA_OPTIONS, "", False, CHECK_DATA_DETAILS,
        ),
        Job("run", "Do every stage that is not up to date, from train to report.", RUN_OPTIONS),
        Job(
            "deploy", "Train on every class with photographs, with the choices of a measured run, and export.",
            *(DEPLOY_OPTIONS, "run", True, DEPLOY_DETAILS),
        ),
        Job("train", "Train the network on the seen classes.", module="fit"),
        *(
            Job(name, summary, module="fit", own_stage=True)
            for stages in METHOD_STAGES.values() for name, summary in stages.items()
        ),
        Job("transfer", "Make a head column for each unseen class from its description.", module="fit"),
        Job("evaluate", "Score seen and unseen classes on the test images."),
        Job("export", "Write a verified SavedModel for serving.", EXPORT_OPTIONS, "export"),
        Job("faithfulness", "Measure how true the explanations of the test images are."),
        Job("report", "Write the report of a run: an HTML file, and files for TensorBoard."),
        Job(
            "export_onnx", "Write a run or a bundle as one ONNX file (needs niwt-tf[onnx]).", ONNX_OPTIONS, "export",
            needs=("tf2onnx", "onnxruntime"),
        ),
        Job(
            "export_litert", "Write a run or a bundle as one LiteRT file (needs niwt-tf[litert]).", LITERT_OPTIONS, "export",
            needs=("ai_edge_litert",),
        ),
        Job("compare", "Compare methods over the seeds and splits of runs.", COMPARE_OPTIONS, "", False, COMPARE_DETAILS),
        Job("baseline", "Score other methods on the same features and protocol.", BASELINE_OPTIONS),
        Job(
            "lambda_sweep", "Plot accuracy against the lambda of stage 3 (Fig. 3b).", LAMBDA_SWEEP_OPTIONS, "analyses",
            needs=_DRAWS,
        ),
        Job(
            "weight_recovery", "Recover seen head columns from noisy importances (Fig. 3a).", WEIGHT_RECOVERY_OPTIONS,
            "analyses", needs=_DRAWS,
        ),
        Job(
            "layer_depth", "Run NIWT at each block of the network (Section 5.3).", LAYER_DEPTH_OPTIONS, "analyses",
            needs=_DRAWS,
        ),
        Job(
            "support_images", "Fit new head columns on seen, other and noise images (Table 2).", SUPPORT_IMAGES_OPTIONS,
            "analyses", needs=_DRAWS,
        ),
        Job("consistency", "Compare importances within and across classes (Section 3.2).", module="analyses", needs=_DRAWS),
        Job(
            "sweep", "Try a grid of flags and choose on validation classes.",
            *(SWEEP_OPTIONS, "", False, SWEEP_DETAILS, ("optuna",)),
        ),
        Job(
            "reproduce", "Run rows of the papers' tables.",
            *(REPRODUCE_OPTIONS, "", False, REPRODUCE_DETAILS), defaults=REPRODUCE_DEFAULTS,
        ),
        Job(
            "synthesize", "Write a network for classes that have only texts, and export it.",
            *(SYNTHESIZE_OPTIONS, "", True, SYNTHESIZE_DETAILS),
        ),
        Job("classify", "Classify images with a server or with an exported bundle.", CLASSIFY_OPTIONS, tensorflow=False),
        Job("explain", "Explain why an image belongs to one class and not to another.", EXPLAIN_OPTIONS),
        Job("list_classes", "Show the class cards of an exported network.", LIST_CLASSES_OPTIONS, "classes", False),
        Job("add_class", "Add classes to an exported network by their descriptions.", ADD_CLASS_OPTIONS, "classes", False),
        Job(
            "refine_class", "Improve the head column of an added class with photographs.",
            *(REFINE_CLASS_OPTIONS, "classes", False),
        ),
        Job("rename_class", "Rename a class of an exported network.", RENAME_CLASS_OPTIONS, "classes", False),
        Job("remove_class", "Remove a class from an exported network.", REMOVE_CLASS_OPTIONS, "classes", False),
        Job(
            "studio", "Open a page to try an exported network and to compose new classes.", STUDIO_OPTIONS, tensorflow=False,
            needs=("streamlit",),
        ),
        Job(
            "check_run", "Say which parts of a run are damaged, and which niwt run would make again.", CHECK_RUN_OPTIONS,
            tensorflow=False,
        ),
        Job("check_export", "Load a bundle as TensorFlow Serving does, and check its answers.", CHECK_OPTIONS, "export"),
    )
}

HELP_FLAGS = ("--help", "-h", "-help", "--helpfull", "--helpshort")
COMMAND = "niwt"
FLAG_FILE_HELP = "A file with one flag a line; # starts a comment. niwt:NAME is a flag file of the package."
USAGE = f"{COMMAND} JOB [--flagfile=FILE] [--flag=value ...]"


def overview() -> str:
    """Return what `niwt --help` prints."""
    lines = [f"usage: {USAGE}", "", "Zero-shot image classifiers from class descriptions.", "", "jobs:"]
    lines += [f"  {job.name:<17}{job.summary}" for job in JOBS.values()]
    return "\n".join([*lines, "", "niwt JOB --help lists a job's flags; niwt --version prints the version."])


def job_help(job: Job) -> str:
    """Return what `niwt JOB --help` prints."""
    lines = [f"usage: {USAGE.replace('JOB', job.name)}", "", job.summary, ""]
    if job.details:
        lines += [*job.details.splitlines(), ""]
    lines.append("flags:")
    for declared in job.options:
        # A long list of choices is broken after a stroke: a blank there is one that the wrapping may take.
        form = textwrap.wrap(flag_form(declared).replace("|", "| "), 100, initial_indent="  --", subsequent_indent="    ")
        lines += [line.replace("| ", "|") for line in form]
        default = f" (default: {job.defaults[declared.name]})" if declared.name in job.defaults else flag_default(declared)
        lines += textwrap.wrap(declared.help + default, 100, initial_indent="      ", subsequent_indent="      ")
    lines += ["  --flagfile=FILE", f"      {FLAG_FILE_HELP}"]
    return "\n".join(lines)


# Flags that name a file or a folder; so do those that end with _dir or _file.
_FILES = frozenset((
    "answers", "attributes", "bundle", "cards", "copy_to", "descriptions", "image", "json", "out", "page", "path", "published",
    "stage_store",
))


def flag_form(declared: Option) -> str:
    """Return how a flag is written, without its dashes: `seed=N`."""
    if declared.kind == "bool":
        return f"[no]{declared.name}"
    text = "PATH" if declared.name.endswith(("_dir", "_file")) or declared.name in _FILES else "NAME"
    values = {"int": "N", "float": "X", "strs": "a,b,...", "floats": "x,y,...", "str": text}
    others = ["PATH"] * declared.path + [f"{prefix}NAME" for prefix in declared.prefixes]
    choices = "|".join([*declared.choices, *others])
    return f"{declared.name}={choices or values[declared.kind]}"


def flag_default(declared: Option) -> str:
    """Return what is said of a default, or "" where there is none."""
    value = declared.default
    if value is None or value == ():
        return ""
    if isinstance(value, bool):
        return f" (default: {str(value).lower()})"
    if isinstance(value, tuple):
        return f" (default: {','.join(item if isinstance(item, str) else f'{item:g}' for item in value)})"
    return f" (default: {value})"
