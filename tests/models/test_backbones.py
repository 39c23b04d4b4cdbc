import pytest
import timm
import torch

from workbook.models.backbones import STAGES, create_backbone, token_grid


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


@pytest.mark.parametrize(
    ("name", "channels"),
    [
        ("resnet18", 512),
        ("resnet50", 2048),
        ("narrow_resnet", 1024),
        ("narrow_resnet_256", 256),
        ("narrow_resnet_4096", 4096),
    ],
)
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
    with pytest.raises(ValueError, match="unknown backbone 'resnet19' .*'resnet18'.*; known: narrow_resnet"):
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


def test_the_maps_of_an_image_that_is_not_square_have_its_shape():
    for name in STAGES:
        backbone = create_backbone(name, image_size=64, small_stem=True).eval()
        with torch.inference_mode():
            maps, _ = backbone.stages(torch.rand(1, 3, 32, 64))
        assert all(stage.shape[3] == 2 * stage.shape[2] for stage in maps), name


def test_a_vit_s_tokens_stand_where_their_patches_are():
    """16 x 20 patches after one class token, which a square of 17 x 17 would scramble."""
    backbone = create_backbone("tiny_vit", image_size=64, small_stem=True).eval()
    images = torch.rand(2, 3, 64, 80)
    with torch.inference_mode():
        maps, _ = backbone.stages(images)
        embedded = backbone.model.patch_embed.proj(backbone.normalised(images))
        tokens = backbone.model.forward_intermediates(
            backbone.normalised(images),
            indices=[0],
            return_prefix_tokens=True,
            output_fmt="NLC",
            intermediates_only=True,
        )[0][0]
    torch.testing.assert_close(maps[0], embedded)
    assert [m.shape[2:] for m in maps] == [(16, 20)] * 5
    torch.testing.assert_close(maps[1][0, :, 3, 7], tokens[0, 3 * 20 + 7])


@pytest.mark.parametrize(
    ("tokens", "image", "grid"),
    [
        (196 + 1, (224, 224), (14, 14)),
        (16 * 20 + 1, (256, 320), (16, 20)),
        (20 * 16 + 5, (320, 256), (20, 16)),  # four registers
        (7 * 7, (224, 224), (7, 7)),  # merged, without a class token
        (1 * 16 + 1, (16, 256), (1, 16)),
    ],
)
def test_tokens_of_whoever_s_network_fill_the_grid_of_the_image_s_shape(tokens, image, grid):
    assert token_grid(tokens, image) == grid


def test_tokens_that_fill_no_grid_are_no_map():
    with pytest.raises(ValueError, match=r"1 tokens are no map of an image of \(32, 64\) pixels"):
        token_grid(1, (32, 64))


def test_a_swin_reads_images_of_other_sizes_than_its_own_and_its_own_as_before():
    """Windows of 7 divide neither 24 x 40 nor what follows."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        ours = create_backbone("swin_tiny_patch4_window7_224", image_size=224).eval()
        torch.manual_seed(0)
        strict = timm.create_model("swin_tiny_patch4_window7_224", num_classes=0).eval()
    own = torch.rand(1, 3, 224, 224)
    with torch.inference_mode():
        assert torch.equal(ours(own), strict(ours.normalised(own)))
        maps, _ = ours.stages(torch.rand(1, 3, 96, 160))
    assert [m.shape[2:] for m in maps] == [(24, 40), (24, 40), (12, 20), (6, 10), (3, 5)]


def test_a_detector_s_padding_is_zero_for_the_network():
    backbone = create_backbone("narrow_resnet", image_size=32, small_stem=True).eval()
    images = torch.rand(1, 3, 32, 32)
    with torch.inference_mode():
        maps, pooled = backbone.stages_of_normalised(backbone.normalised(images))
        whole, features = backbone.stages(images)
        nothing, _ = backbone.stages_of_normalised(torch.zeros(1, 3, 32, 32))
        grey, _ = backbone.stages(backbone.mean.expand(1, 3, 32, 32))
    assert torch.equal(pooled, features)
    assert all(map(torch.equal, maps, whole))
    assert all(map(torch.equal, nothing, grey))
