"""Files as they come in real life: each layout gives the very weights that are in it, or a reason."""

import re
import struct
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file

from tests.models.layouts import OF_RESNET, OF_VIT, others, timm_script, under, vissl
from workbook.errors import CheckpointError
from workbook.models.backbones import create_backbone
from workbook.models.checkpoints import from_checkpoint
from workbook.models.weight_files import read_weights

VIT = "test_vit"  # timm's smallest


@pytest.fixture(scope="module")
def resnet() -> dict[str, torch.Tensor]:
    """A narrow one with the names of torchvision's, a classifier, and statistics that no fresh model has."""
    torch.manual_seed(5)
    weights = create_backbone("narrow_resnet", image_size=32).model.state_dict() | {"fc.weight": torch.ones(10, 1024)}
    return {name: tensor + (tensor.is_floating_point() and "running" in name) for name, tensor in weights.items()}


@pytest.fixture(scope="module")
def vit() -> dict[str, torch.Tensor]:
    torch.manual_seed(5)
    return dict(timm.create_model(VIT, num_classes=10).state_dict())


def save(folder: Path, content, name="checkpoint.pth") -> Path:
    torch.save(content, folder / name)
    return folder / name


def load(path: Path, **how):
    return from_checkpoint(path, "narrow_resnet", image_size=32, **how)


def load_vit(path: Path, **how):
    return from_checkpoint(path, VIT, **how)


def assert_holds(model, weights):
    for name, tensor in model.backbone.model.state_dict().items():
        assert torch.equal(tensor, weights[name]), name


@pytest.mark.parametrize("layout", OF_RESNET)
def test_the_weights_of_a_resnet_are_found(tmp_path, resnet, layout):
    write, how = OF_RESNET[layout]
    assert_holds(load(save(tmp_path, write(resnet)), **how), resnet)


@pytest.mark.parametrize("layout", OF_VIT)
def test_the_weights_of_a_vit_are_found(tmp_path, vit, layout):
    write, how = OF_VIT[layout]
    assert_holds(from_checkpoint(save(tmp_path, write(vit)), VIT, **how), vit)


OF_ALL = {("resnet", name) for name in OF_RESNET} | {("vit", name) for name in OF_VIT}
CLASSIFIED = {
    ("resnet", "ImageNet example"), ("resnet", "VISSL"), ("resnet", "timm's script"), ("resnet", "Lightning"),
    ("resnet", "solo-learn"), ("resnet", "torch.compile"), ("resnet", "wrapped within"), ("resnet", "SWA"),
    ("resnet", "pytorch-cifar"), ("resnet", "a queue beside"), ("resnet", "torchvision"), ("resnet", "DeepSpeed"),
    ("vit", "DINO"), ("vit", "MAE"), ("vit", "DeiT"), ("vit", "timm"), ("vit", "OpenMMLab"),
}  # fmt: skip


@pytest.mark.parametrize(("kind", "layout"), sorted(OF_ALL))
def test_a_classifier_is_kept_and_a_projection_is_none(tmp_path, resnet, vit, kind, layout):
    """A projection that is one layer, as MoCo v1's, stands in both encoders."""
    weights, (write, how) = (resnet, OF_RESNET[layout]) if kind == "resnet" else (vit, OF_VIT[layout])
    model = (load if kind == "resnet" else load_vit)(save(tmp_path, write(weights)), **how)
    assert (model.head is not None) == ((kind, layout) in CLASSIFIED), model.notes
    if model.head is not None:
        assert model.head.out_features == 10
        assert any(note.startswith("kept as the head") for note in model.notes)


@pytest.mark.parametrize("layout", sorted(name for name, (_, how) in OF_RESNET.items() if how))
def test_where_several_fit_the_message_names_the_way(tmp_path, resnet, layout):
    write, how = OF_RESNET[layout]
    ((option, value),) = how.items()
    with pytest.raises(CheckpointError, match=f"choose one .*{option}: .*{re.escape(value)}"):
        load(save(tmp_path, write(resnet)))


def test_one_module_under_two_names_is_one(tmp_path, resnet):
    assert_holds(load(save(tmp_path, under("net.", resnet) | under("online_encoder.net.", resnet))), resnet)


