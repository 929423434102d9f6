import numpy as np
from PIL import Image

from niwt_tf.data.images.files import image_sides
from niwt_tf.data.schema import Images


def test_width_comes_first(tmp_path):
    for name, size in (("a.png", (7, 3)), ("b.jpg", (20, 40))):
        Image.new("RGB", size).save(tmp_path / name)
    images = Images(tmp_path, ("b.jpg", "a.png"), np.zeros(2, np.int32), ("any",))
    np.testing.assert_array_equal(image_sides(images), [[20, 40], [7, 3]])
    assert image_sides(images.take(np.empty(0, np.int64))).shape == (0, 2)
