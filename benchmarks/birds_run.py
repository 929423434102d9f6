"""The run on the birds that several measurements look at: a given one, or one made with few epochs when first asked for."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from functools import cached_property
from pathlib import Path

from benchmarks.harness import say
from niwt_tf.config.settings import Settings
from niwt_tf.data.load import load_dataset
from niwt_tf.data.schema import Dataset
from niwt_tf.files import read_json
from niwt_tf.models.network import Network

ROOT = Path(__file__).resolve().parent.parent


class BirdsRun:
    """A finished `niwt run` on the rendered birds.

    Attributes:
        scratch: a folder that is removed at the end.
        given: whether the run was there before.
        epochs: of a run that is made here.
    """

    def __init__(self, scratch: Path, run_dir: Path | None = None, epochs: int = 6) -> None:
        self.scratch = scratch
        self.epochs = epochs
        self.given = run_dir is not None
        self._run_dir = run_dir
        self.seconds: dict[str, float] = {}

    @cached_property
    def path(self) -> Path:
        """The run's folder; made in processes of their own, as a user would."""
        if self._run_dir is not None:
            return self._run_dir
        data, run = self.scratch / "birds", self.scratch / "run"
        say(f"rendering the birds and a run of {self.epochs} epochs on them, about two minutes ...")
        self._job("render", f"--data_dir={data}")
        flags = [f"--flagfile={ROOT / 'flags' / 'birds.flags'}", f"--epochs={self.epochs}", f"--data_dir={data}"]
        flags.append("--extra_layers=")  # the tape, which Stage 3 is measured against, has none
        self._job("run", *flags, f"--run_dir={run}", f"--export_dir={self.scratch / 'exports'}", "--noprogress")
        return run

    @property
    def settings(self) -> Settings:
        """What the run was made with."""
        stored = read_json(self.path / "config.json")["settings"]
        return Settings.from_dict({name: tuple(value) if isinstance(value, list) else value for name, value in stored.items()})

    @cached_property
    def dataset(self) -> Dataset:
        """The run's data and split."""
        settings = self.settings
        return load_dataset(
            settings.dataset,
            settings.data_folder,
            split=settings.split,
            unseen=settings.unseen,
            num_unseen=settings.num_unseen,
            knowledge=settings.knowledge,
            text_features=settings.text_features,
            seed=settings.seed,
            max_bad_images=None,
        )

    def network(self) -> Network:
        """Return the expanded network of the run."""
        return Network.load(self.path / "transfer" / "network.keras")

    def copy(self, name: str) -> Path:
        """Return a copy of the run that may be changed."""
        target = self.scratch / name
        shutil.copytree(self.path, target)
        return target

    def _job(self, name: str, *flags: str) -> None:
        begun = time.monotonic()
        subprocess.run([sys.executable, "-m", "niwt_tf", name, *flags], check=True, stdout=subprocess.DEVNULL, cwd=ROOT)
        self.seconds[name] = time.monotonic() - begun
