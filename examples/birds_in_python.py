"""From rendered birds to a classifier of classes without images, in Python. About a minute on two CPU cores.

Run it as it is, `python examples/birds_in_python.py`, or cell by cell in an editor that knows `# %%`.
"""

# %% Nothing is left behind: everything is written below a temporary folder.
from __future__ import annotations

import logging
import os
import tempfile
from pathlib import Path

# TensorFlow's own log lines, of its C++ half and of its Python half.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
logging.getLogger("tensorflow").setLevel(logging.ERROR)

from niwt_tf import Niwt, load_dataset  # noqa: E402
from niwt_tf.data.birds.render import render_birds  # noqa: E402

scratch = tempfile.TemporaryDirectory()
folder = Path(scratch.name)

# %% Draw 40 species, 20 images of each, in the layout of CUB-200-2011. `niwt render` draws the full set.
render_birds(folder / "birds", num_species=40, images_per_species=20)

# %% Four species are unseen: their images are kept for the test, and only their descriptions are learnt from.
dataset = load_dataset("birds", folder / "birds", num_unseen=4, seed=0)
names, values = dataset.knowledge.names, dataset.knowledge.values
unseen = [dataset.class_names[c] for c in dataset.split.unseen]
print(f"{len(dataset.paths)} images, {len(dataset.split.seen)} seen species, unseen: {', '.join(unseen)}")

# %% A description says how strong each attribute is, here 0 or 100.
described = dict(zip(names, values[dataset.split.unseen[0]].tolist(), strict=True))
print(f"{unseen[0]}: " + ", ".join(name for name, strength in described.items() if strength > 0))

# %% Fit: few epochs and small grids, so that it is quick. The defaults are those of `niwt run`.
model = Niwt(epochs=14, num_folds=1, head_regularization=(10.0, 100.0), transfer_lambda=(1e-2,), num_support=128, seed=0)
model.fit(dataset)
print(f"learnt {len(model.classes_)} classes, layer {model.network_.layer}, {model.network_.num_neurons} neurons")

# %% Score on the test images, which nothing above has looked at.
metrics = model.evaluate(dataset)
for name in ("acc_seen", "acc_unseen", "harmonic_mean", "acc_zsl", "chance_zsl"):
    print(f"{name:<14} {100 * metrics[name]:5.1f} %")

# %% Forget the unseen species and learn them again, one by one, by description alone: no image, no retraining.
images = [dataset.root / dataset.paths[i] for i in dataset.split.test_unseen]
truth = [dataset.class_names[dataset.labels[i]] for i in dataset.split.test_unseen]


def show(when: str) -> None:
    right = int((model.predict(images) == truth).sum())
    print(f"{when}: {len(model.classes_)} classes, {right} of {len(images)} images of unseen species recognised")


for name in unseen[1:]:
    model.remove_class(name)
show(f"only {unseen[0]} left")
for name in unseen[1:]:
    model.add_class(name, dict(zip(names, values[dataset.class_names.index(name)].tolist(), strict=True)))
    show(f"added {name}")

# %% Save, load, predict: one image in eight of the unseen species.
model.save(folder / "model")
loaded = Niwt.load(folder / "model")
for image, name in zip(images[::8], loaded.predict(images[::8]), strict=True):
    print(f"{image.name}: {name}")

# %%
scratch.cleanup()
