"""Alerts: what an operator must know, found in rows, kept while it is so, and told by mail.

`conditions` finds what is wrong now, `evaluation` opens and closes alerts by it, `mails` is the outbox to operators.
Whoever reaps looks (`casts.upkeep`); conductors look when nobody did for a while, so that a cluster that stands still
is noticed, too.
"""

from .conditions import Found, find
from .evaluation import Evaluation, evaluate

__all__ = ["Evaluation", "Found", "evaluate", "find"]
