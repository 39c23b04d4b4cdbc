import numpy as np
import pytest

from workbook.explorers.features.view import opened, shared

STATE = {"left": ["SL"], "map": ["t-SNE"], "class": ["oak & elm", "a,b"]}
DIGEST = "0123456789abcdef"


@pytest.mark.parametrize("selected", [None, [0], [3, 4, 5], [0, 1, 2, 7, 9, 10]])
def test_a_view_comes_back_from_its_text_and_from_a_link(selected):
    chosen = None if selected is None else np.array(selected)
    text = shared(DIGEST, STATE, chosen)
    for way in (text, f" {text}\n", f"http://127.0.0.1:8866/?{text}", f"?token=1&{text}"):
        state, found = opened(way, DIGEST, 11)
        assert state.items() >= STATE.items()
        assert found is None if selected is None else list(found) == selected


def test_a_selection_of_thousands_fits_into_a_link():
    text = shared(DIGEST, STATE, np.arange(5_000))
    assert len(text) < 100
    assert len(opened(text, DIGEST, 5_000)[1]) == 5_000


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "this is no view"),
        ("left=SL", "this is no view"),
        ("of=76543210&left=SL", "is of other images"),
        ("of=01234567&selected=3-11", "selects '3-11', and the images are numbered from 0 to 10"),
        ("of=01234567&selected=5-3", "selects '5-3'"),
        ("of=01234567&selected=x", "selects 'x'"),
    ],
)
def test_what_is_no_view_of_these_images_is_refused(text, said):
    with pytest.raises(ValueError, match=said):
        opened(text, DIGEST, 11)
