import pytest

from workbook.errors import ProfileError, ReportError
from workbook.report.parameters import parse_assignments, parse_value, route


def test_a_notebook_gets_only_what_it_knows():
    declared = {"one": ["profile", "k", "overrides"], "two": ["profile"], "three": ["seeds", "overrides"]}
    given = {"k": "5", "seeds": "1", "transfer.images_per_class": "null", "ablation.seeds": "2"}
    routed = route(declared, given, profile="pocket")
    of_the_profile = {"transfer.images_per_class": None, "ablation.seeds": 2}
    assert routed == {
        "one": {"k": 5, "overrides": {"seeds": 1, **of_the_profile}, "profile": "pocket"},
        "two": {"profile": "pocket"},
        "three": {"seeds": 1, "overrides": of_the_profile},  # declared by the notebook itself: no override
    }


@pytest.mark.parametrize("name", ["profile", "overrides", "lr", "nonsense"])
def test_refusals(name):
    with pytest.raises(ReportError, match=name):
        route({"n": ["profile", "k"]}, {name: "1"}, profile="smoke")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("transfer.images_per_clas", "did you mean 'transfer.images_per_class'"),
        ("resample", "did you mean 'resamples'"),
        ("minibatches", "did you mean 'minibatch'"),
        ("nothing.at.all", "unknown parameter 'nothing.at.all'"),
    ],
)
def test_an_unknown_name_is_told_with_what_is_near(name, message):
    with pytest.raises(ReportError, match=message):
        route({"n": ["profile", "resamples", "overrides"]}, {name: "1"}, profile="smoke")


def test_a_value_that_a_field_refuses_is_told_before_anything_runs():
    with pytest.raises(ProfileError, match="epochs takes int, got 'three'"):
        route({"n": ["overrides"]}, {"epochs": "three"}, profile="smoke")


@pytest.mark.parametrize(
    ("text", "value"),
    [("3", 3), ("1e-3", 0.001), ("[1, 2]", [1, 2]), ("None", None), ("null", None), ("true", True)]
    + [
        ("cifar100", "cifar100"),
        ("'3'", "3"),
        ('"00000000000000000e12"', "00000000000000000e12"),
        ("{a: b}", {"a": "b"}),
        ("missing.yaml", "missing.yaml"),
        ("1:30", "1:30"),  # YAML 1.1 takes the first three for 90, a broken date and a broken number
        ("2020-99-99", "2020-99-99"),
        ("0b_", "0b_"),
        ("no", "no"),
    ],
)
def test_values(text, value):
    assert parse_value("x", text) == value


@pytest.mark.parametrize("text", ["", " "])
def test_nothing_is_no_value(text):
    with pytest.raises(ReportError, match="ema has no value: -p ema=null is none"):
        parse_value("ema", text)


def test_the_path_of_a_manifest_is_made_absolute(tmp_path, monkeypatch):
    (tmp_path / "mine.yaml").touch()
    monkeypatch.chdir(tmp_path)
    assert parse_value("dataset", "mine.yaml") == str(tmp_path / "mine.yaml")
    assert parse_value("sets", "[mine.yaml, ./mine.yaml:eval, [mine.yaml], cifar100, 3]") == [
        f"{tmp_path}/mine.yaml",
        f"{tmp_path}/mine.yaml:eval",
        [f"{tmp_path}/mine.yaml"],
        "cifar100",
        3,
    ]


def test_assignments():
    assert parse_assignments(["a=1", "b=x=y", "a=2"]) == {"a": "2", "b": "x=y"}
    assert parse_assignments(["transfer.images_per_class=null"]) == {"transfer.images_per_class": "null"}
    for bad in ("a", "=1", "a b=1", "a.=1", ".a=1"):
        with pytest.raises(ReportError, match="name=value"):
            parse_assignments([bad])
    for bad in ("!!int abc", "[" * 3000, "{a: 1, a: 2}", '"a\\0"'):
        with pytest.raises(ReportError, match="x, line 1: "):
            parse_value("x", bad)
    with pytest.raises(ReportError, match="x, line 2: .*it is given as YAML"):
        parse_value("x", "[1, 2")
