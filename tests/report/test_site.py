"""The site: made of stand-ins for the reports, with MkDocs' own check of every link."""

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.report import site
from tests.report.links import dead_links
from workbook.files import CHECKOUT

KEPT, MARK = "results/pocket/15_semantic_gap.html", "A.theorem.order"
REPORT = f"""<title>a report</title>
<a href="../../workbook/probes/linear.py">our function</a> <a href="../../tests/test_house.py">a test</a>
<a href="../../notebooks/{KEPT}#{MARK}">a kept page</a>"""
LIMIT = 1200  # words; what is more is a page of the site


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """The site, as a reader gets it who has no repository to look into."""
    root = tmp_path_factory.mktemp("site")
    reports = root / "reports"
    reports.mkdir()
    for path in CHECKOUT.glob("notebooks/*.ipynb"):
        (reports / f"{path.stem}.html").write_text(REPORT)
    (reports / "index.html").write_text("<title>an index</title>")
    hook = root / "hook.py"
    hook.write_text(
        "from pathlib import Path\n"
        "from tests.report import site\n"
        "from tests.report.site import on_files, on_page_markdown\n"
        f"site.REPORTS = Path({str(reports)!r})\n"
    )
    config = (CHECKOUT / "mkdocs.yml").read_text(encoding="utf-8")
    config = config.replace("docs_dir: notebooks", f"docs_dir: {CHECKOUT / 'notebooks'}")
    config = config.replace("tests/report/site.py", str(hook)).replace("paths: [.]", f"paths: [{CHECKOUT}]")
    (root / "mkdocs.yml").write_text(config)
    places = ["-f", str(root / "mkdocs.yml"), "-d", str(root / "out")]
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", *places]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return root / "out"


def test_every_link_leads_to_a_page_and_a_place_in_it(built):
    assert len(list(built.rglob("*.html"))) > 50
    wrong = [told for told in dead_links(built) if not told.startswith("404.html")]  # which is for a server
    assert wrong == []


def test_nothing_is_fetched_from_elsewhere(built):
    loaded = re.compile(r"<(?:link|script|img)[^>]*(?:href|src)=\"(https?:[^\"]+)")
    found = {url for path in built.rglob("*.html") for url in loaded.findall(path.read_text(encoding="utf-8"))}
    assert found == set()


def test_the_reference_has_every_public_module_and_its_functions(built):
    text = "".join(path.read_text(encoding="utf-8") for path in built.glob("docs/api/*.html"))
    for modules in site.rooms().values():
        assert all(f'id="{module}"' in text for module in modules)
    for name in ("metrics.redundancy.feature_redundancy", "probes.linear.linear_probe"):
        assert f'id="workbook.{name}"' in text


def test_the_gallery_has_a_card_for_every_notebook(built):
    text = (built / "docs/gallery.html").read_text(encoding="utf-8")
    links = Counter(re.findall(r'href="\.\./reports/(\w+)\.html"', text))
    names = {path.stem for path in CHECKOUT.glob("notebooks/*.ipynb")}
    assert set(links) == names - {"00_start_here"} | {"index"} and set(links.values()) == {1}
    assert 'src="../results/pocket/01_stagewise_evaluation.png"' in text


def test_a_report_leads_to_the_docstrings_of_what_it_calls(built):
    text = (built / "reports/01_stagewise_evaluation.html").read_text(encoding="utf-8")
    assert '<a href="../docs/api/probes.html#workbook.probes.linear">our function</a>' in text
    assert "<a >a test</a>" in text, "it is nowhere on the site"


def test_pages_that_are_kept_are_on_the_site_and_what_was_found_leads_there(built):
    text = (built / "reports/01_stagewise_evaluation.html").read_text(encoding="utf-8")
    assert f'<a href="../{KEPT}#{MARK}">a kept page</a>' in text
    results = (built / "docs/results.html").read_text(encoding="utf-8")
    for page in CHECKOUT.glob("notebooks/results/*/*.html"):
        assert f'href="../{page.relative_to(CHECKOUT / "notebooks")}"' in results


def test_a_link_into_the_repository_leads_there_where_it_is_known():
    link = site._LINK.fullmatch("[claims](../workbook/papers/claims.csv)")
    assert site._led_on(link, "", "https://host/project/") == (
        "[claims](https://host/project/blob/main/workbook/papers/claims.csv)"
    )
    assert site._led_on(link, "", "") == "claims"


def test_the_readme_is_short_and_its_links_exist():
    text = (CHECKOUT / "README.md").read_text(encoding="utf-8")
    assert len(text.split()) <= LIMIT
    links = re.findall(r"\]\((?!https?:)([^)#]+)", text)
    assert links and [link for link in links if not (CHECKOUT / link).exists()] == []
