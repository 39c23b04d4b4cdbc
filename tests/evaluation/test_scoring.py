import numpy as np
import pandas as pd
import pytest
import timm
import torch

from workbook.data import load_images
from workbook.errors import CheckpointError
from workbook.evaluation.extraction import Extraction, extract, extract_pretrained
from workbook.evaluation.linear_probe import ProbeRecipe
from workbook.evaluation.scoring import measure_features, open_model, sides_of
from workbook.evaluation.stagewise import probe_layers
from workbook.metrics import discriminative_ratio, feature_mixture, feature_redundancy
from workbook.models.checkpoints import from_timm
from workbook.pretraining.recipe import Recipe
from workbook.pretraining.runs import train
from workbook.store import Store

RECIPE = Recipe(
    dataset="generated",
    images_per_class=4,
    image_size=32,
    backbone="narrow_resnet",
    small_stem=True,
    epochs=1,
    batch_size=32,
    warmup_epochs=0,
)


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    return Store(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def run(shared, fabric):
    return train(RECIPE, shared, fabric)


@pytest.fixture(scope="module")
def images():
    return load_images("generated", "train").per_class(3)


def test_a_run_is_opened_by_its_key_and_gives_the_features_of_the_run(run, shared, fabric, images):
    model = open_model(run.artefact.key, shared)
    assert (model.architecture, model.image_size) == ("narrow_resnet", 32)
    pooled = Extraction(layers=("pooled", "stage3"))
    ours = extract_pretrained(model, images, pooled, shared, fabric)
    theirs = extract(run, images, pooled, shared, fabric)
    for layer in ("pooled", "stage3"):
        np.testing.assert_array_equal(ours.layer(layer), theirs.layer(layer))


def test_features_of_other_weights_are_other_artefacts(shared, fabric, images):
    few = images.select(np.arange(8))
    keys = set()
    for seed in (0, 1):
        model = from_timm("mobilenetv2_035", pretrained=False, image_size=32)
        torch.nn.init.normal_(model.backbone.model.conv_stem.weight, generator=torch.Generator().manual_seed(seed))
        path = shared.root / f"{seed}.pt"
        torch.save(model.backbone.model.state_dict(), path)
        opened = open_model(str(path), shared, architecture="mobilenetv2_035", image_size=32)
        keys.add(extract_pretrained(opened, few, Extraction(layers=("pooled",)), shared, fabric).artefact.key)
    assert len(keys) == 2


def test_a_timm_name_and_its_stages(shared, fabric, images):
    model = open_model("convnext_atto", shared, fresh=True, image_size=32)  # four stages: the last four
    features = extract_pretrained(model, images.select(np.arange(8)), Extraction(), shared, fabric)
    assert features.layers == ("stage2", "stage3", "stage4", "stage5", "pooled")
    assert features.layer("pooled").shape == (8, timm.create_model("convnext_atto").num_features)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("0" * 20, "no run 00000000000000000000: `workbook store list`"),
        ("weights.pt", "name the architecture of weights.pt"),
        ("folder/weights", "name the architecture"),
        ("resnet51", "timm has no model 'resnet51'"),
    ],
)
def test_what_is_no_model_is_refused(model, message, shared):
    with pytest.raises(CheckpointError, match=message):
        open_model(model, shared)


def test_the_key_of_features_is_no_run(run, shared, fabric, images):
    features = extract(run, images, Extraction(layers=("pooled",)), shared, fabric)
    with pytest.raises(CheckpointError, match="has no run"):
        open_model(features.artefact.key, shared)


def test_every_measure_of_both_sides(run, shared, fabric, images):
    features = extract(run, images, Extraction(layers=("pooled",)), shared, fabric)
    side_of = sides_of("generated", images)
    table = measure_features(features, side_of).set_index("side")
    assert set(table.index) == {"pre", "eval"}
    pooled, labels = features.layer("pooled"), features.labels
    is_eval = [side_of[name] == "eval" for name in images.class_names]
    assert set(load_images("generated", "train", side="eval").class_names) == {
        name for name, found in zip(images.class_names, is_eval, strict=True) if found
    }
    assert (table["Pi"] == feature_mixture(pooled, labels, is_eval)).all()
    chosen = np.array(is_eval)[labels]
    assert table.loc["eval", "phi"] == discriminative_ratio(pooled[chosen], labels[chosen])
    assert table.loc["pre", "R"] == feature_redundancy(pooled[~chosen])
    assert table["images"].sum() == len(images)


def test_without_a_concept_split_there_is_one_side_and_no_mixture(shared, fabric):
    digits = load_images("digits", "train").per_class(4)
    model = from_timm("mobilenetv2_035", pretrained=False, image_size=32)
    features = extract_pretrained(model, digits, Extraction(layers=("pooled",)), shared, fabric)
    table = measure_features(features, sides_of("digits", digits))
    assert table["side"].tolist() == ["all"]
    assert table["Pi"].isna().all()


def test_each_layer_is_probed(run, shared, fabric):
    parts = (load_images("generated", split, side="eval").per_class(5) for split in ("train", "test"))
    fitted, tested = (extract(run, part, Extraction(stage_budget=1024), shared, fabric) for part in parts)
    table = pd.DataFrame(probe_layers(fitted, tested, ProbeRecipe(c_values=(0.01, 1.0)), shared, fabric))
    assert table["layer"].tolist() == list(fitted.layers)
    assert table["dims"].tolist() == [fitted.layer(layer).shape[1] for layer in fitted.layers]
    assert table["accuracy"].between(0, 100).all()
