# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Explain and mistrust
#
# You will ask a network why it gave an answer. Then you will measure whether such reasons are true. An explanation can
# look convincing and be wrong.

# %%
# Installs niwt-tf if it is missing, as in Colab. SOURCE may also be the address of a wheel or a git repository.
import importlib.util

SOURCE = "niwt-tf[plots]"
if importlib.util.find_spec("niwt_tf") is None:
    get_ipython().run_line_magic("pip", f"install --quiet {SOURCE}")

# %%
from pathlib import Path

# The run of the tutorial *Birds*, made here if it does not exist.
if not Path("exports/birds/1").is_dir():
    birds = "--dataset=birds --data_dir=data/birds --run_dir=runs/birds --export_dir=exports/birds --num_unseen=4"
    small = "--input_size=48 --epochs=12 --num_folds=1 --attribute_loss=1 --until=export --noprogress"
    get_ipython().system("niwt render --data_dir=data/birds --num_species=16 --images_per_species=16")
    get_ipython().system(f"niwt run {birds} {small}")

# %% [markdown]
# ## Why this class?

# %%
from PIL import Image

folder = sorted(Path("data/birds/CUB_200_2011/images").iterdir())[3]
picture = sorted(folder.iterdir())[0]
print("really:", folder.name)

# %%
# !niwt explain --run_dir=runs/birds --image={picture} --out=explanations

# %%
Image.open(sorted(Path("explanations").glob("*.png"))[0])

# %% [markdown]
# The upper row shows the picture, where the network looks, and the most important neurons. Below are the words
# that support the class (blue) and count against it (orange). On the right: why not the second best class.
#
# Words come from the neurons, by the inverse of the importance map. A neuron has a name only if held-out training
# pictures confirm it. Here few or no neurons have one, because the network is tiny. The sheet says so at the bottom.
#
# ## Why not the other class?
#
# The JSON file has more. A *counterfactual* is the smallest change of a description with which the other class would
# win:

# %%
import json

record = json.loads(sorted(Path("explanations").glob("*.json"))[0].read_text())
print("answer:", record["class"]["label"], "; rival:", record["rival"]["label"])
change = record["rival"]["counterfactual"]
print("if the description of", change["class"], "changed:")
for edit in change["edits"] or []:
    print(f"  {edit['attribute']}: {edit['before']:.2f} -> {edit['after']:.2f}")

# %% [markdown]
# ## Is it true?
#
# The stage `faithfulness` explains every test picture and measures. `niwt run` does the stages that are still missing.

# %%
# !niwt run --run_dir=runs/birds --until=faithfulness --noprogress 2>&1 | grep took

# %%
measures = json.loads(Path("runs/birds/metrics.json").read_text())["faithfulness"]
print(f"{'':28}{'seen':>8}{'chance':>8}{'unseen':>10}{'chance':>8}")
for name in ("energy_in_box", "pointing_game", "insertion_minus_deletion", "attribute_hit", "random_logit_correlation"):
    cells = [measures.get(name, {}).get(side) or {} for side in ("seen", "unseen")]
    figures = [cell.get(key) for cell in cells for key in ("value", "chance")]
    print(f"{name:28}" + "".join(f"{'' if figure is None else f'{figure:.2f}':>9}" for figure in figures))

# %% [markdown]
# How to read this:
#
# - `energy_in_box`: the share of the heat that lies on the bird. *chance* is the bird's share of the picture.
# - `pointing_game`: how often the hottest point lies on the bird.
# - `insertion_minus_deletion`: whether hot pixels matter to the answer. *chance* is a spot in the middle.
# - `attribute_hit`: the share of the words that are true of the picture.
# - `random_logit_correlation`: how alike the heat of a random other class is. Low is good: an explanation that is
#   the same for every class explains nothing.
#
# Trust a kind of explanation only if its figure is clearly above chance, also for unseen classes. The report and
# `niwt explain` warn you if it is not.
#
# In our run heat lies on the bird, and hot pixels matter. But look at the last line. The heat of a random other class
# is much the same, so this heat shows the bird rather than the reason. And for unseen classes the words are hardly
# better than chance. A larger network with more classes does better:
# [all measures](../concepts/explanations.md#are-they-true), [what was found](../results/explanations.md).
