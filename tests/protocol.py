"""The page `notebooks/protocol.md`, of claims, protocol and simulations: `python -m tests.protocol`."""

import pandas as pd

from tests.papers.simulation import EFFECTS, OUTCOMES, TABLE
from workbook.files import CHECKOUT, write_atomically
from workbook.papers.claims import CLAIMS, Claim, topics
from workbook.papers.protocol import FIRST_SEED, SECOND, seeds_of, spoken
from workbook.papers.statistics import STATISTICS
from workbook.papers.verdicts import printed

PAGE = CHECKOUT / "notebooks" / "protocol.md"
INTRODUCTION = """# Protocol

What a verdict hangs on is fixed before its runs: the statistic, how many and which seeds, the profile with its data, and the data sets. Otherwise one could go on adding seeds until an interval lies where one likes it, or change a setting until an effect appears. The protocol stands in the code, in [claims.csv](../workbook/papers/claims.csv) and [protocol.py](../workbook/papers/protocol.py); this page is made of it by `python -m tests.protocol`, and a test holds it against them.

- **Seeds.** {seeds} SL and SL-MLP have five, everything else three, as the column *n* says. Lower seeds were looked at while the profiles were made, and serve no verdict.
- **Profile.** As it is in [profiles.py](../workbook/profiles.py), without overrides; device and precision are free. Fixed beside its own data is a second set: {second}. Transfer is measured on those of its data sets that are on the machine, which the notebook names.
- **A method must have learned** before anything is said of it ({learning} claims on methods other than SL and SL-MLP): where its accuracy on eval-D does not end above that of its own untrained backbone, by the interval over seeds, the claim is *not evaluated*. Where notebooks 06, 07 and 14 ask several together, each has to; notebook 13, which ranks models, takes good and bad ones.
- **Exploratory** is a verdict with other or more seeds, in a profile for which nothing was fixed, or with an override. It says what the interval says, and does not decide. To raise n after a look makes it exploratory, too.
- **Measured again** on the same seeds, such as on a CPU what a GPU had measured, a notebook's record takes the place of its earlier one, whichever way it comes out.
- **Each piece of evidence counts once.** What two statements say of one number is one claim.
- **A** and **B** are the papers; **W** is this workbook, which asks what neither says. Its claims are held to the same rules.
- Claims on **printed tables** need no seeds: what a paper printed cannot be drawn again. Their *n* counts what the table has.

A claim *agrees* where the 95 % interval of its effect lies above 0, *differs* where it lies below, and is *inconclusive* where it contains 0. With fewer than three seeds it is *not evaluated*.
"""  # noqa: E501
SIMULATED = """
## Can every statistic come out either way?

Simulated studies with an effect for the claim, without any, and against it ([how](../tests/papers/simulation.py), `python -m tests.papers.simulation`). Without an effect a statistic may agree in 5 % of the draws and differ in 5 %, but for chance; the intervals are made for half of that. Where a claim is that several effects are all positive, "none" means that one of them is nil and the others are large. Over data sets the models are given: such an interval says nothing of other runs.
"""  # noqa: E501


def page() -> str:
    """The whole page in Markdown."""
    first = ", ".join(f"in `{profile}` {seed}" for profile, seed in FIRST_SEED.items())
    second = "; ".join(f"`{profile}` on `{name}`, at most {n} seeds" for (profile, name), n in SECOND.items())
    parts = [
        INTRODUCTION.format(
            seeds=f"The first one is {first}.",
            second=second,
            learning=sum(bool(claim.learns) for claim in CLAIMS.values()),
        ),
        "\n## How is a claim judged?\n\n",
        _statistics(),
    ]
    parts += [SIMULATED, "\n", _simulations(), f"\n## Which claims are there?\n\n{len(CLAIMS)}, by topic.\n"]
    return "".join([*parts, *(_topic(name, claims) for name, claims in topics().items())])


def _statistics() -> str:
    used = pd.Series([claim.statistic for claim in CLAIMS.values()]).value_counts()
    rows = [[name, found.says, found.evidence, str(used.get(name, 0))] for name, found in STATISTICS.items()]
    return _table(["Statistic", "What it is", "Evidence", "Claims"], rows)


def _simulations() -> str:
    """One row a statistic and n; of each effect, the percentages of the draws that agree, differ, are inconclusive."""
    found = pd.read_csv(TABLE, dtype=str).set_index(["statistic", "n", "effect"])
    rows = []
    for statistic, n in dict.fromkeys(index[:2] for index in found.index):
        of_effects = [found.loc[(statistic, n, effect)] for effect in EFFECTS]
        rows.append([statistic, n, of_effects[0]["draws"], *(" / ".join(row[[*OUTCOMES]]) for row in of_effects)])
    told = " / ".join(OUTCOMES)
    return _table(["Statistic", "n", "Draws", *(f"{effect}: {told}, %" for effect in EFFECTS)], rows)


def _topic(name: str, claims: list[Claim]) -> str:
    head = ["Claim", "Paper", "Its number", "Statistic", "n", "Seeds", "Notebook"]
    return f"\n### {name}\n\n" + _table(head, [_row(claim) for claim in claims])


def _row(claim: Claim) -> list[str]:
    of_runs = STATISTICS[claim.statistic].evidence == "runs"
    seeds = dict.fromkeys(spoken(seeds_of(claim, profile)) for profile in FIRST_SEED) if of_runs else ["—"]
    notebooks = ", ".join(f"[{name[:2]}]({name}.ipynb)" for name in claim.notebooks) or "none yet"
    paper, number = f"{claim.paper}, {claim.place}", printed(claim.number, claim.unit)
    return [claim.statement, paper, number, claim.statistic, str(claim.n), ", ".join(seeds), notebooks]


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


if __name__ == "__main__":
    write_atomically(PAGE, page().encode())
