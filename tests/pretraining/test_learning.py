import pytest

from tests.pretraining.learning import OWN_METHODS, learn, recipe_of


@pytest.mark.slow
@pytest.mark.parametrize("name", OWN_METHODS)
def test_a_method_learns_and_does_not_collapse(name, fabric):
    """Twelve methods, under ten minutes on two cores. 1,920 test images: the shape's standard error is 1 point."""
    result = learn(recipe_of(name, seed=0), fabric)
    assert result.shape_trained > result.shape_untrained + 2, result
    assert result.family_trained > result.family_untrained, result
    assert result.spread is None or result.spread > 0.1, result
    assert result.cpu_seconds < 90, result
