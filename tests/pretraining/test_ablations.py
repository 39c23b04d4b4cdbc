import math
from dataclasses import replace
from itertools import pairwise

import pandas as pd
import pytest
import torch

from tests.conftest import make_images
from tests.pretraining.small import SQUARES
from workbook.models.backbones import STAGES
from workbook.papers.tables import load_table
from workbook.pretraining import ablations
from workbook.pretraining.loop import create_model, pretrain
from workbook.pretraining.recipe import Projector, Recipe

PAPER = Recipe(dataset="imagenet1k")


def test_table_5_has_the_printed_parameters():
    arms = ablations.components(PAPER)
    counted = {arm.label: ablations.added_parameters(arm.recipe) for arm in arms}
    assert counted == {
        "(a)": 0,
        "(b)": 4_196_352,  # 4.196M
        "(c)": 8_394_752,  # 8.395M
        "(d)": 8_390_656,  # 8.391M
        "(e)": 4_096,  # 0.004M
        "SL-MLP": 8_394_752,  # 8.395M
    }
    assert [arm.recipe.method for arm in arms] == [
        "SL",
        "SL-MLP (Input FC)",
        "SL-MLP (Input FC, BN, Output FC)",
        "SL-MLP (Input FC, ReLU, Output FC)",
        "SL-MLP (BN, ReLU)",
        "SL-MLP",
    ]


def test_the_components_are_as_wide_as_the_backbone_at_hand():
    arm = ablations.components(SQUARES)[1]
    model = create_model(arm.recipe, 4)
    assert arm.recipe.projector.hidden_dim == model.backbone.num_features == 1024
    counted = sum(parameter.numel() for parameter in model.projector.parameters())
    assert ablations.added_parameters(arm.recipe) == counted == 1024 * 1024 + 1024


def test_looking_up_a_width_draws_nothing():
    torch.manual_seed(0)
    expected = torch.rand(2)
    torch.manual_seed(0)
    ablations.components(SQUARES)
    assert torch.equal(torch.rand(2), expected)


def test_projectors_follow_each_other():
    base = replace(SQUARES, epochs=30, checkpoint_epochs=(0, 5, 20), warmup_epochs=2)
    arms = ablations.projector_counts(base, counts=(1, 3), epochs=(10, 30))
    assert [arm.label for arm in arms] == [f"{n} x MLP, {epochs} epochs" for n in (1, 3) for epochs in (10, 30)]
    assert arms[0].recipe.saved_epochs == (0, 5, 10)
    assert [arm.recipe.method for arm in arms[1:3]] == ["SL-MLP", "SL-MLP x 3"]
    stacked = create_model(arms[2].recipe, 4).projector.layers
    assert [type(layer).__name__ for layer in stacked] == ["Linear", "BatchNorm1d", "ReLU", "Linear"] * 3
    assert [layer.out_features for layer in stacked[::4]] == [4096] * 3
    assert [layer.in_features for layer in stacked[::4]] == [1024, 256, 256]


def test_batch_sizes_keep_the_optimiser():
    arms = ablations.batch_sizes(PAPER, "BYOL", (256, 4096))
    assert [arm.recipe.batch_size for arm in arms] == [256, 4096]
    assert {arm.recipe.optimizer for arm in arms} == {"lars"} and len({arm.recipe.lr for arm in arms}) == 1


@pytest.mark.parametrize("method", ["SL-MLP", "BYOL"])
def test_augmentations_are_taken_away_step_by_step(method):
    arms = ablations.augmentations(PAPER, method)
    steps = [
        {name for name in ("jitter", "greyscale", "blur", "solarise", "flip") if any(_probabilities(arm, name))}
        for arm in arms
    ]
    assert steps[0] == {"jitter", "greyscale", "blur", "solarise", "flip"} and steps[-1] == set()
    assert all(after < before for before, after in pairwise(steps))
    assert {arm.recipe.method for arm in arms} == {method}
    assert {arm.recipe.augmentation.crop_scale for arm in arms} == {(0.08, 1.0)}


