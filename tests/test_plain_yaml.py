import pytest
import yaml

from workbook.plain_yaml import read_yaml, write_yaml

BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join(['*' + before] * 10)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "value"),
    [("", None), ("~", None), ("null", None), ("true", True), ("FALSE", False)]
    + [("0", 0), ("-12", -12), ("1e-3", 0.001), ("1.5", 1.5), ("-.inf", float("-inf"))]
    # text, whatever YAML 1.1 takes it for
    + [(text, text) for text in ("no", "Off", "y", "1:30", "2020-99-99", "0b_", "007", "1_000", "0x1F", "=")]
    + [("9" * 5000, "9" * 5000), ("'5'", "5"), ("{1: a, '1': b}", {1: "a", "1": "b"})]
    + [("a: &k {b: 1}\nc: {<<: *k, b: 2}\nd: *k", {"a": {"b": 1}, "c": {"b": 2}, "d": {"b": 1}})],
)
def test_scalars_are_those_of_yaml_1_2(text, value):
    assert read_yaml(text, "x").value == value
    assert type(read_yaml(text, "x").value) is type(value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3", "x, line 3: 'a' stands here and in line 1"),
        ("b:\n  {a: 1, a: 2}", "x, line 2: 'a' stands here"),
        ("a:\n  - !!int abc", "x, line 2: tags such as !!int are not read"),
        ("!!python/object/apply:os.system [ls]", "tags such as !!python/object/apply:os.system are not read"),
        ("[" * 3000, "x, line 1: .*(levels deep|nesting depth)"),
        ("- " * 3000, "x, line 1: .*(levels deep|nesting depth)"),
        ("{a: " * 40 + "}" * 40, "more than 32 levels deep"),
        (BOMB, "x, line 6: aliases repeat more than a million entries"),
        ("&a [*a]", r"\*a names no part before it"),
        ("*a", r"\*a names no part before it"),
        ("a: 1\n  b: 2", "x, line 2: mapping values are not allowed"),
        ("a: [1", "x, line .: .*expected"),
        ("? [1, 2]\n: 3", "unhashable key"),
        ("--- a\n--- b", "x, line 2: expected a single document"),
        ('"a\\0b"', "no file name and no page can hold"),
        ("a\0b", "x: .*control characters"),
        ("x" * (2 * 2**20 + 1), "at most 2,097,152 are read"),
    ],
    ids=lambda text: text[:20],
)
def test_what_no_plain_document_has_is_refused_by_place_and_cause(text, message):
    with pytest.raises(ValueError, match=message) as raised:
        read_yaml(text, "x")
    assert not isinstance(raised.value, yaml.YAMLError)


def test_a_part_is_found_by_its_place():
    document = read_yaml("a: 1\nb:\n  - c: 2\n  - d: 3\n", "x")
    assert [document.line(place) for place in (("a",), ("b", 1, "d"), ("b", "kind", 1, "no"), ("z",), ())] == [
        *(1, 4, 4, None, None)
    ]


def test_what_is_written_is_read_as_the_same_value():
    texts = [
        "no",
        "1e5",
        "007",
        "1:30",
        "null",
        "~",
        "",
        " a",
        "2020-01-31",
        "été",
        "a: b",
        "- c",
        "#d",
        "{e}",
        "12",
        ".5",
    ]
    value = {"texts": texts, "numbers": [0, -3, 0.25, 1e-7, 1e300], "rest": [True, None, {}, []], "again": texts}
    value |= {text: 1 for text in texts}
    assert read_yaml(write_yaml(value), "it").value == value
