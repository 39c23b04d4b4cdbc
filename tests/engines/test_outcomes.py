import pytest

from workbook.data import load_images
from workbook.data.factors import apply_factors
from workbook.engines.outcomes import outcome_of, packed, unpacked
from workbook.errors import CorruptDataError, EngineError
from workbook.progress import Tally, count_earlier, expect, follow


def test_images_are_opened_where_they_come_to():
    images = load_images("digits", "train").per_class(3)
    sent = packed(images)
    assert len(sent) < 20_000, "without pixels"
    (found,) = unpacked(sent)
    assert found.digest == images.digest and (found.tensor(8) == images.tensor(8)).all()
    (views,) = unpacked(packed(apply_factors(images, views=2).images))
    assert (views.decoded(8) == apply_factors(images, views=2).images.decoded(8)).all()


def test_other_images_under_the_same_name_are_told_with_both_machines(monkeypatch):
    images = load_images("digits", "train")
    monkeypatch.setattr("socket.gethostname", lambda: "home")
    sent = packed(images)
    monkeypatch.setattr("socket.gethostname", lambda: "away")
    monkeypatch.setattr("workbook.data.sources.content_digest", lambda *parts: "other")
    with pytest.raises(CorruptDataError, match="digits, train, .* on away is not what home has.*WORKBOOK_DATA"):
        unpacked(sent)


class Odd(Exception):
    def __init__(self, one, two):
        super().__init__(f"{one} and {two}")


def test_an_error_that_cannot_travel_is_told_in_words():
    def fail(bar):
        raise Odd(1, 2)

    outcome = outcome_of(fail, Tally())
    assert isinstance(outcome.error, EngineError) and str(outcome.error) == "Odd: 1 and 2"
    assert "in fail" in outcome.error.__notes__[0]
    with pytest.raises(EngineError):
        outcome.get()


def test_a_bar_follows_what_another_was_told():
    from tqdm import tqdm

    bar, tally = tqdm(total=100, file=open("/dev/null", "w")), Tally()  # noqa: SIM115
    count_earlier(tally, 20)
    tally.update(30)
    expect(tally, -10)
    before = tally.counts
    follow(bar, Tally().counts, before)
    assert (bar.n, bar.initial, bar.total) == (50, 20, 90)
    again = Tally()  # on another machine, from an earlier state
    count_earlier(again, 40)
    follow(bar, before, again.counts)
    assert (bar.n, bar.initial, bar.total) == (40, 40, 100)
