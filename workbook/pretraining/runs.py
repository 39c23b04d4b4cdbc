"""Runs: recipes that were trained, from the store or trained now."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import pandas as pd
import torch
from lightning_fabric import Fabric
from safetensors.torch import load_file

from workbook.data.images import Images
from workbook.data.sources import load_images
from workbook.pretraining.loop import HISTORY, checkpoint_name, create_method, pretrain
from workbook.pretraining.method import Method
from workbook.pretraining.recipe import Recipe
from workbook.store import Artefact, Store

# Part of every run's key. Raise it when a change of the code alters what the same recipe trains.
LOOP_VERSION = 1


@dataclass(frozen=True)
class Run:
    """A trained recipe: checkpoints over epochs, history, provenance."""

    recipe: Recipe
    artefact: Artefact
    class_names: tuple[str, ...]
    stored: bool  # it was in the store already

    @property
    def history(self) -> pd.DataFrame:
        """One row an epoch, see `loop.pretrain`."""
        return pd.read_json(self.artefact.file(HISTORY), orient="records")

    def method(self, epoch: int | None = None) -> Method:
        """Backbone, projector and all else at the end of `epoch` (None = the last), in evaluation mode, on the CPU."""
        epoch = self.recipe.epochs if epoch is None else epoch
        if epoch not in self.recipe.saved_epochs:
            raise ValueError(
                f"run {self.artefact.key} has no checkpoint of epoch {epoch}; it has {self.recipe.saved_epochs}"
            )
        with torch.random.fork_rng(devices=[]):  # the fresh weights are replaced at once
            method = create_method(self.recipe, len(self.class_names))
        method.load_state_dict(load_file(self.artefact.file(checkpoint_name(epoch))))
        return method.eval().to(memory_format=torch.channels_last)


def pretraining_images(recipe: Recipe) -> Images:
    """The training images of a recipe: its side of the concept split, thinned to its number a class."""
    # not in the paper: every seed sees the same subset, so that seeds differ in weights and order alone
    return load_images(recipe.dataset, "train", side=recipe.side).per_class(recipe.images_per_class)


def train(recipe: Recipe, store: Store, fabric: Fabric) -> Run:
    """The run of this recipe: from the store, or trained now (and resumed where it was interrupted)."""
    images = pretraining_images(recipe)
    spec = {
        "recipe": recipe,
        "data": images.digest,
        "precision": fabric._precision.precision,
        "loop": LOOP_VERSION,
    }
    with store.lock("runs", spec) if fabric.is_global_zero else nullcontext():
        stored = fabric.broadcast(store.find("runs", spec) is not None)
        if not stored:
            with store.workdir("runs", spec) as folder:
                pretrain(recipe, images, folder, fabric)
            if fabric.is_global_zero:
                store.seal("runs", spec)
            fabric.barrier()
    return Run(recipe, store.get("runs", spec), images.class_names, stored)


def train_all(recipes: Sequence[Recipe], store: Store, fabric: Fabric) -> list[Run]:
    """The runs of these recipes, in their order; what the store holds is not trained again."""
    return [train(recipe, store, fabric) for recipe in recipes]


def run_table(runs: Sequence[Run]) -> pd.DataFrame:
    """One row a run: what its last epoch was like, how fast it trained, and whether the store had it."""
    rows = []
    for run in runs:
        history = run.history
        rows.append(
            {
                "method": run.recipe.method,
                "seed": run.recipe.seed,
                "epochs": run.recipe.epochs,
                "loss": history["loss"].iloc[-1],
                "train_accuracy": history["accuracy"].iloc[-1],
                "images_per_second": history["images_per_second"].median(),
                "minutes": history["seconds"].sum() / 60,
                "from_store": run.stored,
                "key": run.artefact.key,
            }
        )
    return pd.DataFrame(rows)
