"""A sweep's folder: who may work in it, sweep.json, and where the journal, trials, logs and results lie."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from niwt_tf.errors import InputError
from niwt_tf.experiments.sweeps.choice import Outcome
from niwt_tf.experiments.sweeps.grid import SweepTrial
from niwt_tf.files import entries_of, read_json, remove_abandoned, write_json
from niwt_tf.runs.fingerprints import method_package, support_fingerprint, weights_fingerprint
from niwt_tf.runs.run import code
from niwt_tf.runs.stage import Manifest, read_manifest
from niwt_tf.runs.store import lock_file


class SweepFolder:
    """The folder that --sweep_dir names."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(os.path.abspath(os.path.expanduser(path)))
        self.cache = self.path / ".cache"
        self.stages = self.path / ".stages"
        self.locks = self.path / ".locks"
        self.journal = self.path / "journal.log"
        self.results = self.path / "results.csv"
        self.configurations = self.path / "configurations.csv"
        self.tensorboard = self.path / "tensorboard"
        self.logs = self.path / "logs"

    def run(self, trial: SweepTrial) -> Path:
        """Return the run directory of a trial."""
        return self.path / "trials" / trial.name

    def log(self, trial: SweepTrial) -> Path:
        """Return the log of a trial."""
        return self.logs / f"{trial.name}.log"

    def check(self) -> None:
        """Refuse a folder that is something else.

        Raises:
            InputError: it is a file, or holds other things than a sweep.
        """
        if self.path.exists() and not self.path.is_dir():
            raise InputError(f"--sweep_dir must be a folder. Received: {str(self.path)!r}.")
        if not self.path.exists() or (self.path / "sweep.json").exists():
            return
        strange = [entry.name for entry in entries_of(self.path)]
        if strange:
            raise InputError(
                f"--sweep_dir must be new, empty, or the folder of a sweep (with sweep.json). Received: {str(self.path)!r}, "
                f"which holds {strange[0]!r}."
            )

    @contextmanager
    def joined(self, description: Mapping[str, Any]) -> Iterator[None]:
        """Work in the folder, together with other processes that have the same `description`, which lies in its sweep.json.

        Raises:
            InputError: the folder is something else, or others work in it with another description.
        """
        self.check()
        self.locks.mkdir(parents=True, exist_ok=True)
        plain = json.loads(json.dumps(description))
        with lock_file(self.locks / "sweep") as lock:
            with suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._begin(plain)
                lock.truncate(0)
                lock.write(f"{os.getpid()} of {socket.gethostname()}")
                lock.flush()
            fcntl.flock(lock, fcntl.LOCK_SH)
            if self._description() != plain:
                lock.seek(0)
                raise InputError(
                    f"--sweep_dir {self.path} must not be in use by another sweep. Received: a folder where the sweep of "
                    f"process {lock.read()} is still running; the same flags join it."
                )
            yield

    def _begin(self, description: Mapping[str, Any]) -> None:
        """Make the folder ready, with nobody else in it."""
        remove_abandoned(self.path)
        if self.journal.is_symlink():  # its end may be cut off
            rule = f"{self.journal} must be a file of its own"
            raise InputError(f"{rule}. Received: a link to {os.readlink(self.journal)!r}.")
        with suppress(FileNotFoundError):
            # The disk may have been full in the midst of a line.
            os.truncate(self.journal, self.journal.read_bytes().rfind(b"\n") + 1)
            self.path.joinpath(f"{self.journal.name}.lock").unlink()  # Optuna's, of a process that was killed
        write_json(self.path / "sweep.json", description)

    def _description(self) -> Any:
        """Return what the processes that are here work on, or None where that cannot be read."""
        with suppress(OSError, ValueError):
            return read_json(self.path / "sweep.json")
        return None

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep the other processes from proposing trials and from writing results for a moment."""
        with lock_file(self.locks / "moment") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def claim(self, trial: SweepTrial) -> IO[str] | None:
        """Return a lock on a trial, held until every process that has it open closes it or dies; None if another holds it."""
        lock = lock_file(self.locks / f"trial {trial.name}")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            return None
        return lock

    def data(self, trial: SweepTrial, part: str = "data") -> str | None:
        """Return the fingerprint of the data, or of its "images", that a trial's run was made of; None if it has not begun."""
        with suppress(OSError, ValueError, KeyError, TypeError):
            return str(read_json(self.run(trial) / "config.json")[part])
        return None

    def manifests(self, trial: SweepTrial) -> dict[str, Manifest]:
        """Return the manifests of a trial's stages up to `transfer`, if all are finished and made from each other; else {}."""
        settings = json.loads(json.dumps(trial.settings.as_dict()))
        known = self.data(trial), self.data(trial, "images")
        found: dict[str, Manifest] = {}

        def holds(stage: str) -> bool:
            """Take up a stage and those that it was made of; which ones there are, only its method knows."""
            manifest = read_manifest(self.run(trial) / stage)
            if manifest is None or manifest["data"] not in known:
                return False
            used = manifest["settings"]
            if any(settings.get(name) != value for name, value in used.items()):
                return False
            present: dict[str, Any] = {}
            present |= weights_fingerprint(settings["weights"], settings["backbone"]) if stage == "train" else {}
            present |= support_fingerprint(settings["support"]) if stage == "transfer" and "support" in used else {}
            present |= {} if stage == "train" else method_package(settings["method"])
            # Its grid only its method knows, which would take TensorFlow; the package's version goes with that.
            if {name: value for name, value in manifest["extra"].items() if name != "grid"} != {**code(), **present}:
                return False
            for above, made in manifest["inputs"].items():
                if not (above in found or holds(above)) or found[above]["identity"] != made:
                    return False
            found[stage] = manifest
            return True

        return found if holds("transfer") else {}

    def evaluated(self, trial: SweepTrial) -> bool:
        """Return whether a trial's network, as it is, has been scored on test images."""
        manifest, above = read_manifest(self.run(trial) / "evaluate"), self.manifests(trial)
        scored = manifest is not None and bool(above) and manifest["inputs"] == {"transfer": above["transfer"]["identity"]}
        return scored and (self.run(trial) / "metrics.json").exists()

    def outcome(self, trial: SweepTrial) -> Outcome:
        """Return what became of a trial, by validation classes."""
        if not self.manifests(trial):
            return Outcome(trial, None, None)
        return Outcome(trial, self.data(trial), self.validation(trial).get("validation_harmonic_mean"))

    def validation(self, trial: SweepTrial) -> dict[str, float | None]:
        """Return the figures of a finished trial's training images; {} for another."""
        manifests = self.manifests(trial)
        if not manifests:
            return {}
        figures = read_json(self.run(trial) / "transfer" / "selection.json")["figures"]
        return {**manifests["train"]["metrics"], **figures}

    def seconds(self, trial: SweepTrial) -> float | None:
        """Return the seconds that a finished trial's stages took, whichever trial did them."""
        manifests = self.manifests(trial)
        return round(sum(manifest["seconds"] for manifest in manifests.values()), 1) if manifests else None
