import math
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from tests.conftest import make_images
from workbook.errors import CorruptArtefactError, DivergedError
from workbook.pretraining import loop, resume
from workbook.pretraining.heads import Centroids
from workbook.pretraining.loop import learning_rate, pretrain
from workbook.pretraining.recipe import Recipe, with_method
from workbook.pretraining.supervised import CrossEntropy

RECIPE = with_method(
    Recipe(
        dataset="squares",
        side=None,
        image_size=16,
        backbone="narrow_resnet",
        small_stem=True,
        epochs=3,
        checkpoint_epochs=(0, 1),
        batch_size=16,
        warmup_epochs=1,
    ),
    "SL-MLP",
)
ROOT = Path(__file__).parents[2]


def weights(folder: Path, epoch: int = 3) -> dict[str, torch.Tensor]:
    return load_file(folder / f"epoch_{epoch:04d}.safetensors")


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture(autouse=True)
def every_epoch_is_kept(monkeypatch):
    monkeypatch.setattr(loop, "RESUME_SECONDS", 0.0)


@pytest.fixture(scope="module")
def whole(tmp_path_factory, fabric) -> Path:
    """The folder of an uninterrupted run."""
    folder = tmp_path_factory.mktemp("whole")
    pretrain(RECIPE, make_images(), folder, fabric)
    return folder


def test_it_leaves_checkpoints_and_history(whole):
    assert {path.name for path in whole.iterdir()} == {
        "epoch_0000.safetensors",
        "epoch_0001.safetensors",
        "epoch_0003.safetensors",
        "history.json",
    }
    history = pd.read_json(whole / "history.json", orient="records")
    assert list(history.columns) == ["epoch", "loss", "accuracy", "lr", "images_per_second", "seconds"]
    assert list(history["epoch"]) == [1, 2, 3]
    assert history["loss"].iloc[-1] < history["loss"].iloc[0]


def test_the_same_recipe_gives_the_same_bits(whole, tmp_path, fabric):
    pretrain(RECIPE, make_images(), tmp_path, fabric)
    assert all(same(weights(whole, epoch), weights(tmp_path, epoch)) for epoch in (0, 1, 3))


def test_another_seed_gives_other_weights_from_the_start(whole, tmp_path, fabric):
    pretrain(replace(RECIPE, seed=1), make_images(), tmp_path, fabric)
    assert not same(weights(whole, 0), weights(tmp_path, 0))


def test_the_global_generator_is_left_as_it_was(tmp_path, fabric):
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    pretrain(replace(RECIPE, epochs=1), make_images(), tmp_path, fabric)
    assert torch.equal(torch.rand(3), expected)


class StopAfter:
    """Decorates the source of batches: raises KeyboardInterrupt after some of them."""

    def __init__(self, monkeypatch, batches: int, kind: type = loop.MemoryBatches) -> None:
        original = kind.batches
        left = [batches]

        def stopping(source, order, seed):
            for batch in original(source, order, seed):
                if left[0] == 0:
                    raise KeyboardInterrupt
                left[0] -= 1
                yield batch

        monkeypatch.setattr(kind, "batches", stopping)


@pytest.mark.parametrize("batches", [0, 2, 4, 7, 11])
def test_an_interrupted_run_ends_as_an_uninterrupted_one(whole, tmp_path, fabric, monkeypatch, batches):
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        StopAfter(patch, batches)
        pretrain(RECIPE, make_images(), tmp_path, fabric)
    pretrain(RECIPE, make_images(), tmp_path, fabric)
    assert all(same(weights(whole, epoch), weights(tmp_path, epoch)) for epoch in (0, 1, 3))
    columns = ["epoch", "loss", "accuracy", "lr"]
    histories = [pd.read_json(f / "history.json", orient="records")[columns] for f in (whole, tmp_path)]
    pd.testing.assert_frame_equal(*histories)


def test_a_run_that_goes_on_elsewhere_is_stepped_as_that_device_does(whole, tmp_path, fabric, monkeypatch):
    """Interrupted where a rate is a number on the device, as for replayed steps; there a rate in Python would stand."""
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        make = loop.create_optimizer
        patch.setattr(loop, "create_optimizer", lambda *given, **how: make(*given, **how | {"recorded": True}))
        StopAfter(patch, 7)
        pretrain(RECIPE, make_images(), tmp_path, fabric)
    resumed, load = [], loop._resume
    monkeypatch.setattr(loop, "_resume", lambda folder, training: resumed.append(training) or load(folder, training))
    pretrain(RECIPE, make_images(), tmp_path, fabric)
    (group,) = resumed[0].optimizer.param_groups
    assert isinstance(group["lr"], float) and not group["fused"]
    for name, value in weights(whole).items():
        torch.testing.assert_close(weights(tmp_path)[name], value, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["BYOL", "MoCo v2", "SwAV", "DINO w/o MLP"])
