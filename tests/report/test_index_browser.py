"""The index in a browser: filters by click, by key and by address, and the gallery."""

import pandas as pd
import pytest

from tests.report.conftest import build
from tests.report.records import put, put_notebook, verdict
from workbook.papers.claims import CLAIMS, claims_of
from workbook.report.index import write_index

DROPS, RISES, CIS = "A.stages.sl-drops", "A.stages.slmlp-rises", "B.cis.linear.spectral.spearman"
STAGES, PREDICTS = "01_stagewise_evaluation", "10_what_predicts_transfer"


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """An index, as a file: of two notebooks, the second of which failed, with an adopted result beside them."""
    with pytest.MonkeyPatch.context() as patch:
        return written(build(tmp_path_factory.mktemp("index"), patch))


def written(base):
    out = base / "reports/pocket"
    put(out, STAGES, [verdict(DROPS), verdict(RISES, "differs") | {"measured": 2.5}])
    put(out, PREDICTS, [verdict(CIS)], status="failed", error="KeyError: 'x'", cell=3)
    put(base / "notebooks/results/study", STAGES, [verdict(DROPS, "inconclusive")], profile="study")
    put_notebook(out / f"{STAGES}.ipynb")
    put_notebook(out / f"{PREDICTS}.ipynb")
    for name in (STAGES, PREDICTS):
        (out / f"{name}.html").write_text("<h1>a report</h1>")
    assert write_index(out, profile="pocket").status == "passed"
    return (out / "index.html").as_uri()


@pytest.fixture
def page(browser, address):
    """The index, opened anew; a failing script fails the test."""
    context = browser.new_context(offline=True)
    page = context.new_page()
    page.set_default_timeout(20_000)
    errors = []
    page.on("pageerror", lambda error: errors.append(error))
    page.goto(address)
    yield page
    context.close()
    assert not errors


def shown(page) -> list[str]:
    return page.locator(".claim:visible").evaluate_all("claims => claims.map(claim => claim.id)")


def press(page, filter: str, value: str) -> None:
    page.locator(f'button[data-filter="{filter}"][data-value="{value}"]').click()


def test_filters_by_click_and_keeps_them_in_the_address(page):
    assert shown(page) == list(dict.fromkeys(shown(page)))
    assert set(shown(page)) == set(CLAIMS)
    press(page, "paper", "B")
    assert set(shown(page)) == {claim for claim in CLAIMS if claim.startswith("B.")}
    press(page, "verdict", "failed run")
    assert CIS in shown(page)
    assert DROPS not in shown(page)
    assert page.evaluate("location.hash") == "#paper=B&verdict=failed%20run"
    press(page, "paper", "B")
    press(page, "verdict", "failed run")
    press(page, "verdict", "inconclusive")  # by the strongest evidence, which is not this folder's
    press(page, "verdict", "differs")
    assert shown(page) == [DROPS, RISES]
    assert page.locator(".shown").inner_text() == f"2 of {len(CLAIMS)} claims"
    page.reload()
    assert shown(page) == [DROPS, RISES]


def test_a_profile_hides_what_others_found(page):
    press(page, "profile", "study")
    assert shown(page) == [DROPS]
    assert page.locator(".finding:visible").evaluate_all("all => all.map(f => f.dataset.verdict)") == ["inconclusive"]
    press(page, "verdict", "agrees")
    assert shown(page) == []
    press(page, "profile", "pocket")
    assert shown(page) == [DROPS]


def test_filters_by_keyboard(page):
    page.locator('button[data-value="A"]').focus()
    page.keyboard.press("Space")
    assert page.evaluate("location.hash") == "#paper=A"
    for _ in range(4):  # past B's and this workbook's own to the second verdict
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    assert shown(page) == [RISES]
    assert page.evaluate("document.activeElement.getAttribute('aria-pressed')") == "true"
    page.keyboard.press("Tab")  # the bar is one stop: the next is a link of the claims
    assert page.evaluate("document.activeElement.closest('.topic') !== null")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Escape")
    assert len(shown(page)) == len(CLAIMS)
    assert page.evaluate("location.hash") == ""
    page.keyboard.press("End")
    assert page.evaluate("document.activeElement.dataset.value") == "study"
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.dataset.value") == "A"


