"""The world of the engine's model: providers, conductors and people, and an account of what they did in words of its own."""

from .clock import StandingClock
from .conductor import Conductor, Job
from .ledger import ProviderCall, Sending
from .spells import spells
from .world import World

__all__ = ["Conductor", "Job", "ProviderCall", "Sending", "StandingClock", "World", "spells"]
