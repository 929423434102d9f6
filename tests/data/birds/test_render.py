"""The rendered data set: species, drawings and files."""

from __future__ import annotations

import filecmp
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from niwt_tf.data.birds.drawing import PART_NAMES, draw_bird
from niwt_tf.data.birds.render import render_birds
from niwt_tf.data.birds.species import ATTRIBUTE_NAMES, COLOURS, GROUPS, captions, choose_species
from niwt_tf.errors import InputError


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_species_differ_and_values_are_balanced(seed: int) -> None:
    species = choose_species(50, np.random.default_rng(seed))
    rows = np.array([list(one.values.values()) for one in species])
    different = (rows[:, None] != rows[None]).sum(-1)
    assert different[~np.eye(50, dtype=bool)].min() >= 4
    for group, values in zip(GROUPS, rows.T, strict=True):
        counts = [int((values == value).sum()) for value in GROUPS[group]]
        assert max(counts) - min(counts) <= 1
    assert len({one.name for one in species}) == 50


def test_attributes_are_one_hot_in_each_group() -> None:
    assert len(ATTRIBUTE_NAMES) == 47
    assert ATTRIBUTE_NAMES[5] == "has_crown_color::blue"
    one = choose_species(10, np.random.default_rng(0))[3]
    chosen = [name for name, value in zip(ATTRIBUTE_NAMES, one.attributes, strict=True) if value]
    assert chosen == [f"{group}::{value}" for group, value in one.values.items()]


@pytest.mark.parametrize("count", [1, 201])
def test_number_of_species_is_checked(count: int) -> None:
    with pytest.raises(InputError, match=f"num_species must be from 2 to 200. Received: {count}"):
        choose_species(count, np.random.default_rng(0))


def test_names_stay_unique_for_the_most_species() -> None:
    assert len({one.name for one in choose_species(200, np.random.default_rng(0))}) == 200


def test_ten_captions_tell_every_group() -> None:
    one = choose_species(50, np.random.default_rng(0))[7]
    sentences = captions(one, np.random.default_rng(0))
    assert len(set(sentences)) == 10
    text = " ".join(sentences)
    assert all(value in text for value in one.values.values())


@pytest.mark.parametrize("seed", range(12))
def test_box_holds_the_bird_tightly_and_parts_lie_on_it(seed: int) -> None:
    species = choose_species(12, np.random.default_rng(0))[seed]
    empty = np.full((64, 64, 3), 110.0)
    drawing = draw_bird(species.values, 64, np.random.default_rng(seed), background=empty)
    ys, xs = np.nonzero(np.abs(drawing.image - empty).max(-1) > 12)
    x, y, width, height = drawing.box
    drawn = np.array([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1])
    # Box edges are real numbers, the drawn ones whole pixels.
    np.testing.assert_allclose([x, y, x + width, y + height], drawn, atol=1.6)
    assert x >= 0 and y >= 0 and x + width <= 64 and y + height <= 64
    changed = np.zeros((66, 66), bool)
    changed[ys + 1, xs + 1] = True
    for name, (part_x, part_y, visible) in zip(PART_NAMES, drawing.parts, strict=True):
        if visible:
            assert x <= part_x <= x + width and y <= part_y <= y + height, name
            row, column = int(part_y) + 1, int(part_x) + 1
            assert changed[row - 1 : row + 2, column - 1 : column + 2].any(), name


def test_a_mirrored_bird_shows_its_left_side() -> None:
    species = choose_species(12, np.random.default_rng(0))[0]
    facing = set()
    for seed in range(8):
        parts = dict(zip(PART_NAMES, draw_bird(species.values, 64, np.random.default_rng(seed)).parts, strict=True))
        looks_right = parts["beak"][0] > parts["tail"][0]
        assert parts["right wing"][2] == parts["right eye"][2] == float(looks_right)
        assert parts["left wing"][2] == parts["left eye"][2] == float(not looks_right)
        assert parts["left leg"][2] == parts["right leg"][2] == 1
        facing.add(bool(looks_right))
    assert facing == {True, False}


def test_eight_colours_stay_apart_under_jitter() -> None:
    base = choose_species(12, np.random.default_rng(0))[0].values | {"has_wing_pattern": "plain", "has_breast_pattern": "solid"}
    seen: dict[str, np.ndarray] = {}
    for colour in COLOURS:
        values = base | {"has_breast_color": colour, "has_wing_color": colour}
        drawings = [draw_bird(values, 64, np.random.default_rng(seed)) for seed in range(30)]
        wing = [PART_NAMES.index("left wing"), PART_NAMES.index("right wing")]
        spots = [next(part for part in drawing.parts[wing] if part[2])[:2].astype(int) for drawing in drawings]
        seen[colour] = np.array(
            [drawing.image[y - 1 : y + 2, x - 1 : x + 2].mean((0, 1)) for drawing, (x, y) in zip(drawings, spots, strict=True)]
        )
    centres = np.stack([seen[colour].mean(0) for colour in COLOURS])
    for number, colour in enumerate(COLOURS):
        nearest = np.linalg.norm(seen[colour][:, None] - centres, axis=-1).argmin(1)
        assert (nearest == number).mean() >= 0.95, colour


