"""Every loss against its formula written out, and what follows a step."""

import copy

import pytest
import torch
import torch.nn.functional as F
from timm.models.swin_transformer import SwinTransformer
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from tests.pretraining.small import LABELS, PROJECTOR, START, make_method, make_views
from workbook.data.augmentation import Augmentation
from workbook.pretraining.byol import Byol
from workbook.pretraining.contrastive import CeSelfSupCon, SelfSupCon, SimClr, SupCon
from workbook.pretraining.dino import Dino
from workbook.pretraining.mae import Mae
from workbook.pretraining.method import Moment, embedding_spread, local_views
from workbook.pretraining.moco import Moco
from workbook.pretraining.supervised import CrossEntropy
from workbook.pretraining.swav import SwaV

WITH_OR_WITHOUT = pytest.mark.parametrize("projector", [PROJECTOR, None], ids=["with MLP", "without"])
SMALL_MAE = Mae(decoder_dim=24, decoder_depth=1, decoder_heads=2)
SMALL_SWAV = SwaV(prototypes=10, local_count=1)
SMALL_DINO = Dino(outputs=20, local_count=1)


def embed(method, views: Tensor) -> Tensor:
    return method.projector(method.backbone(views))


def embed_three(method, a: Tensor, b: Tensor, local: Tensor) -> tuple[Tensor, ...]:
    features = torch.cat([method.backbone(torch.cat([a, b])), method.backbone(local)])
    return method.projector(features).chunk(3)


def unit(rows: Tensor) -> Tensor:
    return rows / rows.norm(dim=1, keepdim=True)


@WITH_OR_WITHOUT
def test_cross_entropy(projector):
    method, (images,) = make_method(CrossEntropy(), projector), make_views(16)
    result = method([images], LABELS, START)
    probabilities = method.head(embed(method, images)).exp()
    probabilities /= probabilities.sum(1, keepdim=True)
    torch.testing.assert_close(result.loss, -probabilities[range(8), LABELS].log().mean())
    assert result.correct == (probabilities.argmax(1) == LABELS).sum()


@WITH_OR_WITHOUT
def test_byol_is_the_squared_distance_summed_over_both_directions(projector):
    method, (a, b) = make_method(Byol(), projector), make_views(16, 16)
    predictions = [unit(method.predictor(embed(method, view))) for view in (a, b)]
    targets = [unit(method.target(view)) for view in (a, b)]
    by_hand = sum(((p - t) ** 2).sum(1).mean() for p, t in zip(predictions, reversed(targets), strict=True))
    torch.testing.assert_close(method([a, b], LABELS, START).loss, by_hand)
    # 2 - 2 cos for one direction: 4 where nothing but chance connects the views
    assert 0 <= by_hand.detach() <= 8


def contrast_by_hand(embeddings: Tensor, names: Tensor, temperature: float) -> Tensor:
    """The printed double sum of SupCon's L_out; with a name an image it is NT-Xent."""
    z, total = unit(embeddings).double(), 0.0
    for i in range(len(z)):
        others = [a for a in range(len(z)) if a != i]
        denominator = sum((z[i] @ z[a] / temperature).exp() for a in others)
        positives = [p for p in others if names[p] == names[i]]
        total -= sum(((z[i] @ z[p] / temperature).exp() / denominator).log() for p in positives) / len(positives)
    return (total / len(z)).float()


@WITH_OR_WITHOUT
@pytest.mark.parametrize("objective", [SimClr(temperature=0.2), SelfSupCon(temperature=0.2), SupCon(temperature=0.2)])
def test_contrast_within_a_batch(objective, projector):
    method, (a, b) = make_method(objective, projector), make_views(16, 16)
    names = LABELS if objective.name == "SupCon" else torch.arange(8)
    by_hand = contrast_by_hand(embed(method, torch.cat([a, b])), names.repeat(2), 0.2)
    torch.testing.assert_close(method([a, b], LABELS, START).loss, by_hand)


@WITH_OR_WITHOUT
def test_cross_entropy_and_self_sup_con_are_added(projector):
    method, (a, b) = make_method(CeSelfSupCon(weight=0.5), projector), make_views(16, 16)
    features = method.backbone(torch.cat([a, b]))
    contrast = contrast_by_hand(method.projector(features), torch.arange(8).repeat(2), 0.1)
    classes = F.cross_entropy(method.head(features), torch.cat([LABELS, LABELS]))
    result = method([a, b], LABELS, START)
    torch.testing.assert_close(result.loss, classes + 0.5 * contrast)
    assert 0 <= result.correct <= 8


