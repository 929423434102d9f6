"""The command `niwt JOB --flags`. Help is instant: a job's module, and with it TensorFlow, is imported only to run it."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from niwt_tf import __version__
from niwt_tf.config.surroundings import drop_what_is_for_others, leave_working_directory
from niwt_tf.errors import InputError, suggestion
from niwt_tf.jobs.terminal_text import outlive_readers, shown

# What is no job, but looked for as one.
_NO_JOBS = {
    "serve": " A bundle is served by TensorFlow Serving, or for a try by 'python -m niwt_tf.serving.loopback EXPORT_DIR NAME'.",
    "predict": " Did you mean 'classify'?",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the job that the first argument names and return the exit status: 0, or 2 for bad input."""
    if arguments is None:
        leave_working_directory()
        outlive_readers()
    try:
        status = _main(arguments)
        sys.stdout.flush()
    except InputError as error:  # the options of an installed package are not in order
        print(f"niwt: {shown(str(error))}", file=sys.stderr)
        return 2
    except OSError as error:  # of what was printed; a job says its own
        print(f"niwt: Cannot write: {error.strerror or error}.", file=sys.stderr)
        return 2
    return status


def _main(arguments: Sequence[str] | None) -> int:
    from niwt_tf.jobs.table import HELP_FLAGS, JOBS, job_help, overview

    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given:
        print(overview(), file=sys.stderr)
        return 2
    name, rest = given[0], given[1:]
    if name in HELP_FLAGS or name == "help":
        print(overview())
        return 0
    if name in ("--version", "-version"):
        print(f"niwt {__version__}")
        return 0
    if name not in JOBS:
        rule = f"niwt: the first argument must be a job: {', '.join(JOBS)}. Received: {name!r}."
        print(f"{rule}{_NO_JOBS.get(name) or suggestion(name, JOBS)}", file=sys.stderr)
        return 2
    if any(argument in HELP_FLAGS for argument in rest):
        print(job_help(JOBS[name]))
        return 0
    drop_what_is_for_others()  # before a library reads them
    from niwt_tf.jobs.app import run_job

    return run_job(name, rest)