def test_targets_queues_and_centres_resume_too(tmp_path, fabric, monkeypatch, name):
    """Two epochs of four, then the rest: the same bits, all of the model's state included."""
    base = replace(RECIPE, epochs=4, checkpoint_epochs=(), batch_size=16)
    recipe = with_method(base, name)
    small = {"MoCo v2": {"queue": 24}, "SwAV": {"queue": 24, "queue_from": 0.3, "prototypes": 10, "local_count": 1}}
    small |= {"BYOL": {"predictor_dim": 16}, "DINO w/o MLP": {"outputs": 20, "local_count": 1, "frozen_epochs": 2.5}}
    recipe = replace(recipe, objective=replace(recipe.objective, **small[name]))
    folders = {part: tmp_path / part for part in ("whole", "resumed")}
    for folder in folders.values():
        folder.mkdir()
    pretrain(recipe, make_images(), folders["whole"], fabric)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        StopAfter(patch, 10)
        pretrain(recipe, make_images(), folders["resumed"], fabric)
    pretrain(recipe, make_images(), folders["resumed"], fabric)
    assert same(weights(folders["whole"], 4), weights(folders["resumed"], 4))
    columns = ["epoch", "loss", "lr", "spread"]
    histories = [pd.read_json(f / "history.json", orient="records")[columns] for f in folders.values()]
    pd.testing.assert_frame_equal(*histories)


@pytest.mark.parametrize("name", ["BYOL", "SwAV"])
def test_large_images_have_as_many_views(tmp_path, fabric, name):
    recipe = with_method(replace(RECIPE, epochs=1, checkpoint_epochs=()), name)
    if name == "SwAV":
        recipe = replace(recipe, objective=replace(recipe.objective, queue=0, local_count=2))
    pretrain(recipe, make_images(image_size=None, size=24), tmp_path, fabric)
    history = pd.read_json(tmp_path / "history.json", orient="records")
    assert history["spread"].iloc[0] > 0.1 and history["accuracy"].isna().all()


def test_large_images_resume_too(tmp_path, fabric, monkeypatch):
    recipe = with_method(replace(RECIPE, epochs=2, checkpoint_epochs=()), "SimCLR")
    images = make_images(image_size=None, size=24)
    folders = [tmp_path / "whole", tmp_path / "resumed"]
    for folder in folders:
        folder.mkdir()
    pretrain(recipe, images, folders[0], fabric)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        StopAfter(patch, 5, loop.WorkerBatches)
        pretrain(recipe, images, folders[1], fabric)
    pretrain(recipe, images, folders[1], fabric)
    assert same(*(weights(folder, 2) for folder in folders))


def test_a_method_that_cannot_train_on_these_images_says_so_first(tmp_path, fabric):
    recipe = with_method(RECIPE, "MoCo v2")
    with pytest.raises(ValueError, match="queue of 256 keys is larger than the 64 images"):
        pretrain(recipe, make_images(), tmp_path, fabric)
    assert not list(tmp_path.iterdir())


def test_killed_for_real_it_resumes(whole, tmp_path, fabric):
    script = textwrap.dedent(
        f"""
        import time
        from pathlib import Path
        from tests.conftest import make_images
        from tests.pretraining.test_loop import RECIPE
        from workbook.devices import make_fabric
        from workbook.pretraining import loop

        loop.RESUME_SECONDS = 0.0
        save = loop._save_resume

        def save_slowly(*args):
            save(*args)
            time.sleep(1)  # time to be killed in

        loop._save_resume = save_slowly
        loop.pretrain(RECIPE, make_images(), Path({str(tmp_path)!r}), make_fabric("cpu", "float32"))
        """
    )
    process = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT)
    waited = time.monotonic()
    while not (tmp_path / "resume.pt").exists() and time.monotonic() - waited < 120:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / "history.json").exists()
    pretrain(RECIPE, make_images(), tmp_path, fabric)
    assert same(weights(whole), weights(tmp_path))


def test_the_state_is_kept_when_its_time_has_come_and_no_sooner(tmp_path, fabric, monkeypatch):
    """An epoch of 40 s each: after the second, but not after the first; the third ends the run."""
    kept, clock = [], iter(range(0, 400, 40))
    monkeypatch.setattr(loop, "RESUME_SECONDS", 60.0)
    # the module's own, as threads and libraries ask the clock, too
    monkeypatch.setattr(loop, "time", SimpleNamespace(monotonic=lambda: next(clock), perf_counter=time.perf_counter))
    monkeypatch.setattr(loop, "_save_resume", lambda folder, training, history: kept.append(len(history)))
    pretrain(RECIPE, make_images(), tmp_path, fabric)
    assert kept == [2]


