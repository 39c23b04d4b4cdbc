from dataclasses import dataclass
from typing import Annotated

import pytest

from workbook.errors import ProfileError
from workbook.fields import Count, Positive, check_fields, one_of


@dataclass(frozen=True, kw_only=True)
class Part:
    rates: tuple[Positive, ...] = (1.0,)
    size: Count | None = None
    kind: Annotated[str, one_of(("round", "square"))] = "round"

    def __post_init__(self) -> None:
        check_fields(self, ProfileError)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"rates": (1.0, -2.0)}, r"rates\[1\] must be greater than 0, got -2.0"),
        ({"rates": (float("nan"),)}, r"rates\[0\] must be a finite number, got nan"),
        ({"rates": 3}, r"rates takes list\[float, ...\], got 3"),
        ({"size": 0}, "size must be at least 1, got 0"),
        ({"size": True}, r"size takes int \| None, got True"),
        ({"kind": "rond"}, r"kind: 'rond' is unknown \(did you mean 'round'\?\); known: round, square"),
    ],
)
def test_a_field_holds_what_its_type_says(given, message):
    with pytest.raises(ProfileError, match=message):
        Part(**given)
    assert Part(size=3, rates=(1, 2)).size == 3
