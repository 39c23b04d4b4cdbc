"""A training step as one recording: what every step launches anew, replayed on the GPU as a whole."""

from collections.abc import Callable

import torch
from torch import Tensor

from workbook.pretraining.model import Moment, StepResult

Update = Callable[[list[Tensor], Tensor, Moment], StepResult]
# calls before the recording, in which libraries choose their kernels and reserve their memory
_ORDINARY = 5


class Replayed:
    """`update`, at first as it is and then as a CUDA graph of it: the same kernels on the same data, launched at once.

    A small network leaves a GPU waiting for the next of its thousand launches a step. A recording knows no Python:
    the update must launch the same work at every call, on batches of one shape, whatever the moment; must not wait for
    the device; and what changes from call to call, as the learning rate does, must be a tensor that is changed in
    place. What it returns is overwritten by the next call.
    """

    def __init__(self, update: Update, device: torch.device) -> None:
        self.update, self.ordinary = update, _ORDINARY
        self.stream = torch.cuda.Stream(device)
        self.graph = torch.cuda.CUDAGraph()
        self.batch: list[Tensor] = []  # what the recording reads: the views, then the labels
        self.result: StepResult | None = None

    def __call__(self, views: list[Tensor], labels: Tensor, moment: Moment) -> StepResult:
        if self.ordinary:
            self.ordinary -= 1
            return self._apart(views, labels, moment)
        if self.result is None:
            self.batch = [tensor.clone() for tensor in (*views, labels)]
            with torch.cuda.graph(self.graph, stream=self.stream):  # which runs nothing yet
                self.result = self.update(self.batch[:-1], self.batch[-1], moment)
        for place, tensor in zip(self.batch, (*views, labels), strict=True):
            place.copy_(tensor)
        self.graph.replay()
        return self.result

    def _apart(self, views: list[Tensor], labels: Tensor, moment: Moment) -> StepResult:
        """On the stream that records later: gradients remember on which they were first added up."""
        self.stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.stream):
            result = self.update(views, labels, moment)
        torch.cuda.current_stream().wait_stream(self.stream)
        return result
