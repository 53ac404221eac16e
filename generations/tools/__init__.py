"""Tools: the contract of adapters, the registry that finds them, and those that come with Grimoire."""