def test_the_training_goes_on_while_the_state_is_written(tmp_path, fabric, monkeypatch, whole):
    began, epochs = threading.Event(), []
    train_epoch, write = loop._train_epoch, resume.write_atomically

    def write_slowly(path, data):
        if path.name == "resume.pt":
            began.set()
            assert second.wait(timeout=60), "the second epoch waits for the first one's state"
        write(path, data)

    def told(*args):
        row = train_epoch(*args)
        epochs.append(row["epoch"])
        if len(epochs) == 2:
            assert began.wait(timeout=60)
            second.set()
        return row

    second = threading.Event()
    monkeypatch.setattr(resume, "write_atomically", write_slowly)
    monkeypatch.setattr(loop, "_train_epoch", told)
    pretrain(RECIPE, make_images(), tmp_path, fabric)
    assert same(weights(whole), weights(tmp_path)) and not (tmp_path / "resume.pt").exists()


def test_a_state_that_cannot_be_written_ends_the_run(tmp_path, fabric, monkeypatch):
    def full(path, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(resume, "write_atomically", full)
    with pytest.raises(OSError, match="No space left"):
        pretrain(replace(RECIPE, checkpoint_epochs=()), make_images(), tmp_path, fabric)


def test_a_finished_folder_is_left_alone(whole, fabric):
    before = {path.name: path.stat().st_mtime_ns for path in whole.iterdir()}
    pretrain(RECIPE, make_images(), whole, fabric)
    assert {path.name: path.stat().st_mtime_ns for path in whole.iterdir()} == before


def test_a_corrupt_resume_file_is_named(tmp_path, fabric):
    (tmp_path / "resume.pt").write_bytes(b"torn")
    with pytest.raises(CorruptArtefactError, match="resume.pt is not what was written.*remove it"):
        pretrain(RECIPE, make_images(), tmp_path, fabric)


def test_a_diverging_loss_is_an_error(tmp_path, fabric):
    with pytest.raises(DivergedError, match="lower lr"):
        pretrain(replace(RECIPE, lr=1e9, warmup_epochs=0), make_images(), tmp_path, fabric)


def test_clipping_bounds_the_step(tmp_path, fabric):
    """One plain SGD step of norm lr * clip_norm: nothing moves by more."""
    recipe = replace(
        RECIPE,
        epochs=1,
        warmup_epochs=0,
        momentum=0.0,
        weight_decay=0.0,
        clip_norm=1e-3,
        batch_size=64,
        lr=1.0,
    )
    pretrain(recipe, make_images(), tmp_path, fabric)
    before, after = weights(tmp_path, 0), weights(tmp_path, 1)
    moved = sum(((after[n] - before[n]) ** 2).sum() for n in before if "running" not in n and "num_batches" not in n)
    assert float(moved) ** 0.5 == pytest.approx(1e-3 * 64 / 1024, rel=0.01)


def test_more_images_a_batch_than_there_are_is_refused(tmp_path, fabric):
    with pytest.raises(ValueError, match="batch of 128 images cannot be filled from 64"):
        pretrain(replace(RECIPE, batch_size=128), make_images(), tmp_path, fabric)


def test_large_images_come_from_workers_and_learn_too(tmp_path, fabric):
    images = make_images(image_size=None, size=24)
    pretrain(replace(RECIPE, epochs=2, checkpoint_epochs=()), images, tmp_path, fabric)
    assert (tmp_path / "epoch_0002.safetensors").exists()


def test_learning_rate_by_hand():
    recipe = replace(RECIPE, epochs=10, warmup_epochs=2, batch_size=256, lr=0.4)
    peak = 0.1  # 0.4 * 256 / 1024
    assert learning_rate(recipe, 0, 100) == pytest.approx(peak / 20)
    assert learning_rate(recipe, 19, 100) == pytest.approx(peak)
    assert learning_rate(recipe, 20, 100) == pytest.approx(peak)
    assert learning_rate(recipe, 60, 100) == pytest.approx(peak / 2)
    assert learning_rate(recipe, 99, 100) == pytest.approx(peak * 0.5 * (1 + math.cos(math.pi * 79 / 80)))
    risen = replace(recipe, warmup_lr=0.04)  # 0.01 at this batch size
    assert learning_rate(risen, 0, 100) == pytest.approx(0.01 + (peak - 0.01) / 20)
    assert [learning_rate(risen, step, 100) for step in (19, 60)] == pytest.approx([peak, peak / 2])


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
