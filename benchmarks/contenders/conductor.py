"""A conductor that has the tool of the contender `grimoire`."""

import django

if __name__ == "__main__":
    django.setup()
    from django.core.management import call_command

    from benchmarks.contenders import conducting

    conducting.offer()
    call_command("conduct")