@WITH_OR_WITHOUT
def test_moco_tells_the_key_from_the_queue(projector):
    method, (a, b) = make_method(Moco(queue=32, temperature=0.2, norm_groups=2), projector), make_views(16, 16)
    queue = method.loss.memory_bank.bank.clone()
    q = torch.cat([method.head(embed(method, half)) for half in a.chunk(2)])
    torch.manual_seed(3)
    order = torch.randperm(8)
    mixed = torch.cat([method.target(b[half]) for half in order.chunk(2)])
    k = torch.empty_like(mixed)
    k[order] = mixed
    torch.manual_seed(3)
    loss = method([a, b], LABELS, START).loss
    positive = (unit(q) * unit(k)).sum(1, keepdim=True)
    logits = torch.cat([positive, unit(q) @ queue.T], dim=1) / 0.2
    torch.testing.assert_close(loss, -(logits[:, 0] - logits.logsumexp(1)).mean())
    after = method.loss.memory_bank.bank
    torch.testing.assert_close(after[:8], unit(k).detach())
    assert torch.equal(after[8:], queue[8:]) and method.loss.memory_bank.bank_ptr == 8


def test_moco_s_keys_do_not_share_their_batch_statistics_with_their_queries():
    """The same images give the key encoder other outputs when they are grouped another way."""
    method, (a,) = make_method(Moco(queue=32, norm_groups=2)), make_views(16)
    groups = [
        method._in_groups(method.target, a[torch.tensor(order)]) for order in ([*range(8)], [0, 2, 4, 6, 1, 3, 5, 7])
    ]
    assert not torch.allclose(groups[0][0], groups[1][0])


def sinkhorn_by_hand(scores: Tensor, epsilon: float, iterations: int = 3) -> Tensor:
    """(N, K) codes: rows sum to 1, columns to about N / K."""
    codes = (scores.double() / epsilon).exp()
    for _ in range(iterations):
        codes /= codes.sum(0) * codes.shape[1]
        codes /= codes.sum(1, keepdim=True)
    return codes.float()


@WITH_OR_WITHOUT
def test_swav_predicts_the_other_views_codes(projector):
    method, (a, b, local) = make_method(SMALL_SWAV, projector), make_views(16, 16, 8)
    scores = [method.prototypes(unit(rows)) for rows in embed_three(method, a, b, local)]
    codes = [sinkhorn_by_hand(rows.detach(), 0.05) for rows in scores[:2]]
    terms = [-(codes[i] * (scores[v] / 0.1).log_softmax(1)).sum(1).mean() for i in (0, 1) for v in (0, 1, 2) if v != i]
    torch.testing.assert_close(method([a, b, local], LABELS, START).loss, sum(terms) / 4)


def test_swav_s_queue_joins_once_it_is_full_and_its_time_has_come():
    objective = SwaV(prototypes=10, local_count=0, queue=16, queue_from=0.05)
    method, views = make_method(objective), make_views(16, 16)
    full = [unit(embed(method, view)) for view in views]

    def joined(step: int) -> bool:
        return bool(method._queued(full, Moment(step, 100, 10)))

    assert [joined(step) for step in (0, 1, 4, 5)] == [False, False, False, True]
    method.objective = SwaV(prototypes=10, queue=16, queue_from=0.0)
    assert [joined(step) for step in (1, 2)] == [False, True]


def test_swav_s_prototypes_rest_at_first_and_stay_on_the_sphere():
    method, views = make_method(SMALL_SWAV), make_views(16, 16, 8)
    torch.testing.assert_close(method.prototypes.weight.norm(dim=1), torch.ones(10))
    method(views, LABELS, START).loss.backward()
    method.after_backward(Moment(9, 100, 10))
    assert method.prototypes.weight.grad is None
    method(views, LABELS, START).loss.backward()
    method.after_backward(Moment(10, 100, 10))
    assert method.prototypes.weight.grad is not None
    with torch.no_grad():
        method.prototypes.weight.mul_(3)
    method.after_step(START)
    torch.testing.assert_close(method.prototypes.weight.norm(dim=1), torch.ones(10))