def test_a_head_of_another_width_or_that_is_not_finite_is_left(tmp_path, resnet):
    for weight in (
        torch.ones(10, 512),
        torch.full((10, 1024), torch.nan),
        torch.ones(10, 1024, 3, 3),
        torch.ones(1, 1024),
    ):
        model = load(save(tmp_path, resnet | {"fc.weight": weight}))
        assert model.head is None and "not used: 1 other entries (fc.weight)" in model.notes
    model = load(save(tmp_path, resnet | {"fc.weight": torch.ones(10, 1024, 1, 1), "fc.bias": torch.ones(10)}))
    assert torch.equal(model.logits(torch.ones(1, 1024)), torch.full((1, 10), 1025.0))


def test_the_way_to_the_weights_is_told_and_may_be_given(tmp_path, resnet):
    path, way = save(tmp_path, vissl(resnet)), "classy_state_dict.base_model.model.trunk"
    notes = load(path).notes
    assert f'they are its part "{way}"' in notes and '"_feature_blocks." stands before their names' in notes
    assert load(path, part=way).digest == load(path, part="classy_state_dict.base_model").digest == load(path).digest
    with pytest.raises(CheckpointError, match="no part 'train'.*it has .*base_model.model.trunk"):
        load(path, part="train")


def test_two_that_fit_have_to_be_chosen_from_and_halves_are_not_offered(tmp_path, resnet):
    with pytest.raises(CheckpointError, match="choose one as part: state_dict, state_dict_ema"):
        load(save(tmp_path, timm_script(resnet)))
    half = dict(list(others(resnet).items())[:30])
    content = under("encoder_q.", resnet) | under("encoder_k.", half)
    assert_holds(load(save(tmp_path, content)), resnet)
    content = under("a.", half) | under("b.", half)
    with pytest.raises(CheckpointError, match="no whole narrow_resnet: .* weights are missing"):
        load(save(tmp_path, content))


def test_names_that_are_wrapped_and_not_are_two_models(tmp_path, resnet):
    path = save(tmp_path, resnet | under("_orig_mod.", others(resnet)))
    with pytest.raises(CheckpointError, match='choose one by its prefix: "", _orig_mod.'):
        load(path)
    assert_holds(load(path, prefix=""), resnet)
    assert_holds(load(path, prefix="_orig_mod."), others(resnet))
    assert_holds(load(save(tmp_path, under("module._orig_mod.", resnet)), prefix="module._orig_mod."), resnet)


def test_a_larger_network_is_not_cut_to_a_smaller(tmp_path):
    """All names and shapes of ResNet-18 are in a ResNet-34, and of a ViT in one with layer scale."""
    own, deeper = (
        make(num_classes=10).state_dict() for make in (torchvision.models.resnet18, torchvision.models.resnet34)
    )
    assert_holds(from_checkpoint(save(tmp_path, own), "resnet18", image_size=32), own)
    with pytest.raises(CheckpointError, match=r"a larger model than resnet18.*\d+ weights that it has not \(layer1.2"):
        from_checkpoint(save(tmp_path, deeper), "resnet18", image_size=32)
    scaled = dict(timm.create_model(VIT).state_dict()) | {"blocks.0.ls1.gamma2": torch.ones(64)}
    with pytest.raises(CheckpointError, match="a larger model than test_vit"):
        from_checkpoint(save(tmp_path, scaled), VIT)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_floats_of_other_widths_are_read_and_told(tmp_path, vit, dtype):
    content = {name: tensor.to(dtype) if tensor.is_floating_point() else tensor for name, tensor in vit.items()}
    model = load_vit(save(tmp_path, content))
    assert_holds(model, {name: tensor.to(vit[name].dtype) for name, tensor in content.items()})
    assert f"they came as {dtype}" in model.notes


def _quantised(tensor):
    return torch.quantize_per_tensor(tensor, 0.1, 0, torch.qint8)


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (lambda t: (10 * t).to(torch.int8), "torch.int8, strided"),
        (lambda t: t > 0, "torch.bool, strided"),
        (lambda t: t.to(torch.complex64), "torch.complex64, strided"),
        (lambda t: t.to(torch.float8_e4m3fn), "torch.float8_e4m3fn, strided"),
        (_quantised, "torch.qint8, strided"),
        (lambda t: t.to_sparse(), "torch.float32, sparse_coo"),
        (lambda t: t.to("meta"), "a meta tensor, without values"),
    ],
)
def test_other_kinds_of_numbers_are_refused_by_name(tmp_path, vit, made, told):
    path = save(tmp_path, vit | {"blocks.0.attn.proj.weight": made(vit["blocks.0.attn.proj.weight"])})
    with pytest.raises(
        CheckpointError, match=f"blocks.0.attn.proj.weight must be a plain array of floating.*got {told}"
    ):
        load_vit(path)


