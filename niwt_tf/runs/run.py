"""A run's folder: one lock, one config.json, one folder a stage that appears whole or not at all."""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import niwt_tf
from niwt_tf.compute.distributed import ALONE, Team
from niwt_tf.config.settings import SETTING_NAMES, Settings
from niwt_tf.errors import InputError, OtherFlagsError, is_passing
from niwt_tf.files import entries_of, fingerprint, has_seal, is_sealed, read_json, remove_abandoned, sealed, write_json
from niwt_tf.runs.fingerprints import other_package, package_versions
from niwt_tf.runs.ledger import UseOfTestImages
from niwt_tf.runs.stage import OTHER_VERSION, Manifest, Stage, fault_of, read_manifest
from niwt_tf.runs.store import StageStore, held

# Raised whenever the files of a stage change their form: what an earlier version wrote is then made again.
FORMAT = 8


def code() -> dict[str, Any]:
    """Return what every stage's result depends on beside settings, inputs and data: the form of its files and the package."""
    return {"format": FORMAT, "version": niwt_tf.__version__}


CONFIG = "config.json"
COPY = ".config.json"
_REPLACES = "replaces"
_LOG = logging.getLogger("niwt_tf.jobs")
# By them a run of an earlier version is told.
_FORMER_SETTINGS = frozenset(("head",))