@WITH_OR_WITHOUT
def test_dino_matches_the_teacher_on_other_crops(projector):
    method, (a, b, local) = make_method(SMALL_DINO, projector), make_views(16, 16, 8)
    method.loss.center.uniform_(-1, 1)
    center = method.loss.center.clone().squeeze()
    student = [method.head(rows) for rows in embed_three(method, a, b, local)]
    teacher = method.target(torch.cat([a, b])).chunk(2)
    sharp = [((rows - center) / 0.04).softmax(1) for rows in teacher]
    terms = [-(sharp[t] * (student[s] / 0.1).log_softmax(1)).sum(1).mean() for t in (0, 1) for s in (0, 1, 2) if s != t]
    torch.testing.assert_close(method([a, b, local], LABELS, START).loss, sum(terms) / 4)
    torch.testing.assert_close(method.loss.center.squeeze(), 0.9 * center + 0.1 * torch.cat(teacher).mean(0).detach())


def test_dino_s_last_layer_gives_cosines_and_rests_in_the_first_epoch():
    method, views = make_method(SMALL_DINO), make_views(16, 16, 8)
    assert method.head(torch.randn(50, 12)).abs().max() <= 1
    method(views, LABELS, START).loss.backward()
    method.after_backward(Moment(9, 100, 10))
    assert method.head.weight.grad is None


def test_mae_paints_the_hidden_patches_normalised():
    method, (images,) = make_method(SMALL_MAE, None, "tiny_vit"), make_views(16)
    torch.manual_seed(3)
    loss = method([images], LABELS, START).loss

    torch.manual_seed(3)
    order = torch.cat([torch.full((8, 1), -1.0), torch.rand(8, 17)[:, 1:]], dim=1).argsort(dim=1)
    kept, hidden = order[:, :5], order[:, 5:]  # the class token and a quarter of 16 patches
    assert hidden.shape[1] / 16 == 0.75
    vit, normal = method.backbone.model, method.backbone.normalised(images)
    tokens = vit._pos_embed(vit.patch_embed(normal))
    encoded = vit.norm(vit.blocks(torch.stack([row[i] for row, i in zip(tokens, kept, strict=True)])))
    total = 0.0
    for n in range(8):
        line = method.decoder.mask_token[0].repeat(17, 1)
        line[kept[n]] = method.embed(encoded[n])
        painted = method.predict(
            method.decoder.norm(method.decoder.blocks((line + method.decoder.pos_embed[0])[None]))
        )[0]
        for token in hidden[n].tolist():
            row, column = divmod(token - 1, 4)
            patch = normal[n, :, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4].permute(1, 2, 0).flatten()
            patch = (patch - patch.mean()) / (patch.var() + 1e-6).sqrt()
            total += ((painted[token] - patch) ** 2).mean()
    torch.testing.assert_close(loss, total / (8 * 12))


def test_mae_is_for_vision_transformers_without_a_projector():
    with pytest.raises(ValueError, match="patches of a vision transformer, got ResNet"):
        make_method(Mae(), None)
    with pytest.raises(ValueError, match="use projector=None"):
        make_method(Mae(), PROJECTOR, "tiny_vit")


def test_mae_s_weights_lie_once_in_its_state():
    state = make_method(SMALL_MAE, None, "tiny_vit").state_dict()
    pointers = [tensor.data_ptr() for tensor in state.values()]
    assert len(set(pointers)) == len(pointers)


TARGETS = {
    "Byol": Byol(momentum=0.9),
    "Moco": Moco(queue=32, momentum=0.9),
    "DINO": Dino(outputs=20, momentum=0.9, local_count=0),
}


@pytest.mark.parametrize("name", TARGETS)
def test_the_target_follows_and_no_gradient_reaches_it(name):
    method, views = make_method(TARGETS[name]), make_views(16, 16)
    before = copy.deepcopy(method.target)
    method(views, LABELS, START).loss.backward()
    assert method.target.training
    assert not any(p.requires_grad or p.grad is not None for p in method.target.parameters())
    statistics = [m for m in method.target.modules() if isinstance(m, nn.BatchNorm2d)]
    assert all(m.num_batches_tracked > 0 for m in statistics), "its own statistics"
    trained = [p for p in method.parameters() if p.requires_grad]
    torch.optim.SGD(trained, lr=0.1).step()
    method.after_step(START)
    online = method._student if name == "DINO" else method._online
    for was, now, leader in zip(before.parameters(), method.target.parameters(), online.parameters(), strict=True):
        torch.testing.assert_close(now, 0.9 * was + 0.1 * leader)
    assert any(not torch.equal(a, b) for a, b in zip(before.parameters(), method.target.parameters(), strict=True))


