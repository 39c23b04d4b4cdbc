import pickle
from dataclasses import dataclass, replace

import pytest

from tests.pretraining.small import SQUARES
from workbook.keys import Named, added, is_key, key_of, keys_in, local, plain, restored
from workbook.pretraining.heads import Centroids, ProbeHead
from workbook.pretraining.label_injection import LabelInjection
from workbook.pretraining.recipe import METHODS, Recipe, with_method
from workbook.pretraining.starts import FileStart, RunStart
from workbook.pretraining.supervised import CrossEntropy
from workbook.profiles import PROFILES


def test_the_key_depends_on_every_value_and_not_on_their_order():
    assert key_of({"a": 1, "b": {"c": 2}}) == key_of({"b": {"c": 2}, "a": 1})
    assert key_of({"a": 1, "b": {"c": 2}}) != key_of({"a": 1, "b": {"c": 3}})
    assert key_of({"a": 1}) != key_of({"a": 1.5})


def test_a_dataclass_is_its_fields():
    @dataclass
    class Recipe:
        epochs: int = 3

    assert key_of({"recipe": Recipe()}) == key_of({"recipe": {"epochs": 3}})


def test_where_something_lies_is_no_part_of_a_key():
    @dataclass
    class Start:
        digest: str = "abc"
        path: str = local(default="here")

    assert key_of({"start": Start(path="there")}) == key_of({"start": {"digest": "abc"}})
    assert Start(path="there") == Start()


def test_a_specification_of_anything_else_is_refused():
    with pytest.raises(TypeError, match="plain values, got builtin_function_or_method"):
        key_of({"recipe": len})


def test_a_field_that_came_later_keeps_the_key_until_it_is_set():
    @dataclass
    class Before:
        epochs: int = 3

    @dataclass
    class Now:
        epochs: int = 3
        ema: float | None = added(None)
        layers: list[int] = added(factory=list)

    assert plain(Now()) == plain(Before()) and key_of({"recipe": Now()}) == key_of({"recipe": Before()})
    assert plain(Now(ema=0.9, layers=[1])) == {"epochs": 3, "ema": 0.9, "layers": [1]}


def test_what_is_plain_is_what_json_gives_back():
    assert plain({"a": (1, 2.5), "b": None, 3: "c"}) == {"a": [1, 2.5], "b": None, "3": "c"}


@pytest.mark.parametrize(
    "text", ["", "runs", "0" * 19, "0" * 21, "g" * 20, "A" * 20, "0" * 20 + "\n", "../" + "0" * 17]
)
def test_what_is_no_key(text):
    assert not is_key(text)
    assert is_key(key_of({"text": text}))


RECIPES = {
    name: with_method(base, name)
    for base in (SQUARES, Recipe(dataset="imagenet1k", checkpoint_epochs=(0, 3), images=9, images_per_class=None))
    for name in METHODS
}
RECIPES |= {f"{profile.name}'s": profile.recipe for profile in PROFILES.values()}
RECIPES |= {f"small {name}": with_method(SQUARES, name) for name in METHODS}
RECIPES |= {
    f"from {type(start).__name__} with {head}": replace(
        SQUARES, start=start, objective=objective(head=head), images_per_class=3, ema=0.99, layer_decay=0.5
    )
    for start in (RunStart(run="0" * 20, epoch=3), FileStart(digest="abc"))
    for objective in (CrossEntropy, LabelInjection)
    for head in (None, Centroids(bias=False), ProbeHead(c_values=(0.5, 1.0)))
}
RECIPES["never"] = replace(SQUARES, objective=LabelInjection(control_cycle=None, backward_passes=2, smoothing=0.1))


@pytest.mark.parametrize("name", RECIPES)
def test_the_very_recipe_comes_back(name):
    recipe = RECIPES[name]
    found = restored(Recipe, plain(recipe))
    assert found == recipe
    assert type(found.objective) is type(recipe.objective) and key_of({"recipe": found}) == key_of({"recipe": recipe})


def test_where_a_file_lay_does_not_come_back():
    start = FileStart(digest="abc", path="/here", part="model")
    assert restored(RunStart | FileStart, plain(start)) == start
    assert restored(RunStart | FileStart, plain(start)).path == ""


def test_what_is_none_of_the_kinds_is_refused():
    with pytest.raises(ValueError, match="the fields of RunStart or FileStart, got run='0.*', when=3"):
        restored(RunStart | FileStart | None, {"run": "0" * 20, "when": 3})
    held = plain(with_method(SQUARES, "BYOL"))
    with pytest.raises(ValueError, match=r"the fields of Recipe, got dataset='squares'.*, milestones=\[1\]"):
        restored(Recipe, held | {"milestones": [1]})
    with pytest.raises(ValueError, match="the fields of Recipe, got dataset='squares'$"):
        restored(Recipe, {"dataset": "squares"})
    for method, former in (("BYOL", "Byol"), ("MoCo v2", "Mocov2")):
        held = plain(with_method(SQUARES, method))
        held["objective"]["name"] = former
        with pytest.raises(ValueError, match=f"BYOLChoices or MoCoChoices or .*got name='{former}'"):
            restored(Recipe, held)


def test_the_keys_of_a_specification_are_those_it_names_and_those_its_digests_stand_for():
    run, features = key_of({"a": 1}), {"run": key_of({"a": 1}), "epoch": 3}
    spec = {
        "train": Named(key_of(features), features),
        "start": RunStart(run="0" * 20, epoch=1),
        "layers": ["x", (run,)],
    }
    assert keys_in(spec) == {run, key_of(features), "0" * 20}
    assert plain(spec)["train"] == key_of(features) and keys_in(plain(spec)) == keys_in(spec)
    alone = {"train": spec["train"]}
    assert keys_in(alone) == {run, key_of(features)} and keys_in(plain(alone)) == {key_of(features)}
    assert keys_in(pickle.loads(pickle.dumps(alone))) == keys_in(alone), "a worker of another process knows it, too"
    assert key_of(alone) == key_of(plain(alone))
