import numpy as np
import pytest
import timm
import torch
import torchvision
from transformers import ViTConfig, ViTForImageClassification

from workbook.data import load_images
from workbook.errors import CheckpointError
from workbook.evaluation.extraction import POOLED, Extraction, extract
from workbook.evaluation.scoring import backbone_diversity, measure_features, open_model, sides_of
from workbook.lab import Lab
from workbook.metrics import discriminative_ratio, feature_mixture, feature_redundancy, leep, model_diversity
from workbook.models.backbones import create_backbone
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
def lab(tmp_path_factory, fabric) -> Lab:
    return Lab(Store(tmp_path_factory.mktemp("store")), fabric)


@pytest.fixture(scope="module")
def run(lab):
    return train(RECIPE, lab)


@pytest.fixture(scope="module")
def images():
    return load_images("generated", "train").per_class(3)


def test_a_run_is_opened_by_its_key_and_gives_the_features_of_the_run(run, lab, images):
    model = open_model(run.key, lab.store)
    assert (model.architecture, model.image_size) == ("narrow_resnet", 32)
    pooled = Extraction(layers=("pooled", "stage3"))
    ours = extract(model, images, pooled, lab)
    theirs = extract(run, images, pooled, lab)
    for layer in ("pooled", "stage3"):
        np.testing.assert_array_equal(ours.layer(layer), theirs.layer(layer))


def test_features_of_other_weights_are_other_artefacts(lab, images):
    few = images.select(np.arange(8))
    keys = set()
    for seed in (0, 1):
        model = from_timm("mobilenetv2_035", pretrained=False, image_size=32)
        torch.nn.init.normal_(model.backbone.model.conv_stem.weight, generator=torch.Generator().manual_seed(seed))
        path = lab.store.root / f"{seed}.pt"
        torch.save(model.backbone.model.state_dict(), path)
        opened = open_model(str(path), lab.store, architecture="mobilenetv2_035", image_size=32)
        keys.add(extract(opened, few, POOLED, lab).key)
    assert len(keys) == 2


def test_a_timm_name_and_its_stages(lab, images):
    model = open_model("convnext_atto", lab.store, fresh=True, image_size=32)  # four stages: the last four
    features = extract(model, images.select(np.arange(8)), Extraction(), lab)
    assert features.layers == ("stage2", "stage3", "stage4", "stage5", "pooled")
    assert features.layer("pooled").shape == (8, timm.create_model("convnext_atto").num_features)


def test_every_kind_of_model_is_opened_by_its_name(lab, images, tmp_path):
    (tmp_path / "nets.py").write_text(
        "from timm import create_model\n\n\ndef network():\n    return create_model('test_vit', num_classes=0)\n"
    )
    vit = ViTConfig(hidden_size=32, num_hidden_layers=4, num_attention_heads=2, image_size=32, patch_size=8)
    ViTForImageClassification(vit).save_pretrained(tmp_path / "hub")
    torch.save(torchvision.models.resnet18().state_dict(), tmp_path / "resnet.pth")
    kinds = {
        f"{tmp_path}/nets.py:network": {"image_size": 160},
        f"{tmp_path}/hub": {},
        "torchvision/resnet18": {"fresh": True, "image_size": 32},
        f"{tmp_path}/resnet.pth": {"architecture": "torchvision/resnet18", "image_size": 32},
    }
    opened = [open_model(model, lab.store, **how) for model, how in kinds.items()]
    assert [model.architecture for model in opened] == ["nets.py:network", "hf/vit", *["torchvision/resnet18"] * 2]
    assert [model.fresh for model in opened] == [False, False, True, False]
    assert [model.head is not None for model in opened] == [False, True, False, True]
    few = images.select(np.arange(8))
    for model in opened:
        features = extract(model, few, POOLED, lab).layer("pooled")
        assert features.shape == (8, model.backbone.num_features) and np.isfinite(features).all()
    keys = {extract(model, few, POOLED, lab).key for model in opened}
    assert len(keys) == 4


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("0" * 20, "no run 00000000000000000000: train it first.*`workbook store list`"),
        ("weights.pt", "there is no file weights.pt"),
        ("folder/weights", "there is no file folder/weights"),
        (__file__, "name the architecture of .*test_scoring.py"),
        ("resnet51", "timm has no model 'resnet51'"),
    ],
)
def test_what_is_no_model_is_refused(model, message, lab):
    with pytest.raises(CheckpointError, match=message):
        open_model(model, lab.store)


def test_the_key_of_features_is_no_run(run, lab, images):
    features = extract(run, images, POOLED, lab)
    with pytest.raises(CheckpointError, match="has no run"):
        open_model(features.key, lab.store)


def test_every_measure_of_both_sides(run, lab, images):
    features = extract(run, images, POOLED, lab)
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
    assert table.loc["pre", "R"] == pytest.approx(feature_redundancy(pooled[~chosen]), rel=1e-12)
    assert table["images"].sum() == len(images)


