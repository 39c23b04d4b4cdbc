"""The index in a browser: filters by click, by key and by address, and the gallery."""

import pytest

from tests.report.conftest import build
from tests.report.records import put, put_notebook, verdict
from workbook.papers.claims import CLAIMS
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
    put(out, STAGES, [verdict(DROPS), verdict(RISES, "differs")])
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
    press(page, "verdict", "agrees")
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


def test_filters_by_keyboard(page):
    page.locator('button[data-value="A"]').focus()
    page.keyboard.press("Space")
    assert page.evaluate("location.hash") == "#paper=A"
    for _ in range(3):  # past B's and this workbook's own to the verdicts
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    assert shown(page) == [DROPS]
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
