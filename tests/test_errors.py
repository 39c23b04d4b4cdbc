import inspect

import pytest

from workbook import errors

KINDS = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if kind.__module__ == errors.__name__]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_the_root_catches_all(kind):
    assert issubclass(kind, errors.WorkbookError) and not issubclass(kind, OSError | ValueError)
    with pytest.raises(errors.WorkbookError, match="what to do next"):
        raise kind("what to do next")


def test_what_is_not_stored_says_whether_a_part_of_it_is():
    assert issubclass(errors.NotStoredError, errors.StoreError)
    assert [errors.NotStoredError("gone", unfinished=part).unfinished for part in (True, False)] == [True, False]
    assert not errors.NotStoredError("gone").unfinished
