"""`niwt quickstart`: the drawn birds from nothing to a report and a served model, without a clone of the repository."""

from __future__ import annotations

import time

from absl import flags

from niwt_tf.errors import InputError
from niwt_tf.jobs.packaged_files import PREFIX
from niwt_tf.jobs.reproduce import run_attached, run_program


def main() -> None:
    """Draw the birds and do every stage of a run on them, as the flag file niwt:birds says.

    Raises:
        InputError: one of the two jobs failed, which has said why.
    """
    values, begun = flags.FLAGS, time.monotonic()
    progress = f"--{'' if values.progress else 'no'}progress"
    places = [f"--{name}={values[name].value}" for name in ("data_dir", "run_dir", "export_dir")]
    for job, given in (("render", places[:1]), ("run", [f"--flagfile={PREFIX}birds", *places, progress])):
        status = run_attached([*run_program(job), *given])
        if status:
            raise InputError(f"niwt {job} must succeed. Received: status {status}; the same command goes on from there.")
    print(f"quickstart: {time.monotonic() - begun:.0f} s")
