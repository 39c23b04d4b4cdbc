import json
from importlib.metadata import version

import torch
from joblib import cpu_count

from workbook.provenance import hardware, provenance


def test_it_is_plain_and_says_code_libraries_and_hardware():
    found = provenance()
    assert json.loads(json.dumps(found)) == found
    assert set(found) == {"date", "code", "python", "libraries", "hardware", "threads"}
    assert found["libraries"]["torch"] == version("torch")
    assert found["threads"] == torch.get_num_threads() and found["date"].endswith("+00:00")


def test_the_hardware_is_one_line():
    text = hardware()
    assert text and "\n" not in text
    if not torch.cuda.is_available():
        assert f"{cpu_count()} core" in text
