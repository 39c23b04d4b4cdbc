"""MLP projectors: what stands between the backbone and the loss while pretraining."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class UnitLength(nn.Module):
    """Vectors (N, D) at length 1; a vector of zeros stays one."""

    def forward(self, features: Tensor) -> Tensor:
        return F.normalize(features, dim=1)


class Reweighting(nn.Module):
    """Channel i of (N, D), from 0, times kappa^-i: fixed, and in place of an MLP (Xue et al. 2024, 2403.11391)."""

    weights: Tensor  # (D,)

    def __init__(self, width: int, kappa: float) -> None:
        super().__init__()
        self.register_buffer("weights", (kappa ** -torch.arange(width, dtype=torch.float64)).float(), persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        return features * self.weights


class MLPProjector(nn.Module):
    """Input FC - batch norm - ReLU - output FC, each of them removable (A 4.1 and Table 5).

    Maps (N, in_dim) to (N, out_features). The input FC has a bias, the output FC has none: that and only
    that gives Table 5's parameter counts. Without the input FC the hidden width is `in_dim`; without the
    output FC the output is the hidden vector. `count` such projectors follow each other (A Fig. 10a).

    What later work has: `hidden_layers` of input FC, norm and ReLU before the output FC, a GELU in place of the ReLU,
    and vectors of length 1 to begin with (Sariyildiz et al. 2023); or channels weighted by `kappa` (see `Reweighting`),
    before all else. Raises ValueError for a width or number below 1, a kappa not above 0, no component, and several
    hidden layers without an input FC.
    """

    def __init__(
        self,
        in_dim: int,
        hidden_dim: int,
        out_dim: int,
        *,
        input_fc: bool = True,
        norm: bool = True,
        relu: bool = True,
        output_fc: bool = True,
        count: int = 1,
        hidden_layers: int = 1,
        gelu: bool = False,
        unit_input: bool = False,
        kappa: float | None = None,
    ) -> None:
        super().__init__()
        numbers = {"in_dim": in_dim, "hidden_dim": hidden_dim, "out_dim": out_dim, "count": count}
        for name, number in (numbers | {"hidden_layers": hidden_layers}).items():
            if number < 1:
                raise ValueError(f"{name} must be at least 1, got {number}")
        if kappa is not None and kappa <= 0:
            raise ValueError(f"kappa must be above 0, got {kappa}")
        if not (input_fc or norm or relu or output_fc or unit_input or kappa):
            raise ValueError("a projector without any component is no projector: use projector=None")
        if hidden_layers > 1 and not input_fc:
            raise ValueError(f"{hidden_layers} hidden layers need an input FC each, got input_fc=False")
        layers: list[nn.Module] = []
        if kappa:
            layers.append(Reweighting(in_dim, kappa))
        if unit_input:
            layers.append(UnitLength())
        width = in_dim
        for _ in range(count):
            for _ in range(hidden_layers):
                if input_fc:
                    layers.append(nn.Linear(width, hidden_dim))
                    width = hidden_dim
                if norm:
                    layers.append(nn.BatchNorm1d(width))
                if relu:
                    layers.append(nn.GELU() if gelu else nn.ReLU(inplace=bool(layers)))
            if output_fc:
                layers.append(nn.Linear(width, out_dim, bias=False))
                width = out_dim
        self.layers = nn.Sequential(*layers)
        self.out_features = width

    def forward(self, features: Tensor) -> Tensor:
        return self.layers(features)
