# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Birds
#
# You will draw a data set of birds, train a network on twelve species, and add four more from descriptions only.
# The sizes are tiny, so that it takes less than a minute. [Start](../start/birds.md) has the full size.

# %%
# Installs niwt-tf if it is missing, as in Colab. SOURCE may also be the address of a wheel or a git repository.
import importlib.util

SOURCE = "niwt-tf[plots]"
if importlib.util.find_spec("niwt_tf") is None:
    get_ipython().run_line_magic("pip", f"install --quiet {SOURCE}")

# %% [markdown]
# ## Draw the birds
#
# `niwt render` draws invented species. Each has a row of attributes, such as the colour of its crown.

# %%
# !niwt render --data_dir=data/birds --num_species=16 --images_per_species=16

# %%
from pathlib import Path

from PIL import Image

folders = sorted(Path("data/birds/CUB_200_2011/images").iterdir())
sheet = Image.new("RGB", (8 * 96, 2 * 96))
for number, folder in enumerate(folders[:16]):
    picture = Image.open(sorted(folder.iterdir())[0]).resize((96, 96), Image.Resampling.LANCZOS)
    sheet.paste(picture, (96 * (number % 8), 96 * (number // 8)))
sheet

# %% [markdown]
# The attributes are yes-or-no questions, answered for every picture. A species' row has the share of *yes* answers.

# %%
print(*Path("data/birds/attributes.txt").read_text().splitlines()[:8], sep="\n")

# %% [markdown]
# ## Train, and learn four species from their rows
#
# `--num_unseen=4` hides four species: their pictures are not used for training. They are the *unseen classes*.
# The other flags make everything small.

# %%
# !niwt run --dataset=birds --data_dir=data/birds --run_dir=runs/birds --export_dir=exports/birds --num_unseen=4 \
#   --input_size=48 --epochs=12 --num_folds=1 --attribute_loss=1 --until=export --noprogress

# %% [markdown]
# What the figures mean:
#
# - `acc_seen` and `acc_unseen`: here all 16 species compete. This is the hard question.
# - `H`: their harmonic mean. It is high only if both are.
# - `ZSL`: only the four unseen species compete. `chance` is what guessing would give.
#
# Each species counts the same. All figures are measured on pictures that no choice was made on.

# %%
import json

metrics = json.loads(Path("runs/birds/metrics.json").read_text())
for name in ("acc_seen", "acc_unseen", "harmonic_mean", "harmonic_mean_uncalibrated", "acc_zsl", "chance_zsl", "ausuc"):
    print(f"{name:28}{metrics[name]:.3f}")

# %% [markdown]
# `harmonic_mean_uncalibrated` is H without [calibration](../concepts/calibration.md). Usually it is lower: without
# calibration, seen species win too often.
#
# ## Look at answers

# %%
Image.open("runs/birds/evaluate/predictions.png")

# %% [markdown]
# ## What happened inside
#
# The run went through these stages. Each has a folder, and is not repeated while nothing changed:

# %%
for stage in ("train", "importance", "map", "transfer", "evaluate", "export"):
    manifest = json.loads((Path("runs/birds") / stage / "manifest.json").read_text())
    print(f"{stage:12}{manifest['seconds']:8.1f} s")

# %% [markdown]
# - `train` trained the network on the seen species, and another one on a *fold*, which leaves some seen species out.
# - `importance` measured how much each neuron raises the score of each seen species.
# - `map` learnt to predict these importances from the rows.
# - `transfer` predicted the importances of the unseen species and found their columns.
#
# [The idea in one page](../concepts/index.md) explains this. Next: [your own photographs](photographs.md), or
# [serve this model](serve.md).
