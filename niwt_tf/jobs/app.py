"""How a job is run as an absl app: flags in, one sentence and exit status 2 for whatever the user can put right."""

from __future__ import annotations

import errno
import importlib
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial

from absl import app, flags
from absl import logging as absl_logging

from niwt_tf.compute.quiet_tensorflow import import_quietly
from niwt_tf.config.extras import check_installed
from niwt_tf.config.surroundings import settle_process
from niwt_tf.errors import FULL_DISK, InputError, first_line
from niwt_tf.jobs.context import lost_worker, team_from_flags
from niwt_tf.jobs.flags import define_flags, parse_flags, run_folder, say_synonyms, settings_from_flags
from niwt_tf.jobs.table import HELP_FLAGS, JOBS, Job, job_help
from niwt_tf.jobs.terminal_text import shown
from niwt_tf.runs.run import Run, RunDirectory
from niwt_tf.runs.store import StageStore

# What a library may have made another error of: of other OSErrors that were met on the way, only it knows what they mean.
_OF_DISKS = (errno.EIO, errno.EROFS, errno.EDQUOT, errno.ESTALE, errno.EMFILE, errno.ENFILE)
_DISK_FULL = tuple(os.strerror(code) for code in FULL_DISK)


def run_job(name: str, arguments: Sequence[str] | None = None, main: Callable[[], None] | None = None) -> int:
    """Run a job as an absl app and return its exit status.

    A user's mistake (`InputError`) and a failing file system (`OSError`) are one sentence on stderr and status 2, an
    interrupt is status 130, and anything else is a traceback: a bug.

    Args:
        name: a key of `JOBS`.
        arguments: flags, by default those of the process.
        main: the job; by default that of `JOBS`, imported after its flags are known to be good.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    if any(argument in HELP_FLAGS for argument in given):
        print(job_help(JOBS[name]))
        return 0
    settle_process()
    _log_to_stderr(name)
    define_flags(JOBS[name])
    flags.FLAGS.unparse_flags()  # what an earlier job of this process was given

    def parse(argv: list[str]) -> list[str]:
        parse_flags(argv[1:])
        return argv[:1]

    def call(argv: list[str]) -> None:
        if not flags.FLAGS["verbosity"].present:
            absl_logging.set_verbosity(absl_logging.WARNING)
        say_synonyms(JOBS[name])
        for module in JOBS[name].needs:
            check_installed(module, f"niwt {name}")
        if JOBS[name].tensorflow:
            import_quietly()
        (main or _entry(JOBS[name]))()
        sys.stdout.flush()

    try:
        app.run(call, argv=["niwt", *given], flags_parser=parse)
    except SystemExit as end:  # absl ends every app this way
        return end.code if isinstance(end.code, int) else 0
    except KeyboardInterrupt:
        resumed = any(declared.name in ("run_dir", "sweep_dir") for declared in JOBS[name].options)
        resumed = resumed or bool("answers" in flags.FLAGS and flags.FLAGS.answers)
        then = "the same command goes on from here" if resumed else "nothing was written"
        print(f"\nniwt {name}: interrupted; {then}.", file=sys.stderr)
        return 130
    except Exception as error:
        sentence = str(error) if isinstance(error, InputError) else lost_worker(error) or _file_system_sentence(error)
        if sentence is None:
            raise
        print(f"niwt {name}: {shown(sentence)}", file=sys.stderr)
        return 2
    return 0


def _entry(job: Job) -> Callable[[], None]:
    module = importlib.import_module(f"niwt_tf.jobs.{job.module or job.name}")
    if job.own_stage:
        return partial(module.own_stage_job, job.name)
    entry: Callable[[], None] = getattr(module, f"{job.name}_job" if job.module else "main")
    return entry


@contextmanager
def run_from_flags() -> Iterator[Run]:
    """Yield the locked run directory that --run_dir names, with the settings of the flags and of its config.json.

    The team of --strategy is made here, before anything else: a process joins it before TensorFlow has done any work.
    """
    settings, given = settings_from_flags()
    directory, team = RunDirectory(run_folder()), team_from_flags()
    taken = {"overwrite": flags.FLAGS.overwrite, "given": given, "team": team}
    with directory.locked(settings, **taken) as run, _store() as run.store:
        yield run


@contextmanager
def _store() -> Iterator[StageStore | None]:
    """Yield the folder that --stage_store names, or None."""
    name = flags.FLAGS.stage_store
    if name is None:
        yield None
        return
    if flags.FLAGS.strategy == "multiworker":
        # The processes of one run would wait for each other.
        raise InputError("--stage_store must not be given with --strategy=multiworker. Received: both.")
    folder = os.path.expanduser(name)
    if os.path.exists(folder) and not os.path.isdir(folder):
        raise InputError(f"--stage_store must be a folder. Received: {name!r}.")
    with closing(StageStore(folder)) as store:
        yield store


def _log_to_stderr(name: str) -> None:
    logger = logging.getLogger("niwt_tf")
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_OneLine(f"niwt {name}: %(message)s"))
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False


class _OneLine(logging.Formatter):
    """Names of files in a message can neither break its line nor move the cursor."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802, D102
        record.message = shown(record.message)
        return super().formatMessage(record)


def _file_system_sentence(error: BaseException) -> str | None:
    """Return a sentence if an error, or what caused it, is the file system's, or says that memory is short."""
    cause: BaseException | None = error
    seen: list[BaseException] = []
    while cause is not None and cause not in seen:
        full = next((text for text in _DISK_FULL if text in str(cause)), None)
        if full is not None:
            # HDF5 and TensorFlow wrap the system's message in several lines of their own.
            return f"Cannot write{_named(cause)}: {full}. Once there is room, the same command goes on from here."
        if isinstance(cause, OSError) and (cause is error or cause.errno in _OF_DISKS):
            return f"Cannot read or write{_named(cause)}: {cause.strerror or cause}."
        if isinstance(cause, MemoryError) or type(cause).__name__ == "ResourceExhaustedError":  # TensorFlow's
            return f"This needs more memory than there is: {first_line(cause).rstrip('.')}."
        seen.append(cause)
        cause = cause.__cause__ or cause.__context__
    return None


def _named(error: BaseException) -> str:
    name = getattr(error, "filename", None)
    if name is None and "run_dir" in flags.FLAGS and flags.FLAGS["run_dir"].value is not None:
        return f" in {flags.FLAGS['run_dir'].value}"
    return f" {os.fspath(name)}" if isinstance(name, str | os.PathLike) else ""
