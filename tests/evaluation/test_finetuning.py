from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.pretraining.small import DIGITS
from workbook.data.augmentation import Augmentation
from workbook.data.sources import load_images
from workbook.errors import ManifestError
from workbook.evaluation.extraction import POOLED, extract, head_accuracy
from workbook.evaluation.finetuning import (
    finetune,
    finetune_1000_recipe,
    finetune_recipe,
    finetune_vit_recipe,
)
from workbook.lab import Lab
from workbook.metrics import mean_average_precision
from workbook.pretraining import runs
from workbook.pretraining.heads import Centroids, LabelCentroids, ProbeHead
from workbook.pretraining.loop import create_model
from workbook.pretraining.many_labels import MultiLabel
from workbook.pretraining.recipe import Recipe
from workbook.pretraining.runs import Run, pretraining_images, train
from workbook.pretraining.starts import RunStart
from workbook.pretraining.supervised import CrossEntropy
from workbook.probes.linear import ProbeRecipe, linear_probe
from workbook.store import Store

START = RunStart(run="0" * 20, epoch=30)
BASE = Recipe(
    dataset="imagenet1k",
    images_per_class=7,
    image_size=64,
    backbone="resnet18",
    small_stem=True,
    augmentation=Augmentation(crop_scale=(0.3, 1.0), jitter=0.8),
    checkpoint_epochs=(3,),
    clip_norm=1.0,
    seed=4,
)


@pytest.fixture(scope="module")
def lab(tmp_path_factory, fabric) -> Lab:
    return Lab(Store(tmp_path_factory.mktemp("store")), fabric)


@pytest.fixture(scope="module")
def first(lab) -> Run:
    """A run that has seen digits for a few epochs."""
    augmentation = Augmentation(crop_scale=(0.7, 1.0), flip=0.0)
    return train(replace(DIGITS, images_per_class=40, epochs=3, lr=3.2, augmentation=augmentation), lab)


@pytest.fixture(scope="module")
def tested():
    return load_images("digits", "test").per_class(10)


def test_the_papers_recipe():
    recipe = finetune_recipe(BASE, "dtd", START)
    assert (recipe.dataset, recipe.side, recipe.images_per_class, recipe.start) == ("dtd", None, None, START)
    assert (recipe.backbone, recipe.small_stem, recipe.image_size, recipe.seed) == ("resnet18", True, 64, 4)
    assert recipe.objective == CrossEntropy(smoothing=0.1, head=Centroids()) and recipe.projector is None
    assert recipe.augmentation == Augmentation(crop_scale=(0.3, 1.0), policy="autoaugment", cutout=0.5)
    assert (recipe.optimizer, recipe.momentum, recipe.weight_decay) == ("adam", 0.9, 1e-4)
    assert (recipe.batch_size, recipe.epochs, recipe.warmup_epochs, recipe.clip_norm) == (128, 60, 0, None)
    assert recipe.ema is not None and 0 in recipe.saved_epochs


def test_the_recipe_for_transformers():
    recipe = finetune_vit_recipe(BASE, "dtd", START)
    objective = CrossEntropy(smoothing=0.1, mixup=0.8, cutmix=1.0, head=Centroids())
    assert recipe.objective == objective and recipe.augmentation.erase == 0.25
    assert (recipe.optimizer, recipe.layer_decay, recipe.weight_decay, recipe.drop_path) == ("adamw", 0.65, 0.05, 0.1)
    assert (recipe.batch_size, recipe.epochs) == (128, 100)
    assert recipe.lr * 256 / 1024 == pytest.approx(5e-4), "the base rate is at 256 images"


def test_a_thousand_images():
    recipe = finetune_1000_recipe(BASE, "dtd", START, side="eval")
    assert (recipe.images, recipe.images_per_class, recipe.side) == (1000, None, "eval")
    assert recipe.objective == CrossEntropy() and recipe.optimizer == "sgd"
    assert recipe.lr * recipe.batch_size / 1024 == pytest.approx(0.01)
    assert recipe.title == "finetuning on dtd, seed 4", "its norm is no method of pretraining"


def test_a_thousand_images_hardly_see_how_long_the_features_are():
    model = create_model(finetune_1000_recipe(BASE, "dtd", START), num_classes=3).train()
    norm, features = model.projector, torch.randn(32, model.backbone.num_features)
    torch.testing.assert_close(norm(features), norm(100 * features), atol=1e-3, rtol=1e-3)
    assert model.head.in_features == features.shape[1], "nothing but the norm stands before the head"


