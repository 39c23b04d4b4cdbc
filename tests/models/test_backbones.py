import pytest
import torch

from workbook.models.backbones import STAGES, create_backbone


@pytest.fixture(scope="module", params=list(STAGES))
def backbone(request):
    return create_backbone(request.param, image_size=32, small_stem=True).eval()


def test_stages_and_pooled_come_from_one_and_the_same_pass(backbone):
    images = torch.rand(2, 3, 32, 32)
    with torch.inference_mode():
        maps, pooled = backbone.stages(images)
        assert torch.equal(pooled, backbone(images))
    assert len(maps) == 5
    assert pooled.shape == (2, backbone.num_features)
    assert all(m.ndim == 4 and m.shape[2] == m.shape[3] for m in maps)
    sides = [m.shape[2] for m in maps]
    assert sides == sorted(sides, reverse=True)


def test_no_hook_stays_behind(backbone):
    with torch.inference_mode():
        backbone.stages(torch.rand(2, 3, 32, 32))
    assert not any(module._forward_hooks for module in backbone.modules())


@pytest.mark.parametrize(("name", "channels"), [("resnet18", 512), ("resnet50", 2048), ("narrow_resnet", 1024)])
def test_the_last_stage_of_a_resnet_pools_to_its_features(name, channels):
    backbone = create_backbone(name, image_size=32, small_stem=True).eval()
    with torch.inference_mode():
        maps, pooled = backbone.stages(torch.rand(2, 3, 32, 32))
    assert pooled.shape[1] == channels
    torch.testing.assert_close(maps[4].mean((2, 3)), pooled)


@pytest.mark.parametrize("name", ["narrow_resnet", "resnet18", "tiny_vit", "vit_base_patch16_224"])
def test_small_crops_have_features_as_wide(name):
    backbone = create_backbone(name, image_size=32, small_stem=True).eval()
    with torch.inference_mode():
        assert backbone(torch.rand(2, 3, 12, 12)).shape == (2, backbone.num_features)


def test_the_stem_decides_the_resolution():
    images = torch.rand(1, 3, 64, 64)
    for small, side in ((True, 64), (False, 16)):
        backbone = create_backbone("resnet18", image_size=64, small_stem=small).eval()
        with torch.inference_mode():
            assert backbone.stages(images)[0][0].shape[2] == side


def test_normalisation_is_part_of_it():
    backbone = create_backbone("narrow_resnet", image_size=32, small_stem=True).eval()
    grey = backbone.mean.expand(1, 3, 32, 32)
    with torch.inference_mode():
        assert torch.equal(backbone(grey), backbone.model(torch.zeros(1, 3, 32, 32)))


def test_an_unknown_backbone_is_refused():
    with pytest.raises(ValueError, match="unknown backbone 'resnet19'; known: narrow_resnet"):
        create_backbone("resnet19", image_size=32)


def test_a_vit_s_features_are_its_class_token_or_the_mean_over_its_patches():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        token, mean = (create_backbone("tiny_vit", image_size=32, global_pool=pool).eval() for pool in (False, True))
    mean.model.load_state_dict(token.model.state_dict())  # a start fits
    images = torch.rand(2, 3, 32, 32)
    with torch.inference_mode():
        tokens = token.model.forward_features(token.normalised(images))
        torch.testing.assert_close(token(images), tokens[:, 0])
        torch.testing.assert_close(mean(images), tokens[:, 1:].mean(1))
