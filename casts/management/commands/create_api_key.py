from datetime import timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import CommandError, CommandParser
from knox.models import AuthToken

from casts.management.teaching import TeachingCommand, whole_number

MAX_DAYS = 3650


class Command(TeachingCommand):
    help = "Create an API key for a user, and print it alone on the last line. It is stored hashed: it cannot be shown again."
    examples = """\
examples:
  manage.py create_api_key ada                     a key that works until it is deleted, in the admin under API keys
  manage.py create_api_key ada --days 30           a key that expires
  KEY=$(manage.py create_api_key ada | tail -n 1)
  curl -H "Authorization: Bearer $KEY" http://127.0.0.1:8000/api/v1/casts/
"""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username", metavar="USERNAME", help="Whose key it is: what is done with it is done by this user.")
        parser.add_argument(
            "--days",
            type=whole_number(least=1, most=MAX_DAYS),
            help=f"After how many days it expires, 1 to {MAX_DAYS} (default: never).",
        )

    def handle(self, *, username: str, days: int | None, **_options: Any) -> None:
        users = get_user_model()._default_manager
        user = users.filter(**{get_user_model().USERNAME_FIELD: username}).first()
        if user is None:
            raise CommandError(f"There is no user {username!r}. Create one: manage.py createsuperuser --username {username}")
        if not user.is_active:
            raise CommandError(
                f"The user {username!r} is inactive: no key of theirs would be accepted. Make them active in the admin first."
            )
        key, text = AuthToken.objects.create(user, expiry=None if days is None else timedelta(days=days))
        until = "until it is deleted" if key.expiry is None else f"until {key.expiry:%Y-%m-%d %H:%M} UTC"
        self.stdout.write(f"A key for {username}, good {until}. Keep it: it cannot be shown again.")
        self.stdout.write(text)
