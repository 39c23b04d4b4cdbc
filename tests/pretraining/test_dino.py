"""DINO's loss written out, its centre and its last layer."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from tests.pretraining.small import (
    FEW,
    LABELS,
    PROJECTOR,
    SMALL_DINO,
    START,
    WITH_OR_WITHOUT,
    embed_three,
    make_model,
    make_views,
)
from workbook.lab import Lab
from workbook.pretraining.model import Moment
from workbook.pretraining.recipe import with_method
from workbook.pretraining.runs import train
from workbook.store import Store


@pytest.fixture(scope="module")
def lab(tmp_path_factory, fabric) -> Lab:
    return Lab(Store(tmp_path_factory.mktemp("store")), fabric)


@WITH_OR_WITHOUT
def test_dino_matches_the_teacher_on_other_crops(projector):
    model, (a, b, local) = make_model(SMALL_DINO, projector), make_views(16, 16, 8)
    model.loss.center.uniform_(-1, 1)
    center = model.loss.center.clone().squeeze()
    student = [model.head(rows) for rows in embed_three(model, a, b, local)]
    teacher = model.target(torch.cat([a, b])).chunk(2)
    sharp = [((rows - center) / 0.04).softmax(1) for rows in teacher]
    terms = [-(sharp[t] * (student[s] / 0.1).log_softmax(1)).sum(1).mean() for t in (0, 1) for s in (0, 1, 2) if s != t]
    torch.testing.assert_close(model([a, b, local], LABELS, START).loss, sum(terms) / 4)
    torch.testing.assert_close(model.loss.center.squeeze(), 0.9 * center + 0.1 * torch.cat(teacher).mean(0).detach())


def test_dino_s_last_layer_gives_cosines_and_rests_in_the_first_epoch():
    model, views = make_model(SMALL_DINO), make_views(16, 16, 8)
    assert model.head(torch.randn(50, 12)).abs().max() <= 1
    model(views, LABELS, START).loss.backward()
    model.after_backward(Moment(9, 100, 10))
    assert model.head.weight.grad is None


@pytest.mark.parametrize("evaluated", ["teacher", "student"])
def test_the_features_are_those_of_the_network_that_its_authors_evaluate(evaluated, lab):
    base = with_method(replace(FEW, image_size=16, epochs=2), "DINO")
    choices = replace(SMALL_DINO, evaluated=evaluated, momentum=0.5)
    run = train(replace(base, objective=choices, projector=PROJECTOR), lab)
    state = load_file(run.artefact.file("epoch_0002.safetensors"))
    part = {"teacher": ("target.0.", "target.1."), "student": ("backbone.", "projector.")}[evaluated]
    model = run.model()
    for own, prefix in zip((model.backbone, model.projector), part, strict=True):
        assert all(torch.equal(value, state[prefix + name]) for name, value in own.state_dict().items())
    assert not torch.equal(state["backbone.model.conv1.weight"], state["target.0.model.conv1.weight"])
    alone = run.backbone().backbone.model.conv1.weight
    assert torch.equal(alone, model.backbone.model.conv1.weight), "what starts an injection, too"