def test_search_narrows_by_words_of_a_claim_its_id_and_its_notebook(page):
    page.get_by_role("searchbox").fill("loses stage")
    assert DROPS in shown(page) and RISES not in shown(page)
    page.get_by_role("searchbox").fill(RISES.upper())
    assert shown(page) == [RISES] and page.evaluate("location.hash") == f"#search={RISES.upper()}"
    page.get_by_role("searchbox").fill(STAGES)
    assert set(shown(page)) == {claim.id for claim in claims_of(STAGES)}
    page.reload()
    assert set(shown(page)) == {claim.id for claim in claims_of(STAGES)}
    page.get_by_role("searchbox").fill("")
    assert len(shown(page)) == len(CLAIMS) and page.evaluate("location.hash") == ""


def test_claims_are_sorted_by_verdict_effect_and_paper_and_back_by_topic(page):
    as_listed, order = shown(page), page.get_by_role("combobox")
    order.select_option("verdict")
    assert shown(page)[:2] == [RISES, DROPS], "what differs before what is inconclusive"
    assert page.locator(".topic h3:visible").first.inner_text() == "differs"
    order.select_option("effect")
    units = page.locator(".topic").filter(has=page.locator(f'[id="{DROPS}"]'))
    assert units.locator("h3").inner_text() == "Effect in points"
    assert units.locator(".claim").evaluate_all("all => all.slice(0, 2).map(claim => claim.id)") == [RISES, DROPS]
    order.select_option("paper")
    assert [claim[0] for claim in shown(page)] == sorted(claim[0] for claim in shown(page))
    page.reload()
    assert order.input_value() == "paper"
    order.select_option("topic")
    assert shown(page) == as_listed


def test_the_list_is_saved_as_it_is_shown(page):
    page.get_by_role("searchbox").fill(STAGES)
    press(page, "verdict", "inconclusive")
    with page.expect_download() as download:
        page.get_by_role("button", name="Save as CSV", exact=True).click()
    table = pd.read_csv(download.value.path())
    assert list(table["profile"]) == ["study", "pocket"] and set(table["claim"]) == {DROPS}
    assert list(table["verdict"]) == ["inconclusive", "agrees"]
    row, claim = table.iloc[0], CLAIMS[DROPS]
    assert (row["measured"], row["low"], row["high"], row["counted"]) == (2, 1, 3, "3 seeds")
    assert (row["statement"], row["place"], row["unit"]) == (claim.statement, claim.place, claim.unit)


def test_the_counts_on_top_are_links_to_their_claims(page):
    page.locator("header .chips a", has_text="differs").click()
    assert shown(page) == [RISES]
    page.go_back()
    assert len(shown(page)) == len(CLAIMS)


def test_an_address_leads_to_a_claim(page, address):
    page.goto(f"{address}#{RISES}")
    assert page.locator(f'[id="{RISES}"]').evaluate("claim => claim.matches(':target')")
    assert len(shown(page)) == len(CLAIMS)


def test_the_gallery_draws_when_it_comes_into_sight(browser, address):
    context = browser.new_context(offline=True, viewport={"width": 390, "height": 500})
    page = context.new_page()
    page.goto(address)
    figures = page.locator(".figure")
    assert figures.count() == 2
    for number in range(2):
        figures.nth(number).scroll_into_view_if_needed()
        page.wait_for_function("n => document.querySelectorAll('.figure.drawn').length > n", arg=number, timeout=20_000)
    assert page.locator(".figure .scatterlayer path.js-line").count() == 2
    mark = figures.nth(1).locator(".chip")
    assert "before the run failed" in mark.inner_text()
    on_top = "e => { const r = e.getBoundingClientRect(); return document.elementFromPoint(r.x + 9, r.y + 9) === e; }"
    assert mark.evaluate(on_top), "the mark lies over the figure"
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing wider than a phone"
    context.close()


def test_links_lead_somewhere(page):
    page.locator(f'[id="{DROPS}"] a', has_text="report").click()
    assert page.locator("h1").inner_text() == "a report"
