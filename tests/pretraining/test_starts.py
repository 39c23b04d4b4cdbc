import shutil
import textwrap
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from tests.conftest import make_images
from tests.pretraining.small import DIGITS, PROJECTOR
from tests.pretraining.test_loop import RECIPE, StopAfter, run_twice, same, weights
from workbook.errors import CheckpointError
from workbook.pretraining.loop import pretrain
from workbook.pretraining.recipe import with_method
from workbook.pretraining.runs import Run, pretraining_images, train
from workbook.pretraining.starts import FileStart, RunStart, file_start
from workbook.pretraining.supervised import Centroids, CrossEntropy
from workbook.store import Store, key_of

FEW = replace(DIGITS, images_per_class=4, epochs=1, batch_size=16)


@pytest.fixture(scope="module")
def shared(tmp_path_factory) -> Store:
    return Store(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def first(shared, fabric) -> Run:
    """A run with a projector, to start from."""
    return train(replace(FEW, projector=PROJECTOR), shared, fabric)


def backbone_of(run: Run, epoch: int | None = None) -> dict[str, torch.Tensor]:
    return run.method(epoch).backbone.state_dict()


@pytest.mark.parametrize("epoch", [0, 1])
def test_the_weights_of_a_run_arrive_bit_for_bit(first, shared, fabric, epoch):
    run = train(replace(FEW, start=first.start(epoch), seed=5), shared, fabric)
    assert same(backbone_of(run, 0), backbone_of(first, epoch))
    assert not same(backbone_of(run, 1), backbone_of(first, epoch))
    assert not any(name.startswith("projector") for name in run.method(0).state_dict())
    again = train(replace(FEW, start=first.start(epoch), seed=5), shared, fabric)
    assert again.stored


def test_the_weights_of_a_file_arrive_and_its_place_is_no_part_of_the_key(first, shared, fabric, tmp_path):
    original = first.artefact.file("epoch_0001.safetensors")
    copy = tmp_path / "copy.safetensors"
    shutil.copy(original, copy)
    how = {"image_size": 8, "small_stem": True, "prefix": "backbone.model."}
    here, there = (replace(FEW, start=file_start(path, "narrow_resnet", **how)) for path in (original, copy))
    assert here == there and key_of({"recipe": here}) == key_of({"recipe": there})
    run = train(there, shared, fabric)
    assert same(backbone_of(run, 0), backbone_of(first, 1))
    copy.unlink()
    assert train(there, shared, fabric).stored, "a finished run needs its start no more"


def test_a_start_that_cannot_be_had_is_refused_before_anything_is_trained(first, fabric, shared, tmp_path):
    store = Store(tmp_path / "empty")
    start = first.start()
    with pytest.raises(CheckpointError, match=f"has no run {start.run} to start from: train it first"):
        train(replace(FEW, start=start), store, fabric)
    with pytest.raises(CheckpointError, match="cannot start a resnet18 with small_stem=True: give the recipe"):
        train(replace(FEW, backbone="resnet18", start=start), shared, fabric)
    with pytest.raises(CheckpointError, match=r"no checkpoint of epoch 7: start from one of \[0, 1\]"):
        train(replace(FEW, start=RunStart(run=start.run, epoch=7)), shared, fabric)
    path = str(first.artefact.file("epoch_0001.safetensors"))
    other = FileStart(digest="0" * 32, path=path, prefix="backbone.model.")
    with pytest.raises(CheckpointError, match="are not those that the recipe names.*make the start anew"):
        train(replace(FEW, start=other), shared, fabric)
    with pytest.raises(CheckpointError, match="cannot read .*missing"):
        train(replace(FEW, start=replace(other, path="/missing.pth")), shared, fabric)
    assert not store.artefacts() and not list(store.root.glob("partial/*/*"))
    with pytest.raises(ValueError, match="its weights did not come"):
        pretrain(replace(FEW, start=start), make_images(), tmp_path, fabric)


def test_a_masked_autoencoder_starts_a_transformer_with_all_that_its_recipe_has(shared, fabric):
    vit = replace(FEW, backbone="tiny_vit", image_size=8)
    mae = train(with_method(vit, "MAE"), shared, fabric)
    recipe = replace(
        vit,
        start=mae.start(),
        objective=CrossEntropy(smoothing=0.1, mixup=0.8, cutmix=1.0, head=Centroids()),
        augmentation=replace(vit.augmentation, policy="randaugment", erase=0.25),
        optimizer="adamw",
        layer_decay=0.65,
        drop_path=0.1,
    )
    run = train(recipe, shared, fabric)
    assert same(backbone_of(run, 0), backbone_of(mae))
    assert run.history["loss"].notna().all()
    moved = {n: (v - backbone_of(mae)[n]).abs().mean() for n, v in backbone_of(run).items() if n.endswith("qkv.weight")}
    assert list(moved.values()) == sorted(moved.values()), "early blocks move less"


def test_images_are_the_same_draw_for_every_method_and_seed():
    recipe = replace(FEW, images_per_class=None, images=100)
    images = pretraining_images(recipe)
    assert len(images) == 100 and len(set(images.labels)) == 10
    for other in (
        with_method(recipe, "SimCLR"),
        replace(recipe, seed=3),
        replace(recipe, start=RunStart(run="", epoch=0)),
    ):
        assert pretraining_images(other).digest == images.digest


EMA = replace(RECIPE, ema=0.6, batch_size=64, checkpoint_epochs=(0, 1, 2), warmup_epochs=0)


def test_the_moving_average_by_hand(tmp_path, fabric):
    """One step an epoch: the averages of the weights that the same recipe without an average saves."""
    for name, recipe in (("averaged", EMA), ("plain", replace(EMA, ema=None))):
        (tmp_path / name).mkdir()
        pretrain(recipe, make_images(), tmp_path / name, fabric)
    averages, plain = ([weights(tmp_path / name, e) for e in range(4)] for name in ("averaged", "plain"))
    assert same(averages[0], plain[0])
    expected = plain[1]
    assert same(averages[1], expected), "at first the decay is 0"
    for epoch, decay in ((2, 1 - 2 ** (-2 / 3)), (3, 1 - 3 ** (-2 / 3))):
        assert decay < 0.6
        expected = {
            name: decay * expected[name] + (1 - decay) * new if new.is_floating_point() else new
            for name, new in plain[epoch].items()
        }
        for name, value in expected.items():
            torch.testing.assert_close(averages[epoch][name], value, msg=name)
    assert not same(averages[3], plain[3])


def test_the_decay_grows_no_further_than_it_says(tmp_path, fabric):
    """With a decay of 0.2 the third average is 0.2 of the second, as 1 - 3^(-2/3) = 0.52 is beyond it."""
    pretrain(replace(EMA, ema=0.2), make_images(), tmp_path, fabric)
    plain = tmp_path / "plain"
    plain.mkdir()
    pretrain(replace(EMA, ema=None), make_images(), plain, fabric)
    name = "head.weight"
    expected = 0.2 * weights(tmp_path, 2)[name] + 0.8 * weights(plain, 3)[name]
    torch.testing.assert_close(weights(tmp_path, 3)[name], expected)


def test_an_interrupted_average_ends_as_an_uninterrupted_one(tmp_path, fabric, monkeypatch):
    recipe = replace(EMA, batch_size=16, objective=CrossEntropy(head=Centroids()), projector=None)
    for name in ("whole", "parts"):
        (tmp_path / name).mkdir()
    pretrain(recipe, make_images(), tmp_path / "whole", fabric)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        StopAfter(patch, 6)
        pretrain(recipe, make_images(), tmp_path / "parts", fabric)
    pretrain(recipe, make_images(), tmp_path / "parts", fabric)
    assert all(same(weights(tmp_path / "whole", epoch), weights(tmp_path / "parts", epoch)) for epoch in range(4))


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
            from workbook.pretraining.runs import train
            from workbook.pretraining.supervised import Centroids, CrossEntropy
            from workbook.store import Store

            fabric = make_fabric("cpu")
            store = Store({str(tmp_path / "store")!r})
            first = train(FEW, store, fabric)
            seen, create = [], loop.create_method
            loop.create_method = lambda *args: seen.append(create(*args)) or seen[-1]
            objective = CrossEntropy(smoothing=0.1, mixup=0.8, head=Centroids())
            augmentation = replace(FEW.augmentation, policy="autoaugment", cutout=0.5)
            recipe = replace(FEW, objective=objective, augmentation=augmentation, start=first.start(), ema=0.9)
            run = train(recipe, store, fabric)
            for name, value in seen[0].state_dict().items():
                if "running" not in name:
                    both = fabric.all_gather(value)
                    assert torch.equal(both[0], both[1]), name
            """
        )
    )
    run_twice(script, port=29613)
    store = Store(tmp_path / "store")
    # not by their order: both may be of one second
    first, finetuned = sorted(store.artefacts(), key=lambda run: bool(run.spec["recipe"].get("start")))
    recipe = replace(FEW, start=RunStart(run=first.key, epoch=1), objective=CrossEntropy(head=Centroids()))
    alone = train(recipe, store, fabric)
    assert same(alone.method(0).state_dict(), load_file(finetuned.file("epoch_0000.safetensors")))
