import pytest
import torch

from workbook.devices import DEVICES, PRECISIONS, choose_device, make_fabric, precision_of


def test_cpus_compute_in_float32_unless_asked():
    assert [precision_of(make_fabric("cpu", precision)) for precision in PRECISIONS] == [
        "32-true",
        "32-true",
        "bf16-mixed",
    ]


def test_precision_is_what_is_computed_in():
    layer, x = torch.nn.Linear(2, 2), torch.ones(1, 2)
    for precision, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        with make_fabric("cpu", precision).autocast():
            assert layer(x).dtype == dtype


@pytest.mark.parametrize(("cuda", "mps", "chosen"), [(True, True, "cuda"), (False, True, "mps"), (False, False, "cpu")])
def test_the_fastest_device_there_is(monkeypatch, cuda, mps, chosen):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert choose_device() == chosen
    assert [choose_device(device) for device in DEVICES[1:]] == list(DEVICES[1:])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(("gpu",), "device must be .* got 'gpu'"), (("cpu", "bf16"), "precision must be .* got 'bf16'")],
)
def test_refusals(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_fabric(*arguments)
