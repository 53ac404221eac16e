"""Django's PostgreSQL backend, which sees without a statement whether a connection still stands."""

import select
import time
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

import psycopg
from django.db.backends.postgresql import base

# What was used so many seconds ago, or sooner, is believed as long as its socket is silent. An end that nobody told us of,
# by a power cut or a firewall, shows only when something is sent.
TRUSTED_SECONDS = 10.0

Connection = psycopg.Connection[Any]


class DatabaseWrapper(base.DatabaseWrapper):
    health_check_done: bool
    # When each connection was last found to stand (monotonic): one out of a pool is used by many wrappers.
    _found_at: ClassVar[WeakKeyDictionary[Connection, float]] = WeakKeyDictionary()

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """Return a new connection, or one out of the pool that stands. The pool replaces those that do not."""
        connection = super().get_new_connection(conn_params)
        while self.pool is not None and not self._stands(connection):
            connection.close()
            self.pool.putconn(connection)
            connection = super().get_new_connection(conn_params)
        self._found_at[connection] = time.monotonic()
        return connection

    def close_if_health_check_failed(self) -> None:
        """Close a connection that does not stand any more, before its first use in a while."""
        is_to_check = self.settings_dict["CONN_HEALTH_CHECKS"] and not self.health_check_done
        if self.connection is not None and is_to_check and self._stands(self.connection):
            self.health_check_done = True
        super().close_if_health_check_failed()

    def _stands(self, connection: Connection) -> bool:
        """Tell whether a connection that is at rest can be used. Whoever asks uses it next, and notices a failure."""
        now = time.monotonic()
        if connection.closed:
            return False
        if now - self._found_at.get(connection, float("-inf")) > TRUSTED_SECONDS or _has_news(connection):
            try:
                connection.execute("SELECT 1")
                if not connection.autocommit:
                    connection.rollback()
            except psycopg.Error:
                return False
        self._found_at[connection] = now
        return True


def _has_news(connection: Connection) -> bool:
    """Tell whether something waits to be read: most often that the server has closed the connection, and why."""
    waiting = select.poll()
    waiting.register(connection.pgconn.socket, select.POLLIN)
    return bool(waiting.poll(0))