def test_what_is_not_finite_as_the_model_has_it_is_refused(tmp_path, vit):
    content = {name: tensor.double() if tensor.is_floating_point() else tensor for name, tensor in vit.items()}
    content["norm.weight"][3] = 1e300
    with pytest.raises(CheckpointError, match=r"1 values of norm.weight are not finite as torch.float32"):
        load_vit(save(tmp_path, content))


def test_a_vast_tensor_that_is_no_weight_costs_nothing(tmp_path, vit):
    load_vit(save(tmp_path, vit | {"vast": torch.zeros(1).expand(10**13)}))


def test_averaged_counters_are_as_good_as_none(tmp_path, resnet):
    content = {name: tensor + 0.5 if "num_batches" in name else tensor for name, tensor in resnet.items()}
    assert "not in the file: 13 step counters of batch norm" in load(save(tmp_path, content)).notes


def test_safetensors_is_told_by_its_form(tmp_path, vit):
    """The length of a header may begin as a zip archive ("P") or a pickle does."""
    for first in (b"P", b"\x80"):
        path = tmp_path / "model.pth"
        save_file({name: tensor.contiguous() for name, tensor in vit.items()}, path)
        whole = path.read_bytes()
        (length,) = struct.unpack("<Q", whole[:8])
        longer = length + (first[0] - length) % 256
        path.write_bytes(struct.pack("<Q", longer) + whole[8 : 8 + length].ljust(longer) + whole[8 + length :])
        assert path.read_bytes()[:1] == first
        assert_holds(load_vit(path), vit)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 4\n", "a pointer of Git LFS.*git lfs pull"),
        (b"\n<!DOCTYPE html><html>429</html>", "a page of HTML"),
        (b'{"metadata": {"total_size": 1}, "weight_map": {}}', "is JSON"),
        (b"\x89HDF\r\n\x1a\n and more", "an HDF5 file"),
        (b"\x1f\x8b\x08 packed", "packed by gzip"),
        (b"", "is empty"),
        (b"12345678{not a header", "not a whole safetensors file"),
        (b"a line of text that is long enough", "neither a whole safetensors file nor"),
    ],
)
def test_what_is_no_checkpoint_is_called_what_it_is(tmp_path, content, told):
    (tmp_path / "model.pth").write_bytes(content)
    with pytest.raises(CheckpointError, match=told):
        read_weights(tmp_path / "model.pth")


def test_archives_and_folders_are_called_what_they_are(tmp_path):
    np.savez(tmp_path / "numbers.pth", a=np.ones(2))
    with pytest.raises(CheckpointError, match="No such file"):
        read_weights(tmp_path / "numbers.pth")
    with pytest.raises(CheckpointError, match="an archive that torch.save did not write"):
        read_weights(tmp_path / "numbers.pth.npz")
    traced = torch.jit.trace(torch.nn.Linear(2, 2), torch.ones(1, 2))
    traced.save(str(tmp_path / "traced.pt"))
    with pytest.raises(CheckpointError, match="a TorchScript archive"):
        read_weights(tmp_path / "traced.pt")
    (tmp_path / "hub").mkdir()
    (tmp_path / "hub" / "config.json").write_text("{}")
    (tmp_path / "hub" / "model.safetensors").write_text("")
    with pytest.raises(CheckpointError, match=r"is a folder: name the file.*\(model.safetensors\)"):
        read_weights(tmp_path / "hub")


def test_files_made_to_be_searched_for_ever_end(tmp_path):
    ring: dict = {}
    ring["again"] = ring
    with pytest.raises(CheckpointError, match="has no weights"):
        read_weights(save(tmp_path, ring))
    bomb: list = [1]
    for _ in range(15):
        bomb = [bomb] * 3
    with pytest.raises(CheckpointError, match="more than 50,000 entries"):
        read_weights(save(tmp_path, {"bomb": bomb}))
