import shutil
import textwrap
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from tests.conftest import make_images
from tests.pretraining.small import FEW, PROJECTOR
from tests.pretraining.test_loop import RECIPE, same, weights
from tests.pretraining.test_ranks import launch
from workbook.errors import CheckpointError
from workbook.keys import key_of
from workbook.lab import Lab
from workbook.pretraining.heads import Centroids
from workbook.pretraining.loop import pretrain
from workbook.pretraining.recipe import with_method
from workbook.pretraining.runs import Run, train
from workbook.pretraining.starts import FileStart, RunStart, file_start
from workbook.pretraining.supervised import CrossEntropy
from workbook.store import Store


@pytest.fixture(scope="module")
def lab(tmp_path_factory, fabric) -> Lab:
    return Lab(Store(tmp_path_factory.mktemp("store")), fabric)


@pytest.fixture(scope="module")
def first(lab) -> Run:
    """A run with a projector, to start from."""
    return train(replace(FEW, projector=PROJECTOR), lab)


def backbone_of(run: Run, epoch: int | None = None) -> dict[str, torch.Tensor]:
    return run.model(epoch).backbone.state_dict()


@pytest.mark.parametrize("epoch", [0, 1])
def test_the_weights_of_a_run_arrive_bit_for_bit(first, lab, epoch):
    run = train(replace(FEW, start=first.start(epoch), seed=5), lab)
    assert same(backbone_of(run, 0), backbone_of(first, epoch))
    assert not same(backbone_of(run, 1), backbone_of(first, epoch))
    assert not any(name.startswith("projector") for name in run.model(0).state_dict())
    again = train(replace(FEW, start=first.start(epoch), seed=5), lab)
    assert again.stored


def test_the_weights_of_a_file_arrive_and_its_place_is_no_part_of_the_key(first, lab, tmp_path):
    original = first.artefact.file("epoch_0001.safetensors")
    copy = tmp_path / "copy.safetensors"
    shutil.copy(original, copy)
    how = {"image_size": 8, "small_stem": True, "prefix": "backbone.model."}
    here, there = (replace(FEW, start=file_start(path, "narrow_resnet", **how)) for path in (original, copy))
    assert here == there and key_of({"recipe": here}) == key_of({"recipe": there})
    run = train(there, lab)
    assert same(backbone_of(run, 0), backbone_of(first, 1))
    copy.unlink()
    assert train(there, lab).stored, "a finished run needs its start no more"


def test_a_start_that_cannot_be_had_is_refused_before_anything_is_trained(first, fabric, lab, tmp_path):
    store = Store(tmp_path / "empty")
    start = first.start()
    with pytest.raises(CheckpointError, match=f"has no run {start.run}: train it first"):
        train(replace(FEW, start=start), Lab(store, fabric))
    with pytest.raises(CheckpointError, match="cannot start a resnet18 with small_stem=True: give the recipe"):
        train(replace(FEW, backbone="resnet18", start=start), lab)
    with pytest.raises(CheckpointError, match=r"no checkpoint of epoch 7: start from one of \[0, 1\]"):
        train(replace(FEW, start=RunStart(run=start.run, epoch=7)), lab)
    path = str(first.artefact.file("epoch_0001.safetensors"))
    other = FileStart(digest="0" * 32, path=path, prefix="backbone.model.")
    with pytest.raises(CheckpointError, match="are not those that the recipe names.*make the start anew"):
        train(replace(FEW, start=other), lab)
    with pytest.raises(CheckpointError, match="cannot read .*missing"):
        train(replace(FEW, start=replace(other, path="/missing.pth")), lab)
    assert not store.artefacts() and not list(store.root.glob("partial/*/*"))
    with pytest.raises(ValueError, match="its weights did not come"):
        pretrain(replace(FEW, start=start), make_images(), tmp_path, fabric)


def test_a_masked_autoencoder_starts_a_transformer_with_all_that_its_recipe_has(lab):
    vit = replace(FEW, backbone="tiny_vit", image_size=8)
    mae = train(with_method(vit, "MAE"), lab)
    recipe = replace(
        vit,
        start=mae.start(),
        objective=CrossEntropy(smoothing=0.1, mixup=0.8, cutmix=1.0, head=Centroids()),
        augmentation=replace(vit.augmentation, policy="rand-m9", erase=0.25),
        optimizer="adamw",
        layer_decay=0.65,
        drop_path=0.1,
    )
    run = train(recipe, lab)
    assert same(backbone_of(run, 0), backbone_of(mae))
    assert run.history["loss"].notna().all()
    moved = {n: (v - backbone_of(mae)[n]).abs().mean() for n, v in backbone_of(run).items() if n.endswith("qkv.weight")}
    assert list(moved.values()) == sorted(moved.values()), "early blocks move less"


def test_a_start_is_kept_through_the_loop_s_own_seeding(tmp_path, fabric):
    """The same backbone under two seeds: only the head differs before the first step."""
    pretrain(replace(RECIPE, epochs=1, checkpoint_epochs=()), make_images(), tmp_path, fabric)
    stored = load_file(tmp_path / "epoch_0001.safetensors")
    prefix = "backbone.model."
    backbone = {name.removeprefix(prefix): value for name, value in stored.items() if name.startswith(prefix)}
    starts = []
    for seed in (1, 2):
        folder = tmp_path / str(seed)
        folder.mkdir()
        recipe = replace(RECIPE, epochs=1, seed=seed, projector=None, checkpoint_epochs=(0,))
        pretrain(recipe, make_images(), folder, fabric, backbone=backbone)
        starts.append(weights(folder, 0))
    assert {name for name in starts[0] if not torch.equal(starts[0][name], starts[1][name])} == {
        "head.weight",
        "head.bias",
    }


def test_two_processes_finetune_one_run(tmp_path, fabric):
    """Head and average begin as with one process, and both processes go on with the same weights."""
    script = tmp_path / "finetune.py"
    script.write_text(
        textwrap.dedent(
            f"""
            from dataclasses import replace
            import torch
            import workbook.pretraining.loop as loop
            from tests.pretraining.test_starts import FEW
            from workbook.devices import make_fabric
            from workbook.lab import Lab
            from workbook.pretraining.heads import Centroids
            from workbook.pretraining.runs import train
            from workbook.pretraining.supervised import CrossEntropy
            from workbook.store import Store

            fabric = make_fabric("cpu", "float32")
            lab = Lab(Store({str(tmp_path / "store")!r}), fabric)
            first = train(FEW, lab)
            seen, create = [], loop.create_model
            loop.create_model = lambda *args: seen.append(create(*args)) or seen[-1]
            objective = CrossEntropy(smoothing=0.1, mixup=0.8, head=Centroids())
            augmentation = replace(FEW.augmentation, policy="autoaugment", cutout=0.5)
            recipe = replace(FEW, objective=objective, augmentation=augmentation, start=first.start(), ema=0.9)
            run = train(recipe, lab)
            for name, value in seen[0].state_dict().items():
                if "running" not in name:
                    both = fabric.all_gather(value)
                    assert torch.equal(both[0], both[1]), name
            """
        )
    )
    launch(script)
    store = Store(tmp_path / "store")
    # not by their order: both may be of one second
    first, finetuned = sorted(store.artefacts(), key=lambda run: bool(run.spec["recipe"].get("start")))
    recipe = replace(FEW, start=RunStart(run=first.key, epoch=1), objective=CrossEntropy(head=Centroids()))
    alone = train(recipe, Lab(store, fabric))
    assert same(alone.model(0).state_dict(), load_file(finetuned.file("epoch_0000.safetensors")))
