"""Help of commands that teaches by example."""

from argparse import RawDescriptionHelpFormatter

from django.core.management.base import DjangoHelpFormatter


class TeachingFormatter(DjangoHelpFormatter, RawDescriptionHelpFormatter):
    """Leaves the lines of an epilogue with examples as they were written."""
