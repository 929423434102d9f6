# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Serve, and teach while serving
#
# You will start a server, ask it about pictures, add a class while it runs, and take the class back.

# %%
# Installs niwt-tf if it is missing, as in Colab. SOURCE may also be the address of a wheel or a git repository.
import importlib.util

SOURCE = "niwt-tf[plots,serve]"
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
# ## Start a server
#
# For real use there is TensorFlow Serving: `docker compose -f exports/compose.yaml up`. For trying out, this package
# has a small server that speaks the same protocols. It serves the newest version in the folder, and loads new ones.

# %%
import json
import subprocess
import sys

command = [sys.executable, "-m", "niwt_tf.serving.loopback", "exports/birds", "birds", "--grpc_port=0", "--rest_port=0"]
server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
address = json.loads(server.stdout.readline())["rest"]
print("the server is ready")

# %% [markdown]
# ## Ask it

# %%
from niwt_tf.serving.client.client import Client

folders = sorted(Path("data/birds/CUB_200_2011/images").iterdir())
pictures = [str(sorted(folder.iterdir())[0]) for folder in folders[:3]]
with Client(address, "birds") as client:
    found = client.classify(pictures)
for picture, labels, scores in zip(pictures, found.labels, found.scores, strict=True):
    print(f"{Path(picture).parent.name:32}{labels[0]:32}{scores[0]:.2f}")

# %% [markdown]
# The same by hand is one HTTP request. [Requests](../howto/requests.md) has all of them.
#
# ## Teach it a class
#
# `niwt add_class` reads a description and writes the next version next to the first. It needs only the bundle.

# %%
# !niwt add_class --bundle=exports/birds --name="Moss wren" --yes \
#   --text="A red crown, green wings and a spotted breast."

# %% [markdown]
# The server loads version 2 automatically. No request fails meanwhile. We wait until it knows the class:

# %%
import time
import urllib.request

deadline = time.monotonic() + 120
while time.monotonic() < deadline:
    with urllib.request.urlopen(f"{address}/v1/models/birds") as answer:
        states = {each["version"]: each["state"] for each in json.load(answer)["model_version_status"]}
    if states.get("2") == "AVAILABLE":
        break
    time.sleep(0.5)
print("versions:", states)

# %%
# !niwt list_classes --bundle=exports/birds | tail -n 3

# %% [markdown]
# The scores of the other classes are the same to the last bit: only a column was added.
#
# ## A class for one request
#
# A request can also bring its own classes, which the model never keeps. Here the bundle says what the words
# mean. On the command line it is `niwt classify --describe="phoenix: A red crown and red wings."`.

# %%
with Client(address, "birds") as client:
    found = client.classify_with(pictures, {"phoenix": "A red crown and red wings."}, bundle="exports/birds")
for picture, labels, scores in zip(pictures, found.labels, found.scores, strict=True):
    score = dict(zip(labels, scores, strict=True))["phoenix"]
    print(f"{Path(picture).parent.name:32}phoenix {score:.2f}")

# %% [markdown]
# ## Take it back
#
# Every version stays on the disk. To go back, remove the class (that writes version 3), or move version 2 out of the
# folder. With TensorFlow Serving you can instead move a label: [Roll out and roll
# back](../howto/requests.md#roll-out-and-roll-back).

# %%
# !niwt remove_class --bundle=exports/birds --name="Moss wren"

# %%
server.terminate()
server.wait()
print(sorted(path.name for path in Path("exports/birds").iterdir() if path.name.isdigit()))
