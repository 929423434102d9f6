"""`niwt quickstart`: the drawn birds from nothing to a report and a served model, without a clone of the repository."""

from __future__ import annotations

import time

from absl import flags

from niwt_tf.errors import InputError
from niwt_tf.jobs.packaged_files import PREFIX
from niwt_tf.jobs.reproduce import run_attached, run_program

# What --small adds: numbers that are worth nothing, from every stage, in seconds.
_SMALL = {
    "render": ("--num_species=10", "--images_per_species=10", "--image_size=32"),
    "run": ("--num_unseen=3", "--input_size=32", "--epochs=2", "--num_support=16", "--transfer_steps=20", "--map=ridge"),
}


def main() -> None:
    """Draw the birds and do every stage of a run on them, as the flag file niwt:birds says.

    Raises:
        InputError: one of the two jobs failed, which has said why.
    """
    values, begun = flags.FLAGS, time.monotonic()
    progress = f"--{'' if values.progress else 'no'}progress"
    ending = {name: "-small" * (values.small and not values[name].present) for name in ("data_dir", "run_dir", "export_dir")}
    places = [f"--{name}={values[name].value}{end}" for name, end in ending.items()]
    for job, given in (("render", places[:1]), ("run", [f"--flagfile={PREFIX}birds", *places, progress])):
        status = run_attached([*run_program(job), *given, *(_SMALL[job] if values.small else ())])
        if status:
            raise InputError(f"niwt {job} must succeed. Received: status {status}; the same command goes on from there.")
    print(f"quickstart: {time.monotonic() - begun:.0f} s")