def test_from_centroids_it_starts_above_chance_and_is_stored(first, lab, tested, monkeypatch):
    recipe = replace(finetune_recipe(DIGITS, "digits", first.start()), images=200, epochs=2)
    row = finetune(recipe, tested, lab)
    assert row["accuracy_before"] > 30, "chance is 10"
    assert row["accuracy"] > 30 and row["images"] == 200 and row["dataset"] == "digits"
    run = train(recipe, lab)
    assert run.stored and run.key == row["key"]
    x, y = features(run, 0, pretraining_images(recipe), lab)
    means = np.stack([x[y == label].mean(0) for label in range(10)])
    np.testing.assert_allclose(run.model(0).head.weight.detach(), means, rtol=1e-5, atol=1e-6)
    monkeypatch.setattr(runs, "pretrain", None)
    assert finetune(recipe, tested, lab) == row


def test_fewer_images_than_a_batch_are_one_batch(first, lab, tested):
    recipe = replace(finetune_recipe(DIGITS, "digits", first.start()), images=50, epochs=1)
    row = finetune(recipe, tested, lab)
    run = next(found for found in lab.store.artefacts() if found.key == row["key"])
    assert run.spec["recipe"]["batch_size"] == 50 == row["images"]
    with pytest.raises(ValueError, match="batch of 128 images cannot be filled from 50: lower batch_size"):
        train(recipe, lab)


@pytest.mark.parametrize("c_values", [(0.01,), (1e-4, 1e-2, 1.0)])
def test_a_head_from_a_probe_is_that_probe(first, lab, tested, c_values):
    recipe = replace(DIGITS, start=first.start(), objective=CrossEntropy(head=ProbeHead(c_values=c_values)))
    recipe = replace(recipe, images_per_class=20)
    row = finetune(recipe, tested, lab)
    train_x, train_y = features(first, 3, pretraining_images(recipe), lab)
    test_x, test_y = features(first, 3, tested, lab)
    probe = linear_probe(train_x, train_y, test_x, test_y, ProbeRecipe(c_values=c_values))
    # the probe's last fit begins elsewhere, and both end within the solver's tolerance: an image or two may differ
    assert row["accuracy_before"] == pytest.approx(probe.accuracy, abs=2) and probe.accuracy > 30


def features(run: Run, epoch: int, images, lab: Lab) -> tuple[np.ndarray, np.ndarray]:
    found = extract(run, images, POOLED, lab, epoch=epoch)
    return np.array(found.layer("pooled")), found.labels


def test_a_transformer_gets_the_recipe_for_transformers():
    base = replace(BASE, backbone="vit_base_patch16_224")
    assert finetune_recipe(base, "dtd", START) == finetune_vit_recipe(base, "dtd", START)


def test_where_images_have_many_labels_each_is_a_decision_and_nothing_else_differs():
    one, many = (finetune_recipe(BASE, dataset, START) for dataset in ("dtd", "coco2014-multilabel"))
    assert many.objective == MultiLabel(smoothing=0.1, head=LabelCentroids())
    assert replace(many, dataset="dtd", objective=one.objective) == one
    assert many.title == "finetuning on coco2014-multilabel, seed 4"
    of_vit = finetune_vit_recipe(replace(BASE, backbone="vit_base_patch16_224"), "coco2014-multilabel", START).objective
    assert of_vit == MultiLabel(smoothing=0.1, mixup=0.8, cutmix=1.0, head=LabelCentroids())


def test_many_labels_are_learned_from_their_centroids_on(first, lab):
    """The digits' own backbone; mAP is that of the head's logits."""
    test = load_images("generated-multilabel", "test").drawn(200)
    recipe = replace(
        finetune_recipe(DIGITS, "generated-multilabel", first.start()), images=400, image_size=32, epochs=4
    )
    row = finetune(recipe, test, lab)
    assert row["mAP"] > row["mAP_before"] - 5 and "accuracy" not in row
    run = train(recipe, lab)
    with torch.no_grad():
        logits = run.model().classify(test.tensor(32).float() / 255)
    assert row["mAP"] == pytest.approx(100 * mean_average_precision(logits, test.labels), abs=1e-3)
    assert run.history["loss"].iloc[-1] < run.history["loss"].iloc[0]
    with pytest.raises(ManifestError, match="has many labels, and top-1 accuracy takes one"):
        head_accuracy(run, test, lab)
