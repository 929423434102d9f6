"""The methods by name."""

from __future__ import annotations

from niwt_tf.baselines import cnzsl, eszsl
from niwt_tf.baselines.interface import Method

LINEAR: dict[str, Method] = {each.METHOD.name: each.METHOD for each in (eszsl, cnzsl)}
