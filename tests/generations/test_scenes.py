import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generations.outputs import clean_output
from generations.tools.storytelling.beats import BEATS, SIGNS, TELLINGS
from generations.tools.storytelling.story import tell

from .toolbox import call, problems_with


def text_of(story) -> str:
    return "\n".join(scene.text for scene in story.scenes)


@pytest.mark.parametrize("count", range(1, 25))
def test_a_story_has_as_many_scenes_as_asked_and_never_tells_one_twice(count):
    for seed in range(10):
        story = tell(theme="a lighthouse keeper", count=count, seed=seed)
        assert len(story.scenes) == count
        titles = [scene.title for scene in story.scenes]
        assert len(set(titles)) == count
        assert story.scenes[0].mood == "calm"


def test_the_same_arguments_tell_the_same_story():
    assert tell(theme="dragons", count=6, seed=3) == tell(theme="  dragons. ", count=6, seed=3)


def test_seeds_tell_different_stories():
    stories = {text_of(tell(theme="a lighthouse keeper", count=3, seed=seed)) for seed in range(50)}
    assert len(stories) == 50
    assert len({tell(theme="a lighthouse keeper", count=3, seed=seed).title for seed in range(50)}) > 20


@pytest.mark.parametrize(
    ("theme", "hero"),
    [
        ("a lighthouse keeper", r"\w+, the lighthouse keeper"),
        ("Lighthouse keeper", r"\w+, the lighthouse keeper"),
        ("the fox who feared the dark", r"\w+, the fox"),
        ("Write me a story about an old clockmaker in Prague!", r"\w+, the old clockmaker"),
        ("Mara", "Mara"),
        ("Captain Nemo", "Captain Nemo"),
        ("my grandmother", r"\w+, the grandmother"),
        ("two winters", r"\w+, the \w+ \w+( \w+)?"),
        ("winter", r"\w+, the \w+ \w+"),
        ("the letter", r"\w+, the \w+ \w+"),
    ],
)
def test_the_theme_gives_the_hero(theme, hero):
    story = tell(theme=theme, count=3, seed=1)
    assert re.fullmatch(hero, story.hero)
    name = story.hero.partition(",")[0]
    assert sum(name in scene.text for scene in story.scenes) == 3


@pytest.mark.parametrize(("theme", "pronoun"), [("a queen", "her"), ("the old king", "his"), ("Mara", "their")])
def test_pronouns_follow_the_hero(theme, pronoun):
    told = "\n".join(text_of(tell(theme=theme, count=6, seed=seed)) for seed in range(12))
    words = set(re.findall(r"\w+", told.lower()))
    assert pronoun in words
    assert words.isdisjoint({"her", "his"} - {pronoun})


def test_the_theme_gives_the_place():
    assert "lighthouse" in text_of(tell(theme="a lighthouse keeper", count=6, seed=1))
    assert "forest" in text_of(tell(theme="a hedgehog in the woods", count=6, seed=1))
    assert "planet" in text_of(tell(theme="an astronaut", count=6, seed=1))


@pytest.mark.parametrize("count", [1, 2, 3, 5, 13, 24])
def test_a_story_begins_and_ends(count):
    for seed in range(10):
        story = tell(theme="a beekeeper", count=count, seed=seed)
        assert "a beekeeper" in story.scenes[0].text
        quest_words = set(re.findall(r"\w{4,}", story.title.lower())) - {"mara"}
        assert quest_words
        assert story.scenes[-1].text.endswith(".")
        assert 100 < len(story.scenes[-1].text) < 900


def test_nobody_meets_a_friend_twice_or_before_the_meeting():
    for seed in range(20):
        story = tell(theme="a beekeeper", count=24, seed=seed)
        assert sum(scene.title in {title for title, _ in TELLINGS["friend"]} for scene in story.scenes) == 1


def test_every_beat_and_telling_is_grammar_that_can_be_filled():
    assert {beat.key for beat in BEATS} == set(TELLINGS)
    known = {"name", "who", "they", "them", "their", "They", "Their", "spot", "home", "sign", "short", "goal", "clue", "truth", "answer"}
    known |= {"ending", "a_friend", "friend"}
    for pattern in (*SIGNS, *(pattern for tellings in TELLINGS.values() for _, pattern in tellings)):
        assert set(re.findall(r"\{(\w+)\}", pattern)) <= known
        assert "{they} was" not in pattern
        assert pattern.endswith((".", "'", "}"))


@settings(deadline=None, max_examples=200)
@given(theme=st.text(min_size=1, max_size=200), count=st.integers(1, 24), seed=st.integers(0, 2**53 - 1))
def test_any_theme_tells_a_readable_story(theme, count, seed):
    story = tell(theme=theme, count=count, seed=seed)
    assert len(story.scenes) == count
    for scene in story.scenes:
        assert "{" not in scene.text
        assert "  " not in scene.text
        assert scene.text[0].isupper() or not scene.text[0].isalpha()
    clean_output({"title": story.title, "scenes": [scene.text for scene in story.scenes]})


def test_a_long_story_is_told_at_once():
    started = time.perf_counter()
    tell(theme="a " + "very " * 39, count=24, seed=1)
    assert time.perf_counter() - started < 1


def test_the_tool_returns_title_hero_and_scenes():
    output = call("text.scenes", theme="a lighthouse keeper")
    assert len(output["scenes"]) == 3
    assert output["title"]
    assert set(output["scenes"][0]) == {"title", "text", "mood"}


@pytest.mark.parametrize(
    ("inputs", "path"),
    [
        ({"theme": ""}, "params.theme"),
        ({"theme": "x" * 201}, "params.theme"),
        ({"theme": "x", "count": 0}, "params.count"),
        ({"theme": "x", "count": 25}, "params.count"),
        ({"theme": "x", "count": "3"}, "params.count"),
        ({}, "params.theme"),
    ],
)
def test_the_schema_refuses(inputs, path):
    assert problems_with("text.scenes", **inputs) == [path]
