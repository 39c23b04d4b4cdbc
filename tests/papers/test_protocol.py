from workbook.data import load_manifest
from workbook.papers.claims import CLAIMS
from workbook.papers.protocol import FIRST_SEED, SECOND, departures, seeds_of, spoken
from workbook.papers.statistics import STATISTICS
from workbook.profiles import PROFILES

RISES, BYOL = CLAIMS["A.stages.slmlp-rises"], CLAIMS["A.mlp.byol"]


def test_the_profiles_train_what_the_protocol_says():
    for name, first in FIRST_SEED.items():
        profile = PROFILES[name]
        assert tuple(profile.own_seeds) == seeds_of(RISES, name) == tuple(range(first, first + 5))
        assert tuple(profile.ablation_seeds) == seeds_of(BYOL, name) == tuple(range(first, first + 3))


def test_no_seed_that_was_looked_at_is_fixed():
    runs = [claim for claim in CLAIMS.values() if STATISTICS[claim.statistic].evidence == "runs"]
    # of pocket 0 to 4 while it was made, of study 5 to 7, too
    assert all(min(seeds_of(claim, name)) >= {"pocket": 5, "study": 8}[name] for claim in runs for name in FIRST_SEED)
    assert seeds_of(RISES, "smoke") == ()


def test_as_fixed_nothing_departs():
    assert departures(RISES, profile="pocket", seeds=[9, 5, 6, 7, 8], changed={}) == ""
    both = departures(RISES, profile="study", seeds=[0, 5], changed={"sets": ["digits"]})
    assert both == "seeds 0, 5 are not the protocol's 10 to 14; sets = ['digits'] is not the protocol's"


def test_a_second_set_is_fixed_with_seeds_of_its_own():
    for (profile, name), n in SECOND.items():
        assert load_manifest(name).concept_split and seeds_of(RISES, profile, name) == seeds_of(RISES, profile)[:n]
    second = {"recipe.dataset": "tiny-imagenet-32"}
    assert departures(RISES, profile="pocket", seeds=[5, 6, 7], changed=second) == ""
    assert departures(RISES, profile="pocket", seeds=[5, 6, 7], changed=second | {"recipe.epochs": 9}) == (
        "recipe.epochs = 9 is not the protocol's"
    )
    assert "seeds 5 to 9 are not the protocol's 5 to 7" in departures(
        RISES, profile="pocket", seeds=[5, 6, 7, 8, 9], changed=second
    )
    elsewhere = departures(RISES, profile="study", seeds=[10, 11, 12, 13, 14], changed=second)
    assert elsewhere == "recipe.dataset = tiny-imagenet-32 is not the protocol's"


def test_seeds_in_words():
    assert [spoken(seeds) for seeds in ([5, 6, 7], [0, 1], [0, 2, 5], [])] == ["5 to 7", "0, 1", "0, 2, 5", "none"]
