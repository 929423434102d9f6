"""Draws one bird with Pillow, seen from the side, and says where its parts came to lie."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

_RGB = {
    "black": (28, 28, 32), "white": (242, 242, 238), "red": (212, 32, 38), "yellow": (246, 216, 36), "green": (44, 152, 58),
    "blue": (42, 84, 218), "pink": (242, 122, 194), "brown": (128, 74, 32), "orange": (240, 130, 20), "ivory": (240, 226, 186),
}  # fmt: skip
_DARK, _LIGHT = (38, 36, 40), (236, 234, 228)
_LEG = (186, 112, 72)
_DARK_COLOURS = ("black", "red", "green", "blue", "brown")

PART_NAMES = (
    "back", "beak", "belly", "breast", "crown", "forehead", "left eye", "left leg", "left wing", "nape",
    "right eye", "right leg", "right wing", "tail", "throat",
)  # fmt: skip

# The bird faces right. Lengths are fractions of the frame's side, y grows downwards.
_BODY, _BODY_RADII, _BODY_TILT = np.array([0.02, 0.06]), np.array([0.235, 0.165]), np.deg2rad(-38.0)
_HEAD, _HEAD_RADIUS = np.array([0.185, -0.19]), 0.135
_SHOULDER, _RUMP = np.array([0.10, -0.05]), np.array([-0.135, 0.155])
_HIPS = (np.array([-0.005, 0.205]), np.array([0.075, 0.185]))
_LEG_LENGTHS = {"short": 0.085, "long": 0.20}
_MARGIN = 0.015


@dataclass(frozen=True)
class Drawing:
    """A drawn bird."""

    image: np.ndarray  # uint8 [size, size, 3]
    box: np.ndarray  # float [4], x, y, width, height in pixels around everything drawn of the bird
    parts: np.ndarray  # float [P, 3], x, y in pixels and visibility 0 or 1, in the order of `PART_NAMES`


@dataclass
class _Shape:
    points: np.ndarray  # [n, 2]
    colour: tuple[int, int, int]
    is_line: bool = False
    width: float = 0.0  # of a line, as a fraction of the frame's side
    has_outline: bool = True


def draw_bird(values: dict[str, str], size: int, rng: np.random.Generator, background: np.ndarray | None = None) -> Drawing:
    """Draw a bird with one attribute value a group (see `GROUPS` of the species) in a random pose before a random background.

    A given background, float [size, size, 3] in 0..255, takes the place of the random one, of pixel noise and of brightness
    changes.
    """
    shapes, parts = _shapes(values, rng)
    scale = rng.uniform(0.8, 1.1)
    angle = np.deg2rad(rng.uniform(-18.0, 18.0))
    is_flipped = rng.random() < 0.5
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    turn = scale * (np.diag([-1.0, 1.0]) if is_flipped else np.eye(2)) @ turn

    factor = 3 if size <= 128 else 2
    side = size * factor
    outline = max(1, round(side * 0.011))
    low, high = _bounds(shapes, turn, outline / side)
    shrink = min(1.0, (1.0 - 2 * _MARGIN) / float((high - low).max()))
    turn, low, high = turn * shrink, low * shrink, high * shrink
    shift = rng.uniform(_MARGIN - low, np.maximum(1.0 - _MARGIN - high, _MARGIN - low))

    plain = background is None
    canvas = _background(size, rng) if background is None else background
    canvas = np.clip(canvas, 0, 255).astype(np.uint8).repeat(factor, 0).repeat(factor, 1)
    image = Image.fromarray(canvas)
    draw = ImageDraw.Draw(image)
    edge = tuple(int(value) for value in np.clip(np.array(_DARK) + rng.normal(0, 6, 3), 0, 255))
    for shape in shapes:
        points = [(float(x), float(y)) for x, y in (shape.points @ turn.T + shift) * side]
        if shape.is_line:
            draw.line(points, fill=shape.colour, width=max(1, round(shape.width * scale * shrink * side)), joint="curve")
        else:
            draw.polygon(points, fill=shape.colour)
            if shape.has_outline:
                draw.line([*points, points[0]], fill=edge, width=outline, joint="curve")
    pixels = np.asarray(image.reduce(factor), np.float32)
    if plain:
        pixels = pixels * rng.uniform(0.85, 1.15) + rng.normal(0, 4.0, pixels.shape).astype(np.float32)
    box = np.concatenate([low + shift, high - low]) * size
    return Drawing(np.clip(pixels, 0, 255).astype(np.uint8), box, _placed_parts(parts, turn, shift, size, is_flipped))


def _shapes(values: dict[str, str], rng: np.random.Generator) -> tuple[list[_Shape], dict[str, np.ndarray]]:
    crown, wing, breast, tail = (values[f"has_{part}_color"] for part in ("crown", "wing", "breast", "tail"))
    head = _HEAD + rng.uniform(-0.015, 0.015, 2)
    nod, wing_angle, tail_angle = np.deg2rad(rng.uniform([-10, -10, -10], [10, 10, 10]))
    stride = rng.uniform(-0.2, 0.2, 2)
    breast_rgb = _jittered(breast, rng)

    shapes: list[_Shape] = []
    feet = []
    for hip, lean in zip(_HIPS, stride, strict=True):
        length = _LEG_LENGTHS[values["has_leg_length"]]
        foot = hip + length * np.array([np.sin(lean), np.cos(lean)])
        toe = foot + np.array([0.055, 0.005])
        for width, colour in ((0.034, _DARK), (0.02, _LEG)):
            shapes.append(_Shape(np.stack([hip - [0, 0.04], foot, toe]), colour, is_line=True, width=width))
        feet.append((hip + foot) / 2)
    tail_middle, tail_points = _tail(values["has_tail_shape"], tail_angle)
    shapes.append(_Shape(tail_points, _jittered(tail, rng)))
    body = _ellipse(_BODY, _BODY_RADII, _BODY_TILT)
    shapes.append(_Shape(body, breast_rgb))
    bill, bill_middle = _bill(values["has_bill_shape"], head, nod)
    shapes.append(_Shape(bill, _jittered(values["has_bill_color"], rng)))
    shapes.append(_Shape(_ellipse(head, np.full(2, _HEAD_RADIUS), 0.0), breast_rgb))
    shapes += _neck(head, breast_rgb)
    shapes += _breast_marks(values["has_breast_pattern"], _contrast(breast))
    cap = np.deg2rad(np.linspace(152.0, 378.0, 24)) + nod
    shapes.append(_Shape(head + _HEAD_RADIUS * np.stack([np.cos(cap), np.sin(cap)], 1), _jittered(crown, rng)))

    def on_head(x: float, y: float) -> np.ndarray:
        return head + _rotated(np.array([x, y]), nod)

    eye = on_head(0.06, 0.028)
    shapes.append(_Shape(_ellipse(eye, np.full(2, 0.026), 0.0), _LIGHT, has_outline=False))
    shapes.append(_Shape(_ellipse(eye, np.full(2, 0.016), 0.0), (10, 10, 10), has_outline=False))
    wing_shapes, wing_middle = _wing(wing, values["has_wing_pattern"], wing_angle, rng)
    shapes += wing_shapes

    def on_body(x: float, y: float) -> np.ndarray:
        return _BODY + _rotated(np.array([x, y]), _BODY_TILT)

    parts = {
        **{"back": on_body(0.05, -0.15), "belly": on_body(-0.06, 0.13), "breast": on_body(0.12, 0.10)},
        **{"crown": on_head(0.0, -0.11), "forehead": on_head(0.09, -0.06), "nape": on_head(-0.11, 0.03), "near eye": eye},
        **{"beak": bill_middle, "near wing": wing_middle, "near leg": feet[0], "far leg": feet[1], "tail": tail_middle},
        "throat": head + np.array([0.05, 0.10]),
    }
    return shapes, parts


def _wing(colour: str, pattern: str, angle: float, rng: np.random.Generator) -> tuple[list[_Shape], np.ndarray]:
    # A teardrop along its axis from the shoulder (t = 0) to the tip (t = 1).
    axis_angle = np.deg2rad(142.0) + angle
    length = 0.40

    def at(t: np.ndarray, side: float | np.ndarray) -> np.ndarray:
        half = 0.215 * np.sqrt(np.clip(t, 0, 1)) * (1 - np.clip(t, 0, 1)) ** 0.75
        return _SHOULDER + _rotated(np.stack([length * t - 0.06, side * half], 1), axis_angle)

    t = np.linspace(0, 1, 16)
    outline = np.concatenate([at(t, 1.0), at(t[::-1], -1.0)])
    shapes = [_Shape(outline, _jittered(colour, rng))]
    if pattern == "barred":
        for start in (0.20, 0.42, 0.64):
            across = np.array([start, start + 0.09])
            bar = np.concatenate([at(across, 0.9), at(across[::-1], -0.9)])
            shapes.append(_Shape(bar, _contrast(colour), has_outline=False))
    return shapes, at(np.array([0.4]), 0.0)[0]


def _tail(shape: str, angle: float) -> tuple[np.ndarray, np.ndarray]:
    if shape == "fan":
        arc = np.deg2rad(np.linspace(-38, 38, 9))
        edge = np.stack([0.255 * np.cos(arc), 0.225 * np.sin(arc)], 1)
        points = np.concatenate([[[-0.06, 0.05]], edge[::-1], [[-0.06, -0.05]]])
        middle = np.array([[0.16, 0.0]])
    else:
        points = np.array([
            [-0.06, 0.055], [0.10, 0.07], [0.31, 0.125], [0.23, 0.045], [0.085, 0.0], [0.23, -0.045], [0.31, -0.125],
            [0.10, -0.07], [-0.06, -0.055],
        ])  # fmt: skip
        middle = np.array([[0.05, 0.0]])
    heading = np.deg2rad(140.0) + angle
    return _RUMP + _rotated(middle, heading)[0], _RUMP + _rotated(points, heading)


def _bill(shape: str, head: np.ndarray, nod: float) -> tuple[np.ndarray, np.ndarray]:
    root = _HEAD_RADIUS - 0.035
    outlines = {  # in hundredths
        "cone": [[0, -6.5], [5.5, -4.5], [12.5, 1.5], [5.5, 6], [0, 7]],
        "dagger": [[0, -3.6], [23.5, 0.6], [23.5, 1.6], [0, 4.2]],
        "hooked": [[0, -6], [8, -6.2], [13.5, -3], [15.5, 3], [13.8, 11], [10.5, 4.5], [7, 3], [0, 3]],
    }
    points = np.array(outlines[shape]) / 100 + [root, 0.01]
    middle = np.array([[root + 0.07, 0.01 if shape != "hooked" else -0.01]])
    return head + _rotated(points, nod), head + _rotated(middle, nod)[0]


def _neck(head: np.ndarray, colour: tuple[int, int, int]) -> list[_Shape]:
    # Covers the outline between head and body; drawn without one so that the two read as a single surface.
    toward = _BODY - head
    across = np.array([-toward[1], toward[0]]) / np.linalg.norm(toward)
    start, end = head + 0.05 * toward, head + 0.75 * toward
    quad = np.stack([start + 0.09 * across, end + 0.125 * across, end - 0.125 * across, start - 0.105 * across])
    return [_Shape(quad, colour, has_outline=False)]


def _breast_marks(pattern: str, colour: tuple[int, int, int]) -> list[_Shape]:
    def place(points: np.ndarray) -> np.ndarray:
        return _BODY + _rotated(points * _BODY_RADII, _BODY_TILT)

    if pattern == "solid":
        return []
    if pattern == "striped":
        shapes = []
        for along in (-0.62, -0.28, 0.06, 0.40, 0.74):
            reach = 0.9 * np.sqrt(1 - along**2)
            line = np.stack([np.full(2, along), [-0.4 * reach, reach]], 1)
            shapes.append(_Shape(place(line), colour, is_line=True, width=0.026))
        return shapes
    spots = [(u, v) for v in (0.1, 0.44, 0.76) for u in np.arange(-0.9, 1.0, 0.36) + (0.18 if v == 0.44 else 0.0)]
    inside = np.array([spot for spot in spots if np.hypot(*spot) < 0.87])
    return [_Shape(_ellipse(centre, np.full(2, 0.021), 0.0, 10), colour, has_outline=False) for centre in place(inside)]


def _contrast(colour: str) -> tuple[int, int, int]:
    return _LIGHT if colour in _DARK_COLOURS else _DARK


def _jittered(colour: str, rng: np.random.Generator) -> tuple[int, int, int]:
    red, green, blue = np.clip(np.array(_RGB[colour]) + rng.normal(0, 9, 3), 0, 255).astype(int)
    return int(red), int(green), int(blue)


def _background(size: int, rng: np.random.Generator) -> np.ndarray:
    # Two random muted colours mixed by smooth noise, plus smooth noise of its own in each channel.
    ends = rng.uniform(50, 210, (2, 1)) + rng.uniform(-40, 40, (2, 3))
    cells = int(rng.integers(3, 8))
    noise = rng.normal(0, 1, (cells, cells, 4)).astype(np.float32)
    channels = [Image.fromarray(noise[..., c]).resize((size, size), Image.Resampling.BICUBIC) for c in range(4)]
    smooth = np.stack([np.asarray(channel) for channel in channels], -1)
    mix = 1 / (1 + np.exp(-1.5 * smooth[..., :1]))
    return mix * ends[0] + (1 - mix) * ends[1] + 14 * smooth[..., 1:]


def _bounds(shapes: list[_Shape], turn: np.ndarray, outline: float) -> tuple[np.ndarray, np.ndarray]:
    scale = float(np.sqrt(abs(np.linalg.det(turn))))
    lows, highs = [], []
    for shape in shapes:
        points = shape.points @ turn.T
        pad = shape.width * scale / 2 if shape.is_line else (outline / 2 if shape.has_outline else 0.0)
        lows.append(points.min(0) - pad)
        highs.append(points.max(0) + pad)
    return np.min(lows, 0), np.max(highs, 0)


def _placed_parts(parts: dict[str, np.ndarray], turn: np.ndarray, shift: np.ndarray, size: int, is_flipped: bool) -> np.ndarray:
    # A bird that faces right shows its right side; mirrored, its left one. Both legs are in sight.
    near, far = ("left", "right") if is_flipped else ("right", "left")
    named = {name.replace("near", near).replace("far", far): point for name, point in parts.items()}
    placed = np.zeros((len(PART_NAMES), 3))
    for row, name in enumerate(PART_NAMES):
        if name in named:
            placed[row] = [*((turn @ named[name] + shift) * size), 1]
    return placed


def _rotated(points: np.ndarray, angle: float) -> np.ndarray:
    cos, sin = np.cos(angle), np.sin(angle)
    return points @ np.array([[cos, sin], [-sin, cos]])


def _ellipse(centre: np.ndarray, radii: np.ndarray, tilt: float, count: int = 28) -> np.ndarray:
    around = np.linspace(0, 2 * np.pi, count, endpoint=False)
    return centre + _rotated(np.stack([np.cos(around), np.sin(around)], 1) * radii, tilt)