@pytest.mark.parametrize("name", ["Byol", "DINO"])
def test_the_target_s_momentum_rises_to_one(name):
    method = make_method(TARGETS[name])
    with torch.no_grad():
        for p in method.backbone.parameters():
            p.add_(1.0)
    before = copy.deepcopy(method.target)
    method.after_step(Moment(99, 100, 10))
    assert all(torch.equal(a, b) for a, b in zip(before.parameters(), method.target.parameters(), strict=True))


EVERY = {
    "Byol": Byol(),
    "Moco": Moco(queue=32),
    "SimCLR": SimClr(),
    "SupCon": SupCon(),
    "SelfSupCon": SelfSupCon(),
    "CE+SelfSupCon": CeSelfSupCon(),
    "SwAV": SMALL_SWAV,
    "DINO": SMALL_DINO,
}


@WITH_OR_WITHOUT
@pytest.mark.parametrize("name", EVERY)
def test_in_a_few_steps_every_part_moves_and_nothing_breaks(name, projector):
    method = make_method(EVERY[name], projector)
    views = make_views(16, 16, 8)[: 3 if name in ("SwAV", "DINO") else 2]
    before = copy.deepcopy(method.state_dict())
    optimizer = torch.optim.SGD([p for p in method.parameters() if p.requires_grad], lr=0.05)
    for step in range(3):
        result = method(views, LABELS, Moment(50 + step, 100, 10))
        result.loss.backward()
        method.after_backward(Moment(50 + step, 100, 10))
        optimizer.step()
        optimizer.zero_grad()
        method.after_step(Moment(50 + step, 100, 10))
        assert result.loss.shape == () and 0.05 < result.spread <= 1
    after = method.state_dict()
    assert all(torch.isfinite(value).all() for value in after.values())
    moved = {key.split(".")[0] for key in before if not torch.equal(before[key], after[key])}
    assert moved == {key.split(".")[0] for key in before}


def test_spread_by_hand():
    assert embedding_spread(torch.ones(5, 3)) == 0
    corners = torch.cat([torch.eye(3), -torch.eye(3)])  # each channel: 1, -1 and four zeros
    torch.testing.assert_close(embedding_spread(7 * corners), torch.tensor((2 / 6) ** 0.5 * 3**0.5))


def test_only_classifiers_classify():
    with pytest.raises(ValueError, match="BootstrapYourOwnLatent has no classifier"):
        make_method(Byol()).classify(make_views(16)[0])
    assert make_method(CeSelfSupCon()).classify(make_views(16)[0]).shape == (8, 4)


@pytest.mark.parametrize("objective", [Moco(queue=65536), SwaV(queue=65536, prototypes=10)])
def test_a_queue_larger_than_the_data_is_refused(objective):
    with pytest.raises(ValueError, match="queue of 65,536 .* is larger than the 1,400 images.*lower the queue"):
        make_method(objective).check(images=1400, batch_size=64)


def test_groups_of_one_image_are_refused():
    with pytest.raises(ValueError, match="4 norm_groups need a batch_size of 2 each, got 4"):
        make_method(Moco(queue=32)).check(images=1400, batch_size=4)


@pytest.mark.parametrize(("image_size", "small"), [(64, 32), (96, 48), (160, 64), (224, 96)])
def test_small_crops_are_whole_patches_of_a_vit(image_size, small):
    model = VisionTransformer(img_size=image_size, patch_size=16, embed_dim=8, depth=1, num_heads=1)
    views = local_views(model, Augmentation(), image_size, 2, (0.05, 0.4))
    assert [view.size for view in views] == [small, small]


def test_a_backbone_of_one_image_size_is_refused_small_crops():
    with pytest.raises(ValueError, match="got a Swin"):
        local_views(SwinTransformer(img_size=64, depths=(1,), num_heads=(1,)), Augmentation(), 64, 2, (0.05, 0.4))
