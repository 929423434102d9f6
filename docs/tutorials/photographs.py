# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Photographs and a spreadsheet
#
# You will use a folder of pictures and a table from a spreadsheet. You will find out what is wrong with them, and then
# train a classifier in Python. Here drawn birds take the place of your photographs, so that the page needs no download.

# %%
# Installs niwt-tf if it is missing, as in Colab. SOURCE may also be the address of a wheel or a git repository.
import importlib.util

SOURCE = "niwt-tf[plots]"
if importlib.util.find_spec("niwt_tf") is None:
    get_ipython().run_line_magic("pip", f"install --quiet {SOURCE}")

# %% [markdown]
# ## A folder like yours
#
# The next cell makes the folder `mine`: one folder of pictures for each of ten classes, and a table. We hide some
# mistakes in it, of the kind that happen in real life.

# %%
import csv
import shutil
from pathlib import Path

from niwt_tf.data.birds.render import render_birds

render_birds("drawn", num_species=12, images_per_species=20, size=48, seed=7)
official = Path("drawn/CUB_200_2011")
columns = [line.split(maxsplit=1)[1] for line in Path("drawn/attributes.txt").read_text().splitlines()]
values = (official / "attributes/class_attribute_labels_continuous.txt").read_text().splitlines()
table = {}
for folder, row in zip(sorted((official / "images").iterdir()), values, strict=True):
    name = folder.name.split(".")[1].replace("_", " ").lower()
    table[name] = row.split()
    shutil.copytree(folder, Path("mine/images") / name)

names = list(table)
described_only = names[-2:]  # two classes have a row and no folder
for name in described_only:
    shutil.rmtree(Path("mine/images") / name)

# Two mistakes: the same picture in two classes, and a file that is not a picture.
first, second = (Path("mine/images") / name for name in names[:2])
shutil.copy(sorted(first.iterdir())[0], second / "copy.jpg")
(second / "broken.jpg").write_bytes(b"not a picture")

# As a spreadsheet in many countries saves it: semicolons, and commas in numbers.
with open("mine/classes.csv", "w", encoding="utf-8", newline="") as file:
    writer = csv.writer(file, delimiter=";")
    writer.writerow(["class", *columns])
    for name, row in table.items():
        writer.writerow([name, *(f"{float(cell) / 100:.2f}".replace(".", ",") for cell in row)])

for line in Path("mine/classes.csv").read_text().splitlines()[:4]:
    print(line[:100], "...")

# %% [markdown]
# ## Check
#
# `niwt check_data` says what is wrong, before any time is spent on training.

# %%
# !niwt check_data --data_dir=mine --page=check.html || echo "status $?"

# %% [markdown]
# An *error* spoils results, a *warning* may spoil them, a *note* is advice. `check.html` shows the pictures.
# Here the broken file and the copy are errors. Remove both:

# %%
(second / "broken.jpg").unlink()
(second / "copy.jpg").unlink()

# %% [markdown]
# ## Train in Python
#
# `load_dataset` reads the folder. Its classes without pictures are the unseen ones.

# %%
from niwt_tf import Niwt, load_dataset

dataset = load_dataset("folder", "mine")
model = Niwt(backbone="small_vgg", input_size=48, epochs=16, num_folds=1, attribute_loss=1)
model.fit(dataset)
print(*model.classes_, sep="\n")

# %%
print({name: value for name, value in model.evaluate(dataset).items() if name in ("acc_seen", "acc_unseen", "acc_zsl")})

# %% [markdown]
# `acc_unseen` is `None`: the two unseen classes have no pictures, so nothing can be measured. To learn how well rows
# work on *your* classes, hide some that have pictures: `load_dataset("folder", "mine", num_unseen=3)`.
#
# ## Ask, add, remove

# %%
picture = sorted((Path("drawn/CUB_200_2011/images")).iterdir())[-1]
files = [str(path) for path in sorted(picture.iterdir())[:3]]
print("really:", described_only[-1])
print(model.predict(files))
print(model.predict_proba(files).max(axis=1).round(2))

# %% [markdown]
# Add a class from a row that you make up. It is half of one class and half of another, and it costs no training:

# %%
halves = [(float(a) + float(b)) / 200 for a, b in zip(table[names[0]], table[names[1]], strict=True)]
model.add_class("hybrid", dict(zip(columns, halves, strict=True)))
print(model.classes_[-3:])
model.remove_class("hybrid")
print(model.classes_[-3:])

# %% [markdown]
# `model.save(...)` keeps the model, and `model.export(...)` writes a bundle for a server.
# With real photographs use a pretrained network: `Niwt("mobilenet_v2", weights="imagenet", finetune="head")`.
# [Start](../start/index.md) does that on the command line.
