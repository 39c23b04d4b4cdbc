import json
import shutil
from pathlib import Path

import pytest
import torch
import transformers
from huggingface_hub import is_offline_mode
from huggingface_hub.errors import LocalEntryNotFoundError

from workbook.errors import CheckpointError
from workbook.evaluation.scoring import backbone_diversity
from workbook.models.huggingface import from_huggingface

VIT = {"hidden_size": 32, "num_hidden_layers": 8, "num_attention_heads": 2}
CONFIGS = {
    "vit": transformers.ViTConfig(intermediate_size=64, image_size=32, patch_size=8, **VIT),
    "dinov2": transformers.Dinov2Config(image_size=32, patch_size=8, **VIT),
    "resnet": transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 1, 1], layer_type="basic"
    ),
    "swin": transformers.SwinConfig(
        embed_dim=16, depths=[1, 1, 1, 1], num_heads=[1, 2, 2, 2], window_size=2, image_size=32, patch_size=2
    ),
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    """Of each kind one with its classifier, and one without, "vit bare"."""
    made = {}
    for name, config in CONFIGS.items():
        torch.manual_seed(2)
        model = transformers.AutoModelForImageClassification.from_config(config)
        torch.nn.init.normal_([m for m in model.modules() if isinstance(m, torch.nn.Linear)][-1].weight)
        for kind, part in ((name, model), (f"{name} bare", model.base_model)):
            made[kind] = tmp_path_factory.mktemp(name)
            part.save_pretrained(made[kind])
    return made


@pytest.fixture
def copied(folders, tmp_path):
    def copy(name: str) -> Path:
        return Path(shutil.copytree(folders[name], tmp_path / "model"))

    return copy


def opened(folder: Path, **how):
    return from_huggingface(str(folder), image_size=32, **how)


def theirs(folder: Path):
    return transformers.AutoModelForImageClassification.from_pretrained(folder).eval()


@pytest.mark.parametrize("name", CONFIGS)
def test_logits_and_hidden_states_are_transformers_own(folders, name):
    model, images = opened(folders[name]), torch.rand(2, 3, 32, 32)
    with torch.inference_mode():
        maps, features = model.backbone.stages(images)
        expected = theirs(folders[name])(model.backbone.normalised(images), output_hidden_states=True)
        torch.testing.assert_close(model.logits(features), expected.logits)
    assert features.shape == (2, model.backbone.num_features) and len(maps) == 5
    states = expected.hidden_states
    chosen = states if len(states) == 5 else [states[0], *states[2::2]]
    for stage, state in zip(maps, chosen, strict=True):
        patches = state if state.ndim == 4 else state[:, -stage[0, 0].numel() :].mT.unflatten(2, stage.shape[2:])
        torch.testing.assert_close(stage, patches)
    assert model.architecture == f"hf/{name}" and not model.fresh


@pytest.mark.parametrize(("name", "width"), [("vit", 32), ("resnet", 32), ("dinov2", 32), ("swin", 128)])
def test_without_a_classifier_there_is_no_head(folders, name, width):
    """Of DINOv2 the class token, where its classifier would read the patches, too."""
    model, images = opened(folders[f"{name} bare"]), torch.rand(2, 3, 32, 32)
    assert model.head is None
    with torch.inference_mode():
        features = model.backbone(images)
        bare = transformers.AutoModel.from_pretrained(folders[f"{name} bare"]).eval()(model.backbone.normalised(images))
    pooled = bare.last_hidden_state[:, 0] if name in ("vit", "dinov2") else bare.pooler_output.flatten(1)
    torch.testing.assert_close(features, pooled)
    assert features.shape == (2, width)
    assert ("features are its class token" in model.notes) == (name == "dinov2")


def test_a_vit_s_diversity_is_of_its_attention(folders):
    layers = backbone_diversity(opened(folders["vit"]).backbone)
    assert set(layers["kind"]) == {"attention"} and len(layers) == 8 and set(layers["matrices"]) == {6}
    assert set(backbone_diversity(opened(folders["resnet"]).backbone)["kind"]) == {"conv"}