def test_every_group_changes_the_picture() -> None:
    base = choose_species(12, np.random.default_rng(0))[0].values
    empty = np.full((64, 64, 3), 110.0)
    for group, options in GROUPS.items():
        pictures = [
            draw_bird(base | {group: value}, 64, np.random.default_rng(0), background=empty).image.astype(int)
            for value in options
        ]
        for number, one in enumerate(pictures):
            for other in pictures[:number]:
                assert (np.abs(one - other).max(-1) > 40).sum() >= 15, group


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return render_birds(tmp_path_factory.mktemp("birds") / "set", num_species=4, images_per_species=3, size=48, seed=5)


def _rows(path: Path) -> list[list[str]]:
    return [line.split() for line in path.read_text().splitlines()]


def test_files_have_cubs_layout(rendered: Path) -> None:
    cub = rendered / "CUB_200_2011"
    assert len(_rows(rendered / "attributes.txt")) == 47
    names = [row[1] for row in _rows(cub / "classes.txt")]
    assert [name[:4] for name in names] == ["001.", "002.", "003.", "004."]
    paths = [row[1] for row in _rows(cub / "images.txt")]
    assert len(paths) == 12 and len(set(paths)) == 12
    for path, (_, label) in zip(paths, _rows(cub / "image_class_labels.txt"), strict=True):
        assert path.split("/")[0] == names[int(label) - 1]
        with Image.open(cub / "images" / path) as image:
            assert (image.size, image.mode) == ((48, 48), "RGB")
        assert len((rendered / "text_c10" / path).with_suffix(".txt").read_text().splitlines()) == 10
    assert len(_rows(cub / "bounding_boxes.txt")) == 12
    assert len(_rows(cub / "parts" / "part_locs.txt")) == 12 * 15
    strengths = np.loadtxt(cub / "attributes" / "class_attribute_labels_continuous.txt")
    assert strengths.shape == (4, 47) and set(np.unique(strengths)) == {0.0, 100.0}
    labels = np.loadtxt(cub / "attributes" / "image_attribute_labels.txt")
    assert labels.shape == (12 * 47, 5)
    np.testing.assert_array_equal(labels[:, 2].reshape(4, 3, 47), np.repeat(strengths[:, None] / 100, 3, 1))


def _same(one: Path, other: Path) -> bool:
    files = sorted(path.relative_to(one) for path in one.rglob("*") if path.is_file())
    assert files == sorted(path.relative_to(other) for path in other.rglob("*") if path.is_file())
    return all(filecmp.cmp(one / path, other / path, shallow=False) for path in files)


def test_the_same_seed_gives_the_same_bytes_also_in_two_processes(rendered: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from pathlib import Path\nfrom niwt_tf.data.birds.render import render_birds\n"
        f"if __name__ == '__main__':\n    render_birds(Path({str(tmp_path / 'two')!r}), 4, 3, 48, 5, processes=2)\n"
    )
    root = Path(__file__).resolve().parents[2]
    subprocess.run([sys.executable, str(script)], check=True, env={**os.environ, "PYTHONPATH": str(root)}, timeout=300)
    assert _same(rendered, tmp_path / "two")


def test_another_seed_gives_other_species(rendered: Path, tmp_path: Path) -> None:
    other = render_birds(tmp_path / "other", num_species=4, images_per_species=1, size=32, seed=6)
    strengths = Path("CUB_200_2011", "attributes", "class_attribute_labels_continuous.txt")
    assert (other / strengths).read_text() != (rendered / strengths).read_text()


def test_an_earlier_rendering_is_replaced_and_anything_else_refused(tmp_path: Path) -> None:
    folder = render_birds(tmp_path / "set", num_species=2, images_per_species=2, size=32)
    render_birds(folder, num_species=3, images_per_species=1, size=32)
    assert len(_rows(folder / "CUB_200_2011" / "images.txt")) == 3
    (folder / "mine.txt").write_text("keep")
    with pytest.raises(InputError, match="mine.txt"):
        render_birds(folder, num_species=2, images_per_species=1, size=32)
    real = tmp_path / "real"
    (real / "CUB_200_2011").mkdir(parents=True)
    with pytest.raises(InputError, match="CUB_200_2011"):
        render_birds(real, num_species=2, images_per_species=1, size=32)
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(InputError, match="Received a file"):
        render_birds(file)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "real", "set"]


@pytest.mark.parametrize(
    ("argument", "value"), [("images_per_species", 0), ("size", 8), ("seed", -1), ("processes", 0), ("num_species", 0)]
)
def test_arguments_are_checked_before_anything_is_written(tmp_path: Path, argument: str, value: int) -> None:
    with pytest.raises(InputError, match=f"{argument} must be from .* Received: {value}"):
        render_birds(tmp_path / "set", **{argument: value})
    assert not list(tmp_path.iterdir())
