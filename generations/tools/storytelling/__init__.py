"""A story grammar: from a theme and a seed to a story in scenes.

`tell` in `story` is the way in. The words are in `words` (places, hours, weather), `people`, `quests` (what a story is about)
and `beats` (what happens, in which order).
"""