@pytest.mark.parametrize(
    ("said", "size", "mean", "std"),
    [
        ({"size": {"height": 32, "width": 32}}, 32, 0.5, 0.2),
        ({"size": {"shortest_edge": 48}, "crop_size": {"height": 32, "width": 32}}, 32, 0.5, 0.2),
        ({"size": 32, "crop_size": 16, "do_center_crop": False, "do_normalize": False}, 32, 0.0, 1.0),
        ({"size": 32, "rescale_factor": 1 / 510}, 32, 1.0, 0.4),
        (None, 32, 0.485, 0.229),
    ],
)
def test_images_are_read_as_its_file_says(copied, said, size, mean, std):
    folder = copied("vit")
    if said:
        said |= {"image_mean": [0.5] * 3, "image_std": [0.2] * 3}
        (folder / "preprocessor_config.json").write_text(json.dumps(said))
    model = from_huggingface(str(folder))
    assert model.image_size == size
    assert (model.preprocessing.mean[0], model.preprocessing.std[0]) == pytest.approx((mean, std))
    assert any(("its own, of" if said else "ImageNet's, as there is no") in note for note in model.notes)
    assert from_huggingface(str(folder), mean=(0.1, 0.1, 0.1)).preprocessing.mean == (0.1, 0.1, 0.1)


def test_the_same_weights_under_another_configuration_have_another_key(copied, folders):
    folder = copied("vit")
    assert opened(folder).spec == opened(folders["vit"]).spec
    config = json.loads((folder / "config.json").read_text()) | {"hidden_act": "relu"}
    (folder / "config.json").write_text(json.dumps(config))
    other, one = opened(folder), opened(folders["vit"])
    assert other.digest == one.digest and other.spec != one.spec


def test_what_is_no_classifier_or_not_whole_is_refused(copied):
    folder = copied("vit")
    config = json.loads((folder / "config.json").read_text())
    (folder / "preprocessor_config.json").write_text("{")
    with pytest.raises(CheckpointError, match="preprocessor_config.json cannot be read.*mend or remove it"):
        opened(folder)
    (folder / "preprocessor_config.json").unlink()
    (folder / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 9}))
    with pytest.raises(CheckpointError, match=r"lacks 16 weights \(vit"):
        opened(folder)
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "bert"}))
    with pytest.raises(CheckpointError, match="transformers cannot load an image classifier"):
        opened(folder)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "model.safetensors").write_bytes(b"")
    with pytest.raises(CheckpointError, match="transformers cannot load an image classifier"):
        opened(folder)


def test_weights_that_are_not_finite_are_refused(copied):
    folder = copied("resnet")
    model = theirs(folder)
    model.resnet.embedder.embedder.convolution.weight.data[0] = float("nan")
    model.save_pretrained(folder)
    with pytest.raises(CheckpointError, match="has 1 weights that are not finite"):
        opened(folder)


def test_weights_of_torch_save_are_read_and_code_is_not_run(copied, tmp_path):
    folder = copied("resnet")
    torch.save(theirs(folder).state_dict(), folder / "pytorch_model.bin")
    digest = opened(folder).digest
    (folder / "model.safetensors").unlink()
    assert opened(folder).digest == digest
    (folder / "own.py").write_text(f"open({str(tmp_path / 'made')!r}, 'w')")
    config = json.loads((folder / "config.json").read_text())
    of_its_own = {"auto_map": {"AutoConfig": "own.Config", "AutoModelForImageClassification": "own.Model"}}
    (folder / "config.json").write_text(json.dumps(config | of_its_own | {"model_type": "own"}))
    with pytest.raises(CheckpointError, match="transformers cannot load"):
        opened(folder)
    assert not (tmp_path / "made").exists()


def test_the_hub_s_cache_is_enough_and_without_it_an_error_comes_at_once(folders, monkeypatch):
    cache = {"org/vit": folders["vit"]}

    def download(name, local_files_only=False, **_):
        if name in cache:
            return str(cache[name])
        assert local_files_only or is_offline_mode(), "the client would try again for half a minute"
        raise LocalEntryNotFoundError("not in the cache")

    class Session:
        def head(self, url, timeout):
            raise OSError("Name or service not known")

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    monkeypatch.setattr("workbook.models.hub.get_session", Session)
    model = from_huggingface("hf/org/vit")
    assert model.name == "hf/org/vit" and model.spec == from_huggingface(str(folders["vit"])).spec
    cache["org/half"] = folders["vit"].parent  # its weights were not fetched
    with pytest.raises(CheckpointError, match="hf/org/half is not in the hub's cache"):
        from_huggingface("hf/org/half")
    with pytest.raises(CheckpointError, match="hf/org/other is not in the hub's cache.*Name or service not known"):
        from_huggingface("hf/org/other")


def test_without_transformers_its_name_is_told(folders, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    with pytest.raises(CheckpointError, match=r"pip install 'transferability-workbook\[hf\]'"):
        from_huggingface(str(folders["vit"]))
