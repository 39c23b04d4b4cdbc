import numpy as np

from workbook.explorers.features.neighbours import nearest

FEATURES = np.random.default_rng(0).normal(size=(50, 6)).astype(np.float32)


def test_they_are_those_of_brute_force():
    units = FEATURES / np.linalg.norm(FEATURES, axis=1, keepdims=True)
    for image in (0, 7, 49):
        order = sorted(range(50), key=lambda other: -units[image] @ units[other])
        others = [other for other in order if other != image]
        found = nearest(FEATURES, image, k=5)
        assert list(found.images) == others[:5]
        np.testing.assert_allclose(found.cosines, units[others[:5]] @ units[image], rtol=1e-5)


def test_a_copy_is_nearest_the_image_itself_is_never_and_few_images_have_few():
    twice = np.concatenate([FEATURES[:3], 2 * FEATURES[:1]])
    found = nearest(twice, 0, k=9)
    assert found.images[0] == 3 and len(found.images) == 3 and 0 not in found.images
    assert list(nearest(np.zeros((3, 4)), 1).cosines) == [0, 0]
