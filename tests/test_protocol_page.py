"""The page of the protocol: as the claims and the simulations are."""

import pandas as pd

from tests.papers.simulation import EFFECTS, TABLE, simulations
from tests.protocol import PAGE, page


def test_the_committed_page_is_up_to_date():
    assert PAGE.read_text(encoding="utf-8") == page(), "run python -m tests.protocol"


def test_every_statistic_and_n_of_a_claim_was_simulated():
    found = pd.read_csv(TABLE)
    rows = [(row.statistic, row.n, row.effect) for row in found.itertuples()]
    assert rows == [(s.statistic, s.n, effect) for s in simulations() for effect in EFFECTS]
