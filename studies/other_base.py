"""A base that saw no class of a data set: the small VGG, trained on other drawn birds, as a Keras file without its head.

    python studies/other_base.py --path=/tmp/other.keras --work=/tmp/other
    python studies/text_networks.py --seeds=10,11,12 --runs=FOLDER \
        --ways="head;all:--n3_adapt=all;all always:--n3_adapt=all --non3_adapt_if_better" -- \
        --flagfile=flags/birds200_n3.flags --data_dir=data/birds200 --backbone=/tmp/other.keras --finetune=head

The birds are drawn with another seed, so no species is one of another data set. What N3 gains by writing all layers of such a
base is what it may gain for classes that a published network was not trained on.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import keras

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from niwt_tf.estimator.plain_model import plain_model
from niwt_tf.models.network import Network


def main() -> int:
    """Draw the birds, train on all but a few of them, write the model and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--path", required=True, help="the .keras file to write")
    parser.add_argument("--work", type=Path, required=True, help="a folder for the birds and the run")
    parser.add_argument("--species", type=int, default=50)
    parser.add_argument("--seed", type=int, default=99)
    given = parser.parse_args()
    data, run = given.work / "birds", given.work / "run"
    job("render", f"--data_dir={data}", f"--num_species={given.species}", f"--seed={given.seed}")
    job("run", f"--data_dir={data}", f"--run_dir={run}", "--until=train", "--dataset=birds", "--num_unseen=5", "--num_folds=1",
        "--backbone=small_vgg", "--weights=none", "--finetune=all")
    trained = plain_model(Network.load(run / "train" / "main.keras"))
    keras.Model(trained.inputs, trained.layers[-1].input).save(given.path)
    print(f"{given.path}: features {trained.layers[-1].input.shape[-1]}, trained on {given.species - 5} species")
    return 0


def job(name: str, *flags: str) -> None:
    """Run a job of this package."""
    subprocess.run([sys.executable, "-m", "niwt_tf", name, *flags], check=True)


if __name__ == "__main__":
    sys.exit(main())