class RunDirectory:
    """The folder that --run_dir names."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    @contextmanager
    def locked(
        self, settings: Settings, overwrite: bool = False, given: Collection[str] | None = None, team: Team = ALONE
    ) -> Iterator[Run]:
        """Hold the folder for this process and yield the `Run` in it.

        In a folder that has a config.json, settings that are not in `given` are taken from there. Nothing is written
        before the first stage is; an `InputError` before a first stage is finished leaves the folder as it was.

        Args:
            settings: what the flags or the caller ask for.
            overwrite: whether given settings may differ from the folder's; stages that they affect are then redone.
            given: names of the settings that were asked for rather than left at their default; None means all.
            team: the processes that work in the folder together. The chief alone holds and writes it.

        Raises:
            InputError: another process holds the folder, it is not a run's, its flags differ and `overwrite` is false, or the
                workers of the team were not started with the same flags and folder.
        """
        asked = frozenset(SETTING_NAMES if given is None else given)
        with self._lock() if team.is_chief else nullcontext():
            if team.is_chief:
                remove_abandoned(self.path)
            config = self._read_config()
            merged = settings if config is None else self._merged(config, settings, asked, overwrite)
            # Nothing is written before every worker has read the same configuration.
            _check_same(team, merged.as_dict(), "flags and the same config.json in --run_dir")
            run = Run(self.path, merged, config, team)
            try:
                yield run
            except InputError:
                run._restore()
                raise
            run._keep_config()
            team.barrier()

    def reading(self) -> Run:
        """Return the run in the folder, only to read what its stages have finished: nothing is held, made or written.

        Raises:
            InputError: it is no run's folder.
        """
        config = self._read_config()
        if config is None:
            rule = "--run_dir must be the folder of a run (with config.json), which niwt run makes."
            raise InputError(f"{rule} Received: {str(self.path)!r}.")
        return Run(self.path, Settings.from_dict(config["settings"]), config)

    @contextmanager
    def _lock(self) -> Iterator[None]:
        if self.path.exists() and not self.path.is_dir():
            raise InputError(f"--run_dir must be a folder. Received: {str(self.path)!r}.")
        self._check_is_a_run()
        missing = [folder for folder in (self.path, *self.path.parents) if not folder.exists()]
        self.path.mkdir(parents=True, exist_ok=True)
        lock = self.path / ".lock"
        file = held(lock)
        try:
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            yield
        finally:
            with suppress(OSError):
                if all(entry == lock for entry in self.path.iterdir()):
                    # Removed while still held: whoever opened it meanwhile sees that it is no longer the file of that name.
                    lock.unlink(missing_ok=True)
                    for folder in missing:
                        folder.rmdir()
            file.close()

    def _check_is_a_run(self) -> None:
        if not self.path.exists() or any((self.path / name).exists() for name in (CONFIG, COPY)):
            return
        strange = [entry.name for entry in entries_of(self.path)]
        if strange:
            raise InputError(
                f"--run_dir must be new, empty or the folder of a run (with config.json). Received: {str(self.path)!r}, "
                f"which holds {strange[0]!r}."
            )

    def _read_config(self) -> dict[str, Any] | None:
        path = self.path / CONFIG
        if not path.exists() and not (self.path / COPY).exists():
            return None
        try:
            config = self._kept_config()
            former = [name for name in config["settings"] if name in _FORMER_SETTINGS]
            if not former:
                Settings.from_dict(config["settings"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{path} must be a run's configuration: {error} Give another --run_dir.") from None
        if former:
            raise InputError(
                f"--run_dir {self.path} must be a run of this version of niwt-tf. Received: a run of another version, with the "
                f"setting {former[0]!r}; give another --run_dir."
            )
        return dict(config)

    def _kept_config(self) -> dict[str, Any]:
        """Return config.json as it was written: from the copy beside it where it is not.

        So a run is never made again because a file of it was edited or damaged.

        Raises:
            OSError, ValueError: it can be had from neither.
        """
        copy = config_of(self.path / COPY)
        try:
            config = read_json(self.path / CONFIG)
        except (OSError, ValueError):
            if copy is None:
                raise
            config = {}
        whole = isinstance(config, dict) and is_sealed(config)
        if copy is None:
            if isinstance(config, dict) and has_seal(config) and not whole:
                raise ValueError("it was changed after niwt wrote it.")
            return config  # type: ignore[no-any-return]
        if whole and config["settings"] == copy["settings"]:
            return copy
        # One that is whole and has other settings is that of another run, or what a command was about to replace when it ended.
        if whole and is_replaced(config, copy):
            return dict(config)
        asked = config.get("settings") if isinstance(config, dict) else None
        known = copy["settings"]
        changed = [name for name in known if isinstance(asked, dict) and name in asked and asked[name] != known[name]]
        what = "; ".join(f"--{name} is still {known[name]}, not {asked[name]}" for name in changed) if asked else ""
        said = "%s was changed after niwt wrote it. The change is ignored%s. Give flags and --overwrite to change a run."
        _LOG.warning(said, self.path / CONFIG, what and f": {what}")
        return copy

    def _merged(self, config: Mapping[str, Any], settings: Settings, given: Collection[str], overwrite: bool) -> Settings:
        old = Settings.from_dict(config["settings"])
        differing = [name for name in SETTING_NAMES if name in given and getattr(old, name) != getattr(settings, name)]
        if differing and not overwrite:
            listed = "; ".join(
                f"--{name} was {_show(getattr(old, name))}, now {_show(getattr(settings, name))}" for name in differing
            )
            message = (
                f"--run_dir {self.path} was made with other flags: {listed}. Give --overwrite to make the changed stages "
                "again, or another --run_dir."
            )
            raise OtherFlagsError(message, differing)
        if not differing:
            return old
        return old.replace(**{name: getattr(settings, name) for name in given})


class Run:
    """A locked run directory. Made by `RunDirectory.locked`.

    Attributes:
        path: the folder.
        settings: what the run does: config.json's settings with those of this command in their place.
        store: finished stages of other runs, or None.
        team: the processes that work on the run; each asks for the same stages in the same order.
        test_use: what has scored the folder's test images.
    """

    def __init__(self, path: Path, settings: Settings, config: Mapping[str, Any] | None, team: Team = ALONE) -> None:
        self.path = path
        self.team = team
        self.settings = settings
        self._before = config
        self._data, self._images = (config.get("data"), config.get("images")) if config else (None, None)
        self.test_use = UseOfTestImages(path, config or {})
        self._asked = False
        self.finished = False
        self.store: StageStore | None = None
        self.announce: Callable[[str], None] = lambda stage: None  # called with the name of a stage whose making begins

    @property
    def data(self) -> str | None:
        """Fingerprint of the data set that the stages were made of, or None before `use_data`."""
        return self._data

    def use_data(
        self, identity: str, problem: str | None = None, descriptions: str | None = None, images: str | None = None
    ) -> None:
        """Say what data set this is, before any `stage`: stages made of other data are then out of date.

        Args:
            identity: its fingerprint.
            problem: that of its images and split alone, by default the same; see `UseOfTestImages`.
            descriptions: that of its class descriptions, or None.
            images: that of all but its descriptions, or None where stages are not told apart by it.

        Raises:
            InputError: other workers of the team have other data.
        """
        _check_same(self.team, identity, "data")
        self._data, self._images = identity, images
        self.test_use.problem, self.test_use.descriptions = problem or identity, descriptions

    def scored_test_images(
        self, what: str, choices: Mapping[str, Any] | None = None, uses_test_labels: Sequence[str] = ()
    ) -> dict[str, Any]:
        """Enter into the ledger that a stage has scored test images, before its figures are written.

        Args:
            what: the stage's name.
            choices: `Stage.choices`; by default all settings, for a stage that shows figures of several of them.
            uses_test_labels: what the method does with test labels beside being scored.

        Returns:
            "optimistic", reasons, and "test_ledger", a digest, which belong into the stage's metrics.json.
        """
        chosen = self.settings.as_dict() if choices is None else choices
        return self.test_use.enter(what, chosen, uses_test_labels, writes=self.team.is_chief)

    def optimistic(self, what: str = "evaluate", metrics: Mapping[str, Any] | None = None) -> tuple[str, ...]:
        """Return why a stage's figures are optimistic by what is known today, and by their metrics.json where it is given."""
        return tuple(dict.fromkeys((*(metrics or {}).get("optimistic", ()), *self.test_use.reasons(what))))

    def stage(
        self, name: str, settings_used: Sequence[str], inputs: Sequence[str] = (), extra: Mapping[str, Any] | None = None,
        publishes: Sequence[str] = (), described: bool = True,
    ) -> Stage:
        """Return a stage, which knows whether what it would write is there already.

        Args:
            name: its folder's name.
            settings_used: names of the settings that its result depends on.
            inputs: stages that it reads.
            extra: whatever else its result depends on, as JSON.
            publishes: names of files in its folder that belong at the top of the run directory too (metrics.json).
            described: whether its result depends on the classes' descriptions; otherwise runs on others share it.

        Raises:
            InputError: an input was never finished, or is out of date for the settings.
        """
        for upstream in inputs:
            reason = self.outdated(upstream) or self._otherwise_made(upstream, extra or {})
            if reason:
                raise InputError(f"The stage {name} needs {upstream}, which {reason}: {self._remedy()}")
        used = {setting: getattr(self.settings, setting) for setting in settings_used}
        manifests = {upstream: read_manifest(self.path / upstream) for upstream in inputs}
        parts = {
            "settings": json.loads(json.dumps(used)),
            "inputs": {upstream: manifest["identity"] for upstream, manifest in manifests.items() if manifest},
            "data": self._data if described or self._images is None else self._images,
            "extra": {**code(), **json.loads(json.dumps(extra or {}))},
        }
        self._asked = True
        return Stage(self, name, parts, publishes)

    def folder(self, name: str) -> Path:
        """Return the folder of a finished stage.

        Raises:
            InputError: the stage was never finished, or is out of date for the settings.
        """
        reason = self.outdated(name)
        if reason:
            raise InputError(f"--run_dir {self.path} must hold the stage {name}, which {reason}: {self._remedy()}")
        return self.path / name

    def _remedy(self) -> str:
        # Not the job of the stage alone, which may lack the stages before it.
        return f"run niwt run --run_dir={self.path} first, which does all that is missing."

    def outdated(self, name: str) -> str:
        """Return why a stage's folder cannot be read ("" if it can), going by manifests alone."""
        manifest = read_manifest(self.path / name)
        if manifest is None:
            return fault_of(self.path / name)
        current = json.loads(json.dumps(self.settings.as_dict()))
        if any(manifest["extra"].get(name) != value for name, value in code().items()):
            return OTHER_VERSION
        if package := other_package(manifest["extra"]):
            return f"was made with another version of {package}"
        changed = [setting for setting, value in manifest["settings"].items() if current.get(setting) != value]
        if changed:
            return f"was made with another --{changed[0]}"
        if manifest["data"] not in (self._data, self._images):
            return "was made from other data (an image, label or description has changed)"
        for upstream, identity in manifest["inputs"].items():
            reason = self.outdated(upstream)
            if reason:
                return f"was made from {upstream}, which {reason}"
            above = read_manifest(self.path / upstream)
            if above is None or above["identity"] != identity:
                return f"was made from an earlier {upstream}"
        return ""

    def _otherwise_made(self, name: str, extra: Mapping[str, Any]) -> str:
        """Return why a stage does not go with what a later one depends on too, or ""."""
        manifest = read_manifest(self.path / name)
        known = manifest["extra"] if manifest else {}
        changed = [key for key, value in extra.items() if key in known and known[key] != value]
        return f"was made with another {changed[0]}" if changed else ""

    def started(self, stage: str) -> None:
        """Make the folder ready for a stage to be written: the configuration kept, results that it outdates withdrawn."""
        self._keep_config()
        self.announce(stage)
        if not self.team.is_chief:
            return
        for name, manifest in self._manifests().items():
            if name == stage or stage in self._ancestors(name):
                for published in manifest["publishes"]:
                    (self.path / published).unlink(missing_ok=True)

    def published(self, name: str, stage: str) -> Path:
        """Return what belongs at the top under a name, where its stage keeps it: the file at the top may have been changed.

        Raises:
            InputError: the stage was never finished, or is out of date for the settings.
        """
        self.folder(stage)
        return self.path / self.publisher(name, stage) / name

    def publisher(self, published: str, stage: str) -> str:
        """Return whose file of that name belongs at the top: the last stage's that stands on `stage` and is not out of date."""
        later = [
            name
            for name, manifest in self._manifests().items()
            if published in manifest["publishes"] and stage in self._ancestors(name) and not self.outdated(name)
        ]
        return max(later, key=lambda name: len(self._ancestors(name)), default=stage)

    def _manifests(self) -> dict[str, Manifest]:
        found = {entry.name: read_manifest(entry) for entry in entries_of(self.path)}
        return {name: manifest for name, manifest in found.items() if manifest is not None}

    def _ancestors(self, name: str) -> set[str]:
        manifest = read_manifest(self.path / name)
        direct = set(manifest["inputs"]) if manifest else set()
        return direct.union(*(self._ancestors(upstream) for upstream in direct))

    def _keep_config(self) -> None:
        if not self._asked or not self.team.is_chief:
            return
        config = {"settings": self.settings.as_dict(), "data": self._data, "images": self._images}
        config |= {"versions": package_versions(), **self.test_use.kept()}
        self._write_config(sealed(config))

    def _write_config(self, config: Mapping[str, Any]) -> None:
        former = config_of(self.path / CONFIG)
        steps = [(COPY, config), (CONFIG, config)]  # at every moment one of them is whole
        if former and former["settings"] != config["settings"]:  # until both are the same, the copy says whose place it takes
            steps = [(COPY, sealed({**config, _REPLACES: fingerprint(former["settings"])})), (CONFIG, config), (COPY, config)]
        for name, content in steps:
            if config_of(self.path / name) != content:
                write_json(self.path / name, content)

    def _restore(self) -> None:
        """Undo what a command that turned out to be wrong has begun, if it finished no stage."""
        if self.finished or not self._asked or not self.team.is_chief:
            return
        if self._before is not None:
            self._write_config(self._before)
        else:
            for name in (CONFIG, COPY):
                (self.path / name).unlink(missing_ok=True)
            for scratch in (*self.path.glob(".work-*"), self.path / ".cache"):
                shutil.rmtree(scratch, ignore_errors=True)


def is_replaced(config: Mapping[str, Any], copy: Mapping[str, Any]) -> bool:
    """Return whether a configuration is the one in whose place its copy was being put."""
    return copy.get(_REPLACES) == fingerprint(config["settings"])


def config_of(path: Path) -> dict[str, Any] | None:
    """Return a configuration that is as it was written, or None.

    Raises:
        OSError: whether it is cannot be told now.
    """
    try:
        config = read_json(path)
    except OSError as error:
        if is_passing(error):
            raise
        return None
    except ValueError:
        return None
    return config if isinstance(config, dict) and is_sealed(config) else None


def _check_same(team: Team, value: Any, what: str) -> None:
    numbers = team.of_each(int(fingerprint(value)[:15], 16))
    differing = [str(index) for index, number in enumerate(numbers) if number != numbers[0]]
    if differing:
        raise InputError(
            f"Every worker of --strategy=multiworker must have the same {what}. "
            f"Received: values that differ from the chief's on worker {', '.join(differing)}."
        )


def _show(value: Any) -> str:
    return ",".join(str(item) for item in value) or "empty" if isinstance(value, tuple) else str(value)
