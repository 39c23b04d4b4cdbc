"""A model's weights as matrices of features, and its diversity layer by layer (B App. A)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from workbook.metrics.diversity import Components, check_weights, cluster_diversity, spectral_diversity

Kind = Literal["conv", "linear", "attention"]

# Where timm, torchvision and the ResNets for CIFAR keep the classifier.
CLASSIFIERS = ("fc", "classifier", "head", "heads", "head_dist", "linear", "logits", "last_linear")
# Attention layers by their children's names: how many of Q, K and V each holds, one after the other.
_PROJECTIONS: tuple[dict[str, int], ...] = (
    {"qkv": 3},
    {"q": 1, "kv": 2},
    {"q": 1, "k": 1, "v": 1},
    {"q_proj": 1, "k_proj": 1, "v_proj": 1},
    {"query": 1, "key": 1, "value": 1},
)


@dataclass(frozen=True, kw_only=True)
class DiversityChoices:
    """What paper B leaves open about the diversity of a model; the defaults are ours."""

    kinds: tuple[Kind, ...] = ("conv", "linear", "attention")  # the layers that count
    # the classifier does not: a self-supervised model has none, and it does not transfer
    left_out: tuple[str, ...] = CLASSIFIERS  # names of layers, or of modules with all that is in them
    # The filters of a depthwise convolution each read a channel of their own. "joined": one matrix of their spatial
    # patterns; "split": a matrix a filter, whose diversity is a constant (1 by clusters, 0 by spectrum); "left out".
    depthwise: Literal["joined", "split", "left out"] = "joined"
    components: Components = "available"  # d of the spectral area
    average: Literal["layers", "matrices"] = "layers"  # what counts alike in the model's mean

    def __post_init__(self) -> None:
        for name, known in (("depthwise", ("joined", "split", "left out")), ("average", ("layers", "matrices"))):
            if (value := getattr(self, name)) not in known:
                raise ValueError(f"{name} must be one of {', '.join(known)}, got {value!r}")
        if unknown := set(self.kinds) - {"conv", "linear", "attention"}:
            raise ValueError(f"kinds must be among conv, linear, attention, got {sorted(unknown)}")


# B App. J: the diversity of a ViT is that of its "Multi-head Self-attention (MSA) layers"
ATTENTION = DiversityChoices(kinds=("attention",))


class Layer(NamedTuple):
    name: str
    kind: Kind
    matrices: list[Tensor]  # each (n_features, dim)


def weight_features(model: nn.Module, choices: DiversityChoices | None = None) -> dict[str, list[Tensor]]:
    """The weight features of each layer: name -> matrices (n_features, dim), rows are features (B App. A).

    A convolution gives a matrix (out, in * k * k), a grouped one a matrix a group (a depthwise one: see
    `DiversityChoices`), a linear layer (out, in). An attention layer gives Q, K and V of each head as (d_head, in),
    fused or separate; its output projection is a linear layer. App. A cuts the input into heads too; in the models
    that it names every head reads all of it, and so do its features here.
    Norms, embeddings and biases are no features.
    """
    return {layer.name: layer.matrices for layer in weight_layers(model, choices or DiversityChoices())}


def model_diversity(model: nn.Module, choices: DiversityChoices | None = None) -> pd.DataFrame:
    """Diversity of every layer: one row a layer, in the model's order, indexed by its name (B App. B and C).

    Columns: kind, matrices (how many), features and dim (of the first), cluster and spectral (the mean over the
    layer's matrices). `mean_diversity` makes the model's value of it.
    Raises ValueError where no layer counts and where a weight is not finite, with the layer's name.
    """
    choices = choices or DiversityChoices()
    rows = []
    for name, kind, matrices in weight_layers(model, choices):
        try:
            arrays = [check_weights(matrix) for matrix in matrices]
        except (ValueError, NotImplementedError) as error:  # a meta tensor has no values
            raise ValueError(f"layer {name}: {error}") from error
        cluster = sum(map(cluster_diversity, arrays)) / len(arrays)
        spectral = sum(spectral_diversity(array, components=choices.components) for array in arrays) / len(arrays)
        rows.append((name, kind, len(arrays), *arrays[0].shape, cluster, spectral))
    if not rows:
        raise ValueError(f"no layer of {type(model).__name__} counts: there is no weight of {choices.kinds} left")
    columns = ["layer", "kind", "matrices", "features", "dim", "cluster", "spectral"]
    return pd.DataFrame(rows, columns=columns).set_index("layer")


def mean_diversity(layers: pd.DataFrame, choices: DiversityChoices | None = None) -> pd.Series:
    """The model's diversity: the mean of `model_diversity` over its layers, `cluster` and `spectral`, in [0, 1].

    B averages over layers, and calls each head's Q, K and V an operation that is "averaged together with all the
    others"; `average="matrices"` takes that literally and lets every matrix count alike.
    """
    choices = choices or DiversityChoices()
    weights = layers["matrices"] if choices.average == "matrices" else layers["matrices"] ** 0
    return layers[["cluster", "spectral"]].mul(weights, axis=0).sum() / weights.sum()


def weight_layers(model: nn.Module, choices: DiversityChoices) -> Iterator[Layer]:
    """The layers that count, each once, in the model's order."""
    counted: set[int] = set()  # ids of the weights that an attention layer has
    for name, module in model.named_modules():
        layer: Layer | None = None
        if isinstance(module, _ConvNd):
            layer = Layer(name, "conv", _filters(module, choices))
        elif isinstance(module, nn.Linear) and id(module.weight) not in counted:
            layer = Layer(name, "linear", [module.weight.detach()])
        elif parts := _projections(module):
            counted.update(id(weight) for weight, _ in parts)
            layer = Layer(name, "attention", _heads(name, module, parts))
        left_out = f"{name}.".startswith(tuple(f"{module}." for module in choices.left_out))
        if layer and layer.matrices and layer.kind in choices.kinds and not left_out:
            yield layer


def _filters(module: _ConvNd, choices: DiversityChoices) -> list[Tensor]:
    weight, groups = module.weight.detach(), module.groups
    if isinstance(module, _ConvTransposeNd):  # (in, out / groups, ...) to (out, in / groups, ...)
        weight = torch.cat([part.transpose(0, 1) for part in weight.chunk(groups)])
    weight = weight.flatten(1)
    if groups == module.out_channels > 1:
        if choices.depthwise == "left out":
            return []
        if choices.depthwise == "joined":
            return [weight]
    return list(weight.chunk(groups))


def _projections(module: nn.Module) -> list[tuple[Tensor, int]]:
    """The weights of Q, K and V, in this order, each with how many of the three it holds; none if no attention."""
    if isinstance(module, nn.MultiheadAttention):
        if module.in_proj_weight is not None:
            return [(module.in_proj_weight, 3)]
        return [(module.q_proj_weight, 1), (module.k_proj_weight, 1), (module.v_proj_weight, 1)]
    if _head_count(module) is None:
        return []
    linear = {name: child.weight for name, child in module.named_children() if isinstance(child, nn.Linear)}
    for names in _PROJECTIONS:
        if names.keys() <= linear.keys():
            return [(linear[name], count) for name, count in names.items()]
    return []


def _head_count(module: nn.Module) -> int | None:
    counts = (getattr(module, attribute, None) for attribute in ("num_heads", "num_attention_heads"))
    return next((count for count in counts if isinstance(count, int)), None)


def _heads(name: str, module: nn.Module, parts: list[tuple[Tensor, int]]) -> list[Tensor]:
    heads = _head_count(module) or 1
    matrices: list[Tensor] = []
    for weight, count in parts:
        if len(weight) % (count * heads):
            shared = f"{heads} heads with {count} of Q, K and V"
            raise ValueError(f"layer {name}: {len(weight)} rows cannot be shared by {shared}")
        matrices += weight.detach().chunk(count * heads)
    return matrices
