import numpy as np

from workbook.figures.colourings import by_answer, by_number, by_side


def test_sides_and_answers_have_two_colours_and_words_for_them():
    sides = by_side(["pre", "eval", "pre"])
    assert sides.colours[0] == sides.colours[2] != sides.colours[1]
    assert dict(sides.legend) == {sides.colours[0]: "pre-D", sides.colours[1]: "eval-D"}
    answers = by_answer(np.array([True, False, True, True]))
    assert dict(answers.legend) == {answers.colours[0]: "right, 75.0 %", answers.colours[1]: "wrong, 25.0 %"}


def test_numbers_run_through_a_scale_and_what_is_not_known_is_grey():
    found = by_number(np.array([2.0, 4.0, 3.0, np.nan, 2.0]))
    assert len(set(found.colours)) == 4 and found.colours[0] == found.colours[4]
    assert [words for _, words in found.legend] == ["2", "2.5", "3", "3.5", "4", "not known"]
    assert (found.legend[0][0], found.legend[4][0]) == found.colours[:2]
    assert len(set(by_number(np.full(3, 7.0)).colours)) == 1


def test_the_ends_of_a_circular_number_have_nearly_one_colour():
    found = by_number(np.array([0.0, 1.0, 0.5]), period=1.0)
    assert found.colours[0] == found.colours[1] != found.colours[2]
