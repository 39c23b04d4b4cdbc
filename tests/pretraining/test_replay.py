"""On a GPU alone: a training whose steps are replayed is the ordinary one."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch

from tests.conftest import make_images
from tests.pretraining.test_loop import RECIPE, StopAfter, weights
from workbook.devices import make_fabric
from workbook.pretraining import loop
from workbook.pretraining.loop import pretrain
from workbook.pretraining.recipe import with_method
from workbook.pretraining.replay import Replayed

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
LONG = replace(RECIPE, epochs=4, checkpoint_epochs=(), optimizer="sgd")


@pytest.fixture
def trained(tmp_path, monkeypatch):
    """Trains a recipe in float32, with its steps replayed or not; the folder, and how many replays there were."""
    replays = []
    call = Replayed.__call__
    monkeypatch.setattr(Replayed, "__call__", lambda self, *given: replays.append(1) or call(self, *given))

    def run(recipe, *, replayed: bool, stop: int | None = None) -> tuple[Path, int]:
        folder = tmp_path / f"{recipe.method}-{replayed}-{stop}"
        folder.mkdir()
        replays.clear()
        with monkeypatch.context() as patch, torch.backends.cudnn.flags(deterministic=True, allow_tf32=False):
            patch.setattr(loop, "_records", lambda fabric: replayed)
            patch.setattr(loop, "RESUME_SECONDS", 0.0)
            if stop is not None:
                with patch.context() as stopped, pytest.raises(KeyboardInterrupt):
                    StopAfter(stopped, stop)
                    pretrain(recipe, make_images(), folder, make_fabric("cuda", "float32"))
            pretrain(recipe, make_images(), folder, make_fabric("cuda", "float32"))
        return folder, len(replays)

    return run


def assert_same(one: Path, other: Path) -> None:
    a, b = (weights(folder, 4) for folder in (one, other))
    for name in a:
        torch.testing.assert_close(
            a[name], b[name], rtol=1e-3, atol=1e-4, msg=lambda text, name=name: f"{name}: {text}"
        )
    losses = [pd.read_json(folder / "history.json", orient="records")["loss"] for folder in (one, other)]
    pd.testing.assert_series_equal(*losses, rtol=1e-4)


@pytest.mark.parametrize("name", ["SL", "SL-MLP", "BYOL", "SimCLR", "SupCon", "CE+SelfSupCon"])
def test_a_replayed_training_is_the_ordinary_one(trained, name):
    recipe = with_method(LONG, name)
    small = {"BYOL": {"predictor_dim": 16}}
    recipe = replace(recipe, objective=replace(recipe.objective, **small.get(name, {})))
    ordinary, none = trained(recipe, replayed=False)
    replayed, count = trained(recipe, replayed=True)
    assert (none, count) == (0, 16)
    assert_same(ordinary, replayed)


@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
def test_adam_is_replayed_too(trained, optimizer):
    # without the projector, whose first bias has a gradient of nothing but rounding, which Adam makes as large as any
    recipe = replace(with_method(LONG, "SL"), optimizer=optimizer, lr=0.05, clip_norm=1.0)
    assert_same(trained(recipe, replayed=False)[0], trained(recipe, replayed=True)[0])


def test_a_replayed_training_resumes(trained):
    whole, resumed = trained(LONG, replayed=True)[0], trained(LONG, replayed=True, stop=10)[0]
    assert_same(whole, resumed)
