"""Hours and gigabytes of what is not trained yet."""

from dataclasses import replace

import pytest

from tests.conftest import make_images
from tests.pretraining.small import SQUARES
from workbook.pretraining.injection import injection_recipe
from workbook.pretraining.recipe import Recipe, with_method
from workbook.pretraining.runs import Planned, train
from workbook.pretraining.starts import RunStart
from workbook.sweep.cost import Rate, estimate, gigabytes, known_rates, stored_rates, work_of

RESNET_50 = Recipe(dataset="imagenet1k")


def planned(recipe: Recipe, images: int = 64) -> Planned:
    return Planned(recipe, make_images(images), {})


def rate(recipe: Recipe, speed: float) -> Rate:
    return Rate(hardware="a", recipe=recipe, images_per_second=speed, how="by hand")


def test_the_work_of_a_resnet_50_is_what_the_literature_says():
    """4.1 billion multiply-adds and 11.1 million activations an image (Radosavovic et al. 2020), there and back."""
    work = work_of(RESNET_50)
    assert work.operations == pytest.approx(3 * 2 * 4.1e9, rel=0.01)
    assert work.written == pytest.approx(3 * 11.1e6, rel=0.01)


def test_a_method_costs_its_views_and_its_targets():
    """SimCLR: two views there and back. BYOL: its target's way there besides, of both. MoCo: one view of each."""
    network = replace(SQUARES, backbone="resnet18", image_size=32)
    one = work_of(network).written
    ways = {"SimCLR": 2 * 3, "BYOL": 2 * 3 + 2, "MoCo v2": 3 + 1}
    found = {name: work_of(with_method(network, name)).written / one for name in ways}
    assert found == pytest.approx({name: way / 3 for name, way in ways.items()}, rel=0.05)


def test_labels_that_reach_the_backbone_seldom_cost_less():
    """In a step of four there and back, else there alone."""
    start = RunStart(run="0" * 20, epoch=1)
    often, seldom = (work_of(injection_recipe(SQUARES, start, cycle)).written for cycle in (1, 4))
    assert seldom / often == pytest.approx((3 + 3 * 1) / 4 / 3, rel=0.02)


def test_hours_by_hand():
    run = planned(SQUARES)  # 4 epochs of 64 images
    assert estimate(run, [rate(SQUARES, 32.0), rate(SQUARES, 16.0)]) == (4 * 64 / 16, True)
    simclr = with_method(SQUARES, "SimCLR")
    seconds, measured = estimate(planned(simclr), [rate(SQUARES, 32.0)])
    assert seconds == pytest.approx(2 * 4 * 64 / 32, rel=0.05) and not measured
    larger = replace(SQUARES, image_size=32)
    assert estimate(planned(larger), [rate(SQUARES, 32.0)]).seconds == pytest.approx(4 * 4 * 64 / 32, rel=0.02)
    byol = rate(with_method(SQUARES, "BYOL"), 1.0)
    assert estimate(planned(simclr), [rate(SQUARES, 1e6), byol]).seconds > 4 * 64 / 2, "of as many views an image"


def test_gigabytes_are_those_of_the_files(lab):
    """But for the header of each."""
    recipe = replace(SQUARES, dataset="digits", image_size=8, images_per_class=8, epochs=1, checkpoint_epochs=(0,))
    run = train(recipe, lab)
    size = sum(path.stat().st_size for path in run.artefact.path.glob("*.safetensors")) / 1e9
    told = gigabytes(Planned(recipe, make_images(80, classes=10), {}))
    assert told < size < 1.02 * told
    (own,) = stored_rates(lab.store, str(run.artefact.provenance["hardware"]))
    assert own.images_per_second == run.history["images_per_second"].median() and own.recipe.method == "SL"
    assert stored_rates(lab.store, "another machine") == []


def test_the_rates_that_come_along_are_of_recipes_that_can_be_counted():
    rates = known_rates()
    assert {rate.hardware for rate in rates} == {"NVIDIA H200", "one core of an AMD EPYC with AVX-512"}
    assert all(rate.images_per_second > 0 and work_of(rate.recipe).written > 0 for rate in rates)
