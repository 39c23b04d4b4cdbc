"""MLP projectors: what stands between the backbone and the loss while pretraining."""

from torch import Tensor, nn


class MLPProjector(nn.Module):
    """Input FC - batch norm - ReLU - output FC, each of them removable (A 4.1 and Table 5).

    Maps (N, in_dim) to (N, out_features). The input FC has a bias, the output FC has none: that and only
    that gives Table 5's parameter counts. Without the input FC the hidden width is `in_dim`; without the
    output FC the output is the hidden vector. `count` such projectors follow each other (A Fig. 10a).
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
    ) -> None:
        super().__init__()
        for name, number in (("in_dim", in_dim), ("hidden_dim", hidden_dim), ("out_dim", out_dim), ("count", count)):
            if number < 1:
                raise ValueError(f"{name} must be at least 1, got {number}")
        if not (input_fc or norm or relu or output_fc):
            raise ValueError("a projector without any component is no projector: use projector=None")
        layers: list[nn.Module] = []
        width = in_dim
        for _ in range(count):
            hidden = hidden_dim if input_fc else width
            if input_fc:
                layers.append(nn.Linear(width, hidden_dim))
            if norm:
                layers.append(nn.BatchNorm1d(hidden))
            if relu:
                layers.append(nn.ReLU(inplace=bool(layers)))
            if output_fc:
                layers.append(nn.Linear(hidden, out_dim, bias=False))
            width = out_dim if output_fc else hidden
        self.layers = nn.Sequential(*layers)
        self.out_features = width

    def forward(self, features: Tensor) -> Tensor:
        return self.layers(features)
