"""MAE (He et al. 2022): paint the patches that a vision transformer was not shown."""

from dataclasses import dataclass, field

import torch.nn.functional as F
from lightly.models import utils
from lightly.models.modules.masked_vision_transformer_decoder_timm import MaskedVisionTransformerDecoderTIMM
from lightly.models.modules.masked_vision_transformer_timm import MaskedVisionTransformerTIMM
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from workbook.pretraining.model import Encoder, Model, Moment, StepResult, embedding_spread


@dataclass(frozen=True, kw_only=True)
class MAEChoices:
    name: str = field(default="MAE", init=False)
    mask_ratio: float = 0.75
    decoder_dim: int = 512
    decoder_depth: int = 8
    decoder_heads: int = 16


class MAE(Model, choices=MAEChoices):
    """A method without labels, pairs or projector: the decoder stands between the backbone and the loss."""

    view_numbers = (None,)

    def __init__(self, objective: MAEChoices, encoder: Encoder, num_classes: int) -> None:
        vit = encoder.backbone.model
        if not isinstance(vit, VisionTransformer):
            got = type(vit).__name__
            raise ValueError(f"MAE hides patches of a vision transformer, got {got}: take a ViT backbone")
        if encoder.projector is not None:
            raise ValueError("MAE has a decoder where other methods have a projector: use projector=None")
        super().__init__(objective, encoder, num_classes)
        MaskedVisionTransformerTIMM(vit)  # MAE's own initialisation, fixed sine-cosine positions included
        self.patch = vit.patch_embed.patch_size[0]
        self.tokens = vit.patch_embed.num_patches + vit.num_prefix_tokens
        self.embed = nn.Linear(vit.embed_dim, objective.decoder_dim)
        shape = (objective.decoder_dim, objective.decoder_depth, objective.decoder_heads)
        patches, prefix = vit.patch_embed.num_patches, vit.num_prefix_tokens
        self.decoder = MaskedVisionTransformerDecoderTIMM(patches, *shape, prefix)
        self.predict = nn.Linear(objective.decoder_dim, 3 * self.patch**2)

    def forward(self, views: list[Tensor], labels: Tensor, moment: Moment) -> StepResult:
        images = self.backbone.normalised(views[0])
        ratio = self.objective.mask_ratio
        kept, hidden = utils.random_token_mask((len(images), self.tokens), ratio, device=images.device)
        # only a way to call the backbone: as a part of this module its weights would be stored twice
        skipped = {"weight_initialization": "skip", "pos_embed_initialization": "skip"}
        masked = MaskedVisionTransformerTIMM(self.backbone.model, **skipped)
        encoded = masked.to(images.device).encode(images, idx_keep=kept)
        painted = utils.repeat_token(self.decoder.mask_token, (len(images), self.tokens))
        painted = utils.set_at_index(painted, kept, self.embed(encoded).type_as(painted))
        predicted = self.predict(utils.get_at_index(self.decoder(painted), hidden))
        # the first token is the class token, which is never hidden: patch p is token p + 1
        patches = utils.get_at_index(utils.patchify(images, self.patch), hidden - 1)
        loss = F.mse_loss(predicted.float(), utils.normalize_mean_var(patches))
        return StepResult(loss, spread=embedding_spread(encoded[:, 0]))
