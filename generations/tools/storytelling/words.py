"""Where and when: the words that any story can use."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Place:
    """A kind of land.

    `spots` are where a scene can stand, the first three near home; `roles` are who may live there; `weathers` are what
    can come, the calm before the wild.
    """

    cues: frozenset[str]
    home: str
    spots: tuple[str, ...]
    roles: tuple[str, ...]
    weathers: tuple[str, ...] = ("clear", "cloud", "fog", "rain", "storm")


def _place(cues: str, home: str, spots: str, roles: str, weathers: str = "clear cloud fog rain storm") -> Place:
    return Place(
        cues=frozenset(cues.split()),
        home=home,
        spots=tuple(spots.split("; ")),
        roles=tuple(roles.split("; ")),
        weathers=tuple(weathers.split()),
    )


PLACES: Mapping[str, Place] = {
    "sea": _place(
        "sea ocean lighthouse boat ship sail sailor captain harbour harbor port island tide wave waves fish fisher fisherman fishing "
        "whale shore coast beach mermaid pirate lake river water cliff keeper ferry",
        "the harbour",
        "on the harbour wall; on the cliffs above the sea; on the beach below the cliff; in a small boat on the open sea; "
        "on the rocks by the tide; at the end of the long pier; on the island that ships avoid; where the river meets the sea",
        "ferry pilot; net mender; harbour master",
    ),
    "mountains": _place(
        "mountain mountains peak summit alp alps climber climb ridge pass glacier goat eagle valley avalanche cable",
        "the valley",
        "by the cold mountain lake; in the shadow of the mountains; on the meadow below the peaks; on the mountain pass; "
        "under the highest peak; on a ridge above the clouds; at the last hut before the summit; at the rope bridge in the gorge",
        "mountain guide; bridge builder; bell founder",
    ),
    "forest": _place(
        "forest wood woods tree trees oak fox wolf bear deer owl jungle moss leaf leaves hunter elf fairy woodcutter squirrel hedgehog",
        "the village at the edge of the forest",
        "at the edge of the forest; by the stream in the forest; in a clearing among the pines; under the oldest tree in the wood; "
        "where the trees stand so close that it is always evening; on the mossy path through the woods; "
        "at the hollow oak; among the tall dark pines",
        "charcoal burner; tree nurse; mushroom gatherer",
    ),
    "desert": _place(
        "desert dune dunes sand sands camel caravan oasis nomad sahara pyramid cactus mirage",
        "the oasis",
        "at the well in the desert; in the shade of the last palm; at the gate of the oasis; on the highest dune; among the red dunes; "
        "beside the caravan's fire in the desert; at the ruin half buried in sand; on the plain where the sand sings",
        "well digger; caravan guide; salt trader",
        "clear cloud storm",
    ),
    "city": _place(
        "city town street streets tower clock clockmaker detective robot robots train station market museum shop baker postman tram "
        "library librarian office machine neon subway metro taxi skyscraper architect",
        "the old quarter of the city",
        "at the clock tower in the market square; on the bridge over the river; in the street of lamps; on a rooftop above the city; "
        "at the back of the great station; under the towers of the city; at the top of the tallest stair in town; "
        "in the alley behind the bakery",
        "lamp lighter; clockmaker; night tram driver",
    ),
    "hills": _place(
        "hill hills meadow field farm farmer village garden gardener shepherd sheep house home cottage castle king queen knight prince "
        "princess kingdom orchard road school grandmother grandfather horse flower flowers bee bees wizard witch dragon dragons giant",
        "the village in the hills",
        "on the hill above the village; in the garden behind the house; under the apple tree; at the crossroads among the fields; "
        "by the old stone wall in the meadow; at the windmill on the hill; on the road between the fields; at the gate of the castle",
        "beekeeper; road mender; travelling tailor",
    ),
    "snow": _place(
        "snow winter ice icy frost polar arctic antarctic penguin sled sledge blizzard iceberg christmas reindeer igloo",
        "the last house before the ice",
        "at the edge of the frozen lake; in the snow above the village; by the smoking chimney of the last house; among the snowy pines; "
        "at the foot of the glacier; on the ice road; on the white plain; at the signal fire in the snow",
        "sled maker; ice fisher; weather watcher",
        "clear snow fog",
    ),
    "space": _place(
        "space planet planets star stars moon astronaut rocket galaxy comet alien aliens orbit spaceship starship mars saturn universe "
        "cosmos satellite asteroid",
        "the station in orbit",
        "at the great window above the planet; in the silent dock of the station; in the garden dome under the stars; "
        "on the dark side of the moon; in a capsule among the stars; on the red plain of the new planet; "
        "at the antenna that listens to the galaxy; at the edge of the comet's tail",
        "signal keeper; dome gardener; star pilot",
        "none",
    ),
}

# More spots, for themes that name the thing.
LANDMARKS: Mapping[str, tuple[str, ...]] = {
    "lighthouse": (
        "at the foot of the lighthouse",
        "on the gallery of the lighthouse",
        "on the steps of the lighthouse",
        "below the lighthouse, on the rocks by the sea",
    ),
    "castle": ("on the walls of the castle", "at the gate of the castle", "on the hill across from the castle"),
    "garden": ("in the garden", "under the oldest tree in the garden", "at the garden gate"),
    "volcano": ("at the foot of the volcano", "on the rim of the volcano", "on the black lava field"),
    "bridge": ("on the bridge", "under the arches of the bridge"),
    "train": ("on the night train over the bridge", "beside the railway in the mountains"),
    "dragon": ("within sight of the smoking volcano", "at the mouth of the dragon's cave in the mountains"),
}

# How a scene begins, by hour: spread over a story they are its days.
HOURS: Mapping[str, tuple[str, ...]] = {
    "dawn": ("At dawn", "In the first light of morning", "At sunrise", "Early, while the dawn was still grey"),
    "day": ("At noon", "In the bright afternoon", "In the middle of the day", "Late in the morning"),
    "dusk": ("At dusk", "At sunset", "In the last gold of the evening", "When the evening came"),
    "night": ("At night", "At midnight", "Late in the night", "In the small hours of the night"),
}
WATCHES: Mapping[str, tuple[str, ...]] = {
    "dawn": ("At the start of the first watch", "When the lights on board turned to morning"),
    "day": ("In the middle of the long watch", "At the hour that the ship called noon"),
    "dusk": ("When the planet slid into shadow", "As the sun sank behind the rim of the planet"),
    "night": ("In the night watch, among the stars", "When all but one screen had gone dark"),
}
WEATHERS: Mapping[str, tuple[str, ...]] = {
    "clear": ("under a clear sky", "in still, clear air", "with not a cloud in sight"),
    "cloud": ("under low clouds", "with clouds coming up", "under a wide cloudy sky"),
    "fog": ("in a mist as thick as wool", "with fog over everything", "in a pale mist"),
    "rain": ("in steady rain", "in a thin cold rain", "with rain on every side"),
    "storm": ("as the storm broke", "with thunder close by", "in the heart of the storm"),
    "snow": ("in falling snow", "with snow on the wind", "while the snow came down"),
    "none": ("",),
}
