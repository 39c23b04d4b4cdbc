"""The door, and how features are read: the same for every metric of features."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.metrics.brute_force import clusters
from workbook import metrics
from workbook.metrics import blocks


def mixture(features, labels):
    return metrics.feature_mixture(features, labels, [True, False, True, False], k=2)


def a_number(name):
    """A measure of the catalogue as one number."""
    measure = metrics.MEASURES[name]

    def call(features, labels):
        found = measure.function(features, *(() if measure.needs == "features" else (labels,)))
        return sum(found.values()) if isinstance(found, dict) else found

    return call


# the passes over all that each of the catalogue makes; what takes a sample of the rows is not here
PASSES = {
    **dict.fromkeys(["RankMe", "effective rank", "participation ratio", "NESum", "R", "Pi"], 1),
    **dict.fromkeys(["phi", "V_intra", "S_inter", "alignment", "NC1", "NC2", "CDNV"], 1),
    **dict.fromkeys(["LogME", "H-score", "regularised H-score"], 1),
    **dict.fromkeys(["class-mean accuracy", "directional CDNV", "TransRate", "NCTI", "GBC", "diagonal GBC"], 2),
    "MSC": 2,
    "SFDA": 3,
}
SMALL = {name: measure for name, measure in metrics.MEASURES.items() if name != "NLEEP"}  # which needs 200 samples
LABELLED = {name: a_number(name) for name, measure in SMALL.items() if measure.needs == "labels"} | {"Pi": mixture}
ALL = LABELLED | {
    **{name: a_number(name) for name, measure in SMALL.items() if measure.needs == "features"},
    "linear_cka": lambda x, y: metrics.linear_cka(x, x[:, :3]),
    "linear_cka, wide": lambda x, y: metrics.linear_cka(x.reshape(2, -1), x.reshape(2, -1)),
    "minibatch_cka": lambda x, y: metrics.minibatch_cka([(x, x[:, :3])]),
}
labelled = pytest.mark.parametrize("metric", LABELLED.values(), ids=LABELLED)
every = pytest.mark.parametrize("metric", ALL.values(), ids=ALL)


@every
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_features_must_be_finite(metric, value):
    x, y = clusters()
    x[17, 2] = value
    with pytest.raises(ValueError, match=rf"must be finite, got {value} in row \d+"):
        metric(x, y)


def test_the_row_that_is_not_finite_is_named_in_any_block(monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK_SIZE", 40)
    x, _ = clusters()
    x[17, 2] = np.nan
    with pytest.raises(ValueError, match="in row 17$"):
        metrics.feature_redundancy(torch.from_numpy(x).half())


BAD_FEATURES = {
    "one axis": (np.zeros(26), r"shape \(N, D\), neither of them 0, got \(26,\)"),
    "no rows": (np.zeros((0, 4)), r"got \(0, 4\)"),
    "no channels": (torch.zeros(26, 0), r"got \(26, 0\)"),
    "integers": (torch.zeros(26, 4, dtype=torch.int64), r"floating-point numbers, got torch\.int64"),
    "integer array": (np.zeros((26, 4), dtype=np.uint8), "floating-point numbers, got uint8"),
    "a list": ([[1.0, 2.0]], "a tensor or an array, got list"),
}


@labelled
@pytest.mark.parametrize(("features", "message"), BAD_FEATURES.values(), ids=BAD_FEATURES)
def test_bad_features(metric, features, message):
    with pytest.raises(ValueError, match=f"^features .*{message}"):
        metric(features, np.arange(26) % 4)


BAD_LABELS = {
    "one short": (np.arange(25) % 4, r"labels must have shape \(26,\), got \(25,\)"),
    "two axes": (np.zeros((26, 1), dtype=int), r"got \(26, 1\)"),
    "floats": (np.zeros(26), "labels must be integers, got float64"),
    "float tensor": (torch.zeros(26), "labels must be integers, got float32"),
    "truth values": (np.arange(26) < 9, "labels must be integers, got bool"),
    "one class": (np.full(26, 7), r"at least two classes, got \[7\]"),
}


@labelled
@pytest.mark.parametrize(("labels", "message"), BAD_LABELS.values(), ids=BAD_LABELS)
def test_bad_labels(metric, labels, message):
    with pytest.raises(ValueError, match=message):
        metric(clusters()[0], labels)


@every
def test_a_tensor_that_learns_is_read_and_not_changed(metric):
    x, y = clusters()
    tensor = torch.from_numpy(x.copy()).requires_grad_()
    value = metric(tensor, torch.from_numpy(y))
    assert isinstance(value, float)
    assert value == metric(x, y)
    assert np.array_equal(tensor.detach().numpy(), x)


class CountingMap(np.memmap):
    """A memory map that notes how many numbers each access hands out."""

    handed_out: list[int]

    def __getitem__(self, index):
        part = np.memmap.__getitem__(self, index).view(np.ndarray)
        self.handed_out.append(part.size)
        return part


@pytest.fixture
def counting_map(tmp_path) -> CountingMap:
    x = np.random.default_rng(0).normal(size=(1001, 4)).astype(np.float16)
    x.tofile(tmp_path / "features")
    features = CountingMap(tmp_path / "features", dtype=np.float16, mode="r", shape=x.shape)
    features.handed_out = []
    return features


@pytest.mark.parametrize("name", PASSES)
def test_a_memory_map_is_read_in_blocks(name, counting_map, monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK_SIZE", 128)
    y = np.arange(1001) % 4
    value = ALL[name](counting_map, y)
    assert max(counting_map.handed_out) <= 128
    # each pass once over all, the first sample of each class, and the first of all
    assert counting_map.size <= sum(counting_map.handed_out) <= PASSES[name] * counting_map.size + 16 + 4
    monkeypatch.undo()
    assert value == pytest.approx(ALL[name](np.fromfile(counting_map.filename, np.float16).reshape(1001, 4), y))


@pytest.mark.parametrize("cka_rows", [1001, 50], ids=["channels", "samples"])
def test_cka_reads_memory_maps_in_blocks(cka_rows, counting_map, monkeypatch):
    monkeypatch.setattr("workbook.metrics.similarity.BLOCK_SIZE", 128)
    monkeypatch.setattr(blocks, "BLOCK_SIZE", 128)
    wide = np.memmap(counting_map.filename, dtype=np.float16, mode="r", shape=(cka_rows, 4004 // cka_rows)).view(
        CountingMap
    )
    wide.handed_out = []
    assert metrics.linear_cka(wide, wide) == pytest.approx(1)
    assert max(wide.handed_out) <= 128


SMAPS = Path("/proc/self/smaps")  # Linux: how much of each mapped file is part of this process's memory


def resident_kib(path: Path) -> int:
    _, _, entry = SMAPS.read_text().partition(f"{path}\n")
    return int(re.search(r"^Rss:\s+(\d+) kB", entry, re.MULTILINE)[1])


@pytest.mark.skipif(not SMAPS.exists(), reason="needs /proc")
@pytest.mark.parametrize(("mode", "given_back"), [("r", True), ("r+", True), ("c", False)])
def test_pages_that_were_read_are_given_back_but_never_unsaved_changes(mode, given_back, tmp_path):
    path = tmp_path / "x.npy"
    np.save(path, np.tile(clusters()[0], (500, 1)))
    features = np.load(path, mmap_mode=mode)
    if mode != "r":
        features[3] = 5.0
    for view in (features, np.asarray(features)[1:, :]):
        metrics.feature_redundancy(view)
        assert (resident_kib(path) == 0) == given_back
    if mode != "r":
        assert (features[3] == 5.0).all()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@every
def test_cuda_agrees_with_the_cpu(metric):
    x, y = clusters()
    assert metric(torch.from_numpy(x).cuda(), torch.from_numpy(y).cuda()) == pytest.approx(metric(x, y), rel=1e-9)