def _probabilities(arm, name):
    value = getattr(arm.recipe.augmentation, name)
    return value if isinstance(value, tuple) else (value,)


def test_figure_10b_s_batch_sizes():
    """256 to 4,096 for BYOL, whose accuracy falls below, and to 1,024 for SL-MLP."""
    sizes: dict[str, list[int]] = {}
    for arm in ablations.SWEEPS["batch size"](PAPER, ()):
        sizes.setdefault(arm.recipe.method, []).append(arm.recipe.batch_size)
    assert sizes == {"SL-MLP": [256, 512, 1024], "BYOL": [256, 512, 1024, 2048, 4096]}


def test_backbones_are_table_2_s_rows():
    arms = ablations.backbones(replace(PAPER, epochs=300))
    found = {(arm.recipe.method, arm.recipe.backbone, arm.recipe.epochs) for arm in arms}
    printed = load_table("A.2").replace({"method": {"Byol": "BYOL"}, "architecture": ablations.TABLE_2})
    assert found == set(printed[["method", "architecture", "epochs"]].itertuples(index=False, name=None))
    assert len(arms) == len(printed) == 18 and {arm.recipe.backbone for arm in arms} <= set(STAGES)
    assert arms[0].label == ablations.table_2_label("SL", "ResNet34", 100) == "SL, ResNet34, 100 epochs"
    assert ablations.SWEEPS["backbone"](replace(PAPER, epochs=300), ["Swin-tiny"]) == [
        arm for arm in arms if "Swin" in arm.label
    ]


def test_a_training_too_short_for_a_third_is_one_arm():
    arms = ablations.backbones(replace(SQUARES, epochs=1, warmup_epochs=0), ["ResNet34"])
    assert [arm.label for arm in arms] == [f"{name}, ResNet34, 1 epochs" for name in ("SL", "SL-MLP", "BYOL")]


def test_scales_change_one_thing_each():
    base = Recipe(dataset="digits", backbone="narrow_resnet", images_per_class=100, epochs=60, seed=5)
    scales = ablations.scales(base, classes=70, per_class=100)
    assert {scale: list(steps) for scale, steps in scales.items()} == {
        "channels": [256, 1024, 4096],
        "pretraining classes": [17, 35, 70],
        "images a class": [25, 50, 100],
        "epochs": [15, 30, 60],
    }
    for steps in scales.values():
        assert list(steps.values()).count(base) == 1, "the base itself, so that it is trained once"
    assert scales["pretraining classes"][17] == replace(base, classes=17)
    assert scales["images a class"][50] == replace(base, images_per_class=50)
    assert scales["epochs"][15].epochs == 15
    assert scales["channels"][4096] == replace(base, backbone="narrow_resnet_4096")
    assert "channels" not in ablations.scales(replace(base, backbone="resnet18"), classes=70, per_class=100)
    tiny = ablations.scales(replace(base, epochs=3, warmup_epochs=1), classes=3, per_class=2)
    assert [list(tiny[scale]) for scale in list(tiny)[1:]] == [[2, 3], [2], [2, 3]]


def test_over_seeds():
    arms = ablations.over_seeds(ablations.components(SQUARES)[:2], range(2))
    assert [(arm.label, arm.recipe.seed) for arm in arms] == [("(a)", 0), ("(a)", 1), ("(b)", 0), ("(b)", 1)]


def test_every_arm_trains(tmp_path, fabric):
    base = replace(SQUARES, epochs=1, batch_size=32)
    arms = ablations.components(base) + ablations.projector_counts(base, counts=(2,))
    arms += ablations.augmentations(replace(base, projector=Projector(hidden_dim=8, out_dim=8)), "SL-MLP")[::2]
    for number, arm in enumerate(arms):
        folder = tmp_path / str(number)
        folder.mkdir()
        pretrain(arm.recipe, make_images(), folder, fabric)
        assert math.isfinite(pd.read_json(folder / "history.json")["loss"][0])
