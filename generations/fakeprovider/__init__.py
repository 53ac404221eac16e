"""A provider that is none: it speaks what real ones speak, invents the work, and keeps its own list of what it billed.

For tests, load runs and demonstrations without keys and without the internet: `manage.py fakeprovider`
(docs/fakeprovider.md). Nothing of Grimoire imports it but that command.
"""
