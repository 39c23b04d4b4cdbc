"""MAE (He et al. 2022): paint the patches that a vision transformer was not shown."""

from dataclasses import dataclass, field

import torch.nn.functional as F
from lightly.models import utils
from lightly.models.modules.masked_vision_transformer_decoder_timm import MaskedVisionTransformerDecoderTIMM
from lightly.models.modules.masked_vision_transformer_timm import MaskedVisionTransformerTIMM
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from workbook.data.augmentation import Augmentation, View
from workbook.pretraining.method import Encoder, Method, Moment, StepResult, embedding_spread


@dataclass(frozen=True, kw_only=True)
class Mae:
    name: str = field(default="MAE", init=False)
    mask_ratio: float = 0.75
    decoder_dim: int = 512
    decoder_depth: int = 8
    decoder_heads: int = 16

    def create(self, encoder: Encoder, num_classes: int) -> "MaskedAutoencoder":
        return MaskedAutoencoder(self, encoder)


class MaskedAutoencoder(Method):
    """A method without labels, pairs or projector: the decoder stands between the backbone and the loss."""

    def __init__(self, objective: Mae, encoder: Encoder) -> None:
        vit = encoder.backbone.model
        if not isinstance(vit, VisionTransformer):
            raise ValueError(
                f"MAE hides patches of a vision transformer, got {type(vit).__name__}: take a ViT backbone"
            )
        if encoder.projector is not None:
            raise ValueError("MAE has a decoder where other methods have a projector: use projector=None")
        super().__init__(encoder)
        MaskedVisionTransformerTIMM(vit)  # MAE's own initialisation, fixed sine-cosine positions included
        self.mask_ratio, self.patch = objective.mask_ratio, vit.patch_embed.patch_size[0]
        self.tokens = vit.patch_embed.num_patches + vit.num_prefix_tokens
        self.embed = nn.Linear(vit.embed_dim, objective.decoder_dim)
        self.decoder = MaskedVisionTransformerDecoderTIMM(
            vit.patch_embed.num_patches,
            objective.decoder_dim,
            objective.decoder_depth,
            objective.decoder_heads,
            vit.num_prefix_tokens,
        )
        self.predict = nn.Linear(objective.decoder_dim, 3 * self.patch**2)

    def views(self, augmentation: Augmentation, size: int) -> tuple[View, ...]:
        return (View(augmentation.view(None), size),)

    def forward(self, views: list[Tensor], labels: Tensor, moment: Moment) -> StepResult:
        images = self.backbone.normalised(views[0])
        kept, hidden = utils.random_token_mask((len(images), self.tokens), self.mask_ratio, device=images.device)
        # only a way to call the backbone: as a part of this module its weights would be stored twice
        masked = MaskedVisionTransformerTIMM(
            self.backbone.model, weight_initialization="skip", pos_embed_initialization="skip"
        )
        encoded = masked.to(images.device).encode(images, idx_keep=kept)
        painted = utils.repeat_token(self.decoder.mask_token, (len(images), self.tokens))
        painted = utils.set_at_index(painted, kept, self.embed(encoded).type_as(painted))
        predicted = self.predict(utils.get_at_index(self.decoder(painted), hidden))
        # the first token is the class token, which is never hidden: patch p is token p + 1
        patches = utils.get_at_index(utils.patchify(images, self.patch), hidden - 1)
        loss = F.mse_loss(predicted.float(), utils.normalize_mean_var(patches))
        return StepResult(loss, spread=embedding_spread(encoded[:, 0]))
