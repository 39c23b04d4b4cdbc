import pytest

from workbook.devices import make_fabric


def test_cpus_compute_in_float32_unless_asked():
    assert make_fabric("cpu")._precision.precision == "32-true"
    assert make_fabric("cpu", "bfloat16")._precision.precision == "bf16-mixed"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(("gpu",), "device must be .* got 'gpu'"), (("cpu", "bf16"), "precision must be .* got 'bf16'")],
)
def test_refusals(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_fabric(*arguments)