def test_a_measure_that_does_not_apply_takes_no_other_with_it(run, lab, images):
    few = images.only_classes([*images.class_names[:2], *images.class_names[-5:]])
    side_of = sides_of("generated", images)
    table = measure_features(extract(run, few, POOLED, lab), side_of)
    assert set(table["side"]) == {"pre", "eval"} and table["Pi"].isna().all()
    assert (
        table["reasons"]
        .str.endswith(
            "LEEP: needs a source head; NCE: needs a source head; "
            "Pi: k must be a whole number from 1 to 6, one less than the classes, got 10"
        )
        .all()
    )
    assert table[["phi", "V_intra", "S_inter", "MSC", "R"]].notna().all().all()
    singles = few.per_class(1)
    (pre, _) = measure_features(extract(run, singles, POOLED, lab), side_of).to_dict("records")
    assert "MSC: every class must have at least 2 samples" in pre["reasons"] and pre["R"] == pre["R"]
    (one,) = measure_features(extract(run, few.only_classes(few.class_names[:1]), POOLED, lab), side_of).to_dict(
        "records"
    )
    assert "phi: labels must name at least two classes" in one["reasons"] and one["R"] == one["R"]


def test_a_source_head_is_measured_and_its_own_classes_besides(run, lab, images):
    own = images.only_classes([name for name in images.class_names if name in run.class_names])
    opened, features = run.backbone(), extract(run, own, POOLED, lab)
    side_of = dict.fromkeys(own.class_names, "pre")
    (row,) = measure_features(features, side_of, head=opened.head, trained_on="pre").to_dict("records")
    pooled = features.layer("pooled")
    with torch.inference_mode():
        theta = opened.head(torch.from_numpy(np.array(pooled))).softmax(1).double()
    assert row["LEEP"] == pytest.approx(leep(theta, features.labels)) and row["NCE"] == row["NCE"]
    assert 0 <= row["NC4"] <= 1 and row["NC3"] >= 0
    (others,) = measure_features(features, side_of, head=opened.head).to_dict("records")
    assert others["NC3"] != others["NC3"] and "NC3: needs a linear head over these classes" in others["reasons"]


def test_how_images_are_read_is_part_of_the_key(lab, images):
    few, how = images.select(np.arange(8)), {"fresh": True, "image_size": 32}
    models = [open_model("mobilenetv2_035", lab.store, **how, mean=mean) for mean in (None, (0.5, 0.5, 0.5))]
    first, other = (extract(model, few, POOLED, lab) for model in models)
    assert first.key != other.key
    assert not np.allclose(first.layer("pooled"), other.layer("pooled"))


def test_what_a_kind_of_model_does_not_take_is_refused(run, lab, tmp_path):
    torch.save({}, tmp_path / "weights.pt")
    file = str(tmp_path / "weights.pt")
    for model, how, told in (
        (run.key, {"architecture": "resnet18"}, "a run of the store knows what it is: .*; leave out architecture"),
        (run.key, {"mean": (0.5, 0.5, 0.5), "small_stem": True}, "leave out mean, small_stem"),
        ("resnet18", {"part": "model", "fresh": True}, "a model of timm has no file: resnet18; leave out part"),
        ("resnet18", {"small_stem": True}, "timm's weights of resnet18 have another stem"),
        (file, {"architecture": "resnet18", "fresh": True}, "a file has weights: .*; leave out fresh"),
        ("torchvision/resnet18", {"small_stem": True}, "a model of torchvision has no file: .*; leave out small_stem"),
        ("hf/org/vit", {"fresh": True}, "a model of transformers says what it is: hf/org/vit; leave out fresh"),
        ("nets.py:net", {"architecture": "resnet18"}, "a function says what its model is: .*; leave out architecture"),
    ):
        with pytest.raises(CheckpointError, match=told):
            open_model(model, lab.store, **how)
    assert open_model(run.key, lab.store, image_size=48).image_size == 48
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(CheckpointError, match=f"or name its folder, {tmp_path}, which says it"):
        open_model(file, lab.store)


def test_without_a_concept_split_there_is_one_side_and_no_mixture(lab):
    digits = load_images("digits", "train").per_class(4)
    model = from_timm("mobilenetv2_035", pretrained=False, image_size=32)
    features = extract(model, digits, POOLED, lab)
    table = measure_features(features, sides_of("digits", digits))
    assert table["side"].tolist() == ["all"]
    assert table["Pi"].isna().all()
    assert table.loc[0, "reasons"].endswith("Pi: it takes both sides of a concept split")


def test_a_vit_s_diversity_is_of_its_attention_and_a_resnet_s_of_all_layers():
    """App. J of B: "Feature Diversity, associated with Multi-head Self-attention (MSA) layers"."""
    vit, resnet = (create_backbone(name, image_size=16, small_stem=True) for name in ("tiny_vit", "narrow_resnet"))
    assert set(backbone_diversity(vit)["kind"]) == {"attention"} and len(backbone_diversity(vit)) == 4
    assert backbone_diversity(resnet).equals(model_diversity(resnet.model))
