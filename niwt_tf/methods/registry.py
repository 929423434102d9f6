"""The methods by name."""

from __future__ import annotations

from niwt_tf.methods.base import Method
from niwt_tf.methods.baselines import ale, class_mean, cnzsl, dem, eszsl, random_scores, sync

# All but the oracle, which needs images of the unseen classes.
MODULES = (ale, dem, eszsl, sync, cnzsl, class_mean, random_scores)
BY_NAME: dict[str, Method] = {module.METHOD.name: module.METHOD for module in MODULES}
