"""Telling people: who is told where, what a message says, how it is signed and sent, and what came of it.

What there is to tell is written by the engine (`casts.engine.notices`), in the transaction of the change. Conductors
send it, as errands (`casts.conductor.notifications`).
"""
