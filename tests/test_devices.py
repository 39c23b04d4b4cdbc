import pytest
import torch

from workbook import devices
from workbook.devices import DEVICES, PRECISIONS, choose_device, make_fabric, precision_of
from workbook.errors import WorkbookError


@pytest.mark.parametrize(
    ("flags", "auto"),
    [
        ("avx512f amx_bf16 amx_tile", "bf16-mixed"),
        ("avx2 avx512_bf16", "bf16-mixed"),
        ("avx2 avx512f", "32-true"),
        (None, "32-true"),
    ],
    ids=["AMX", "AVX-512", "without", "no file"],
)
def test_cpus_compute_in_bfloat16_where_they_have_instructions_for_it_or_are_asked(monkeypatch, tmp_path, flags, auto):
    monkeypatch.setattr(devices, "_CPU", tmp_path / "cpuinfo")
    if flags:
        devices._CPU.write_text(f"processor\t: 0\nflags\t\t: fpu {flags}\n")
    found = [precision_of(make_fabric("cpu", precision)) for precision in PRECISIONS]
    assert found == [auto, "32-true", "bf16-mixed"]


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


def test_processes_that_torchrun_may_start_again_are_told_what_that_takes(monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_MAX_RESTARTS", "3")
    monkeypatch.setenv("TORCHELASTIC_USE_AGENT_STORE", "True")
    with pytest.raises(WorkbookError, match="give it TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1"):
        make_fabric("cpu", "float32")
    monkeypatch.setenv("TORCHELASTIC_USE_AGENT_STORE", "False")
    assert make_fabric("cpu", "float32").world_size == 1
