import inspect

import pytest

from workbook import errors

KINDS = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if kind.__module__ == errors.__name__]
KINDS.remove(errors.Interrupted)  # which no `except Exception` may take


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_the_root_catches_all(kind):
    assert issubclass(kind, errors.WorkbookError) and not issubclass(kind, OSError | ValueError)
    with pytest.raises(errors.WorkbookError, match="what to do next"):
        raise kind("what to do next")


def test_what_is_not_stored_says_whether_a_part_of_it_is():
    assert issubclass(errors.NotStoredError, errors.StoreError)
    assert [errors.NotStoredError("gone", unfinished=part).unfinished for part in (True, False)] == [True, False]
    assert not errors.NotStoredError("gone").unfinished


def test_the_nearest_are_named_whatever_their_capitals():
    assert errors.did_you_mean("sl-mlp", ["SL-MLP", "BYOL"]) == " (did you mean 'SL-MLP'?)"
    assert errors.did_you_mean("epoch", ["epochs", "epoch_s", "epoches", "epochss"]).count("'") == 2 * 3
    assert errors.did_you_mean("zzz", ["epochs"]) == ""


def test_few_names_are_listed_and_of_many_the_nearest_three():
    few, many = list("abcdefghijkl"), [f"epochs{number}" for number in range(70)]
    assert errors.known_names("z", few) == f"; known: {', '.join(few)}"
    assert errors.known_names("x", []) == "; known: none"
    told = errors.known_names("epoch", many, "`workbook profile`")
    assert told.startswith(" (did you mean ") and told.count("epochs") == 3
    assert told.endswith("?); `workbook profile` lists them all")
    assert errors.known_names("zzz", many).startswith("; the nearest of 70: epochs")


def test_an_interrupt_says_what_goes_on_and_once():
    said = "^Interrupted: run this again, and the inner goes on$"
    outer, inner = errors.going_on("the outer goes on"), errors.going_on("the inner goes on")
    with pytest.raises(KeyboardInterrupt, match=said) as told, outer, inner:
        raise KeyboardInterrupt
    assert told.value._render_traceback_() == [str(told.value)]
