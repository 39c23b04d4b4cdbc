"""Several processes that train one run together: torchrun with two of them, on the CPU."""

import os
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from tests.pretraining.small import SQUARES
from workbook.errors import NotStoredError
from workbook.lab import Lab
from workbook.pretraining.loop import create_model, set_up
from workbook.pretraining.recipe import with_method
from workbook.pretraining.runs import train
from workbook.store import Store

ROOT = Path(__file__).parents[2]
RECIPE = with_method(replace(SQUARES, dataset="digits", image_size=8, images_per_class=8, epochs=4), "SL-MLP")


def launch(script: Path, *arguments: str, restarts: int = 0) -> None:
    """Two processes, which must end well."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    if restarts:
        environment["TORCH_DISABLE_SHARE_RDZV_TCP_STORE"] = "1"  # see `make_fabric`
    command = [*torchrun, f"--max-restarts={restarts}", "--monitor-interval=0.1", str(script), *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]


def written(folder: Path, text: str) -> Path:
    script = folder / "script.py"
    script.write_text(textwrap.dedent(text))
    return script


def test_two_processes_train_one_run_and_its_record_and_key_say_so(tmp_path, fabric):
    """Both get the same run, and the store holds it once; what cannot be trained together is told to both."""
    script = written(
        tmp_path,
        """
        import sys
        from dataclasses import replace
        from pathlib import Path
        import pytest
        from tests.pretraining.test_ranks import RECIPE
        from workbook.devices import make_fabric
        from workbook.errors import NotStoredError, StoreError
        from workbook.lab import Lab
        from workbook.pretraining import loop
        from workbook.pretraining.runs import train
        from workbook.store import Store

        root, fabric = Path(sys.argv[1]), make_fabric("cpu", "float32")
        lab = Lab(Store(root / "store"), fabric)
        run = train(RECIPE, lab)
        both = fabric.all_gather(run.model().head.weight.double().sum())
        assert fabric.world_size == 2 and both[0] == both[1] and not run.stored
        assert train(RECIPE, lab).stored and len(lab.store.artefacts()) == 1

        loop._train_epoch = None  # from here on no step is made
        with pytest.raises(StoreError, match="different stores: that of rank 1, .*store1 on .*, is not that of rank 0"):
            train(RECIPE, Lab(Store(root / f"store{fabric.global_rank}"), fabric))
        with pytest.raises(StoreError, match="rank 1 on .* does not see the data"):
            train(replace(RECIPE, images_per_class=5 + fabric.global_rank), lab)
        with pytest.raises(NotStoredError, match="of 4 devices is not in .*--nproc-per-node=4"):
            train(RECIPE, replace(lab, devices=4))
        with pytest.raises(ValueError, match="no batch norm over several devices for cpu: sync_norm=False"):
            train(replace(RECIPE, sync_norm=True), lab)
        """,
    )
    launch(script, str(tmp_path))
    store = Store(tmp_path / "store")
    (artefact,) = store.artefacts()
    assert artefact.provenance["devices"] == artefact.spec["devices"] == 2
    assert train(RECIPE, Lab(store, fabric, devices=2)).key == artefact.key, "one process looks at what two trained"
    with pytest.raises(NotStoredError, match="SL-MLP on digits, seed 1, of 2 devices .* here 1 would train it"):
        train(replace(RECIPE, seed=1), Lab(store, fabric, devices=2))
    alone = train(RECIPE, Lab(store, fabric))
    assert alone.key != artefact.key and "devices" not in alone.artefact.spec
    assert not list(store.root.glob(".seen*")) and not (tmp_path / "store1" / "runs").exists()


def test_a_process_that_is_killed_is_started_again_and_changes_no_bit(tmp_path):
    """The first of two, which holds the lock and writes what is gone on from."""
    script = written(
        tmp_path,
        """
        import os, signal, sys
        from pathlib import Path
        from tests.pretraining.test_ranks import RECIPE
        from workbook.devices import make_fabric
        from workbook.lab import Lab
        from workbook.pretraining import loop
        from workbook.pretraining.runs import train
        from workbook.store import Store

        root, fabric, loop.RESUME_SECONDS = Path(sys.argv[1]), make_fabric("cpu", "float32"), 0.0
        generation, inner, begun = int(os.environ["TORCHELASTIC_RESTART_COUNT"]), loop._train_epoch, []

        def epoch(training, source, count, number, bar):
            begun.append(number)
            if (generation, fabric.global_rank, number) == (0, 0, 4):
                os.kill(os.getpid(), signal.SIGKILL)
            return inner(training, source, count, number, bar)

        loop._train_epoch = epoch
        runs = {"killed": train(RECIPE, Lab(Store(root / "killed"), fabric))}
        assert generation == 1 and begun[0] > 1, "the last one goes on from where the others were"
        runs["whole"] = train(RECIPE, Lab(Store(root / "whole"), fabric))
        files = {name: run.artefact.file("epoch_0004.safetensors").read_bytes() for name, run in runs.items()}
        assert files["killed"] == files["whole"]
        assert runs["killed"].history["loss"].equals(runs["whole"].history["loss"])
        """,
    )
    launch(script, str(tmp_path), restarts=1)


@pytest.mark.parametrize("method", ["SL-MLP", "BYOL"])
def test_batch_norm_over_devices_is_what_the_recipe_says(method):
    """Of every part of the model, its targets among them; what is stored fits the plain model."""
    several = SimpleNamespace(
        world_size=2, device=torch.device("cuda"), setup=lambda model, optimizer: (model, optimizer)
    )
    for sync_norm in (False, True):
        recipe = replace(with_method(SQUARES, method), sync_norm=sync_norm)
        model = set_up(recipe, create_model(recipe, 4), several).model
        norms = [part for part in model.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]
        assert norms and {isinstance(norm, nn.SyncBatchNorm) for norm in norms} == {sync_norm}
        assert model.state_dict().keys() == create_model(recipe, 4).state_dict().keys()


def test_two_processes_share_negatives_queues_and_targets(tmp_path):
    """Losses over gathered batches are those of one process, gradients too; all weights and queues stay the same."""
    script = tmp_path / "share.py"
    script.write_text(
        textwrap.dedent(
            """
            from dataclasses import replace
            from pathlib import Path
            import sys
            import torch
            from tests.conftest import make_images
            from tests.pretraining.small import LABELS
            from tests.pretraining.test_loop import RECIPE
            from workbook.devices import make_fabric
            from lightly.loss import NTXentLoss
            from pytorch_metric_learning.losses import SupConLoss
            from workbook.pretraining.contrastive import contrast, own_names
            from workbook.pretraining.loop import pretrain
            from workbook.pretraining.recipe import with_method

            fabric = make_fabric("cpu", "float32")
            rank = fabric.global_rank

            torch.manual_seed(0)
            z = torch.randn(2, 8, 5)  # views of all eight images
            alone = z.clone().requires_grad_()
            mine = z[:, rank::2].clone().requires_grad_()
            whole_of = {
                "own": lambda: NTXentLoss(0.2)(*alone),
                "by class": lambda: SupConLoss(0.2)(alone.flatten(0, 1), LABELS.repeat(2)),
            }
            names = {"own": own_names(LABELS[rank::2]), "by class": LABELS[rank::2]}
            for kind in names:
                whole, part = whole_of[kind](), contrast(mine.flatten(0, 1), names[kind], 0.2)
                torch.testing.assert_close(part.detach(), whole.detach())
                expected, = torch.autograd.grad(whole, alone)
                got, = torch.autograd.grad(part, mine)
                torch.testing.assert_close(got / 2, expected[:, rank::2])  # DDP averages over two

            for name in ("SimCLR", "MoCo v2", "BYOL", "SwAV", "DINO"):
                folder = Path(sys.argv[1]) / name
                if rank == 0:
                    folder.mkdir()
                fabric.barrier()
                recipe = with_method(replace(RECIPE, epochs=2, checkpoint_epochs=()), name)
                small = {"MoCo v2": {"queue": 32}, "SwAV": {"queue": 32, "queue_from": 0.0, "prototypes": 10}}
                recipe = replace(recipe, objective=replace(recipe.objective, **small.get(name, {})))
                seen = []
                import workbook.pretraining.loop as loop
                create = loop.create_model
                loop.create_model = lambda *args: seen.append(create(*args)) or seen[-1]
                pretrain(recipe, make_images(), folder, fabric)
                loop.create_model = create
                for key, value in seen[0].state_dict().items():
                    if "running" not in key:
                        both = fabric.all_gather(value)
                        assert torch.equal(both[0], both[1]), (name, key)
            """
        )
    )
    launch(script, str(tmp_path))
