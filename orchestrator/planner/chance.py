"""Where chance comes from: the seed alone. The same place draws the same numbers in every plan of a seed."""

from random import Random  # noqa: TID251  the one place that may

Chance = Random


def chance(*place: object) -> Chance:
    """A source of its own for each place, so that what one draws does not move the others."""
    return Random("/".join(map(str, place)))
