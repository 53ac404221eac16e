"""Notifications out of real processes: what was sent by one that was killed is sent again by the next."""

import re
import signal

import pytest

from tests.casts.telling import verified
from tests.fakes import mailbox
from tests.functional.site import Site
from tests.processes import wait_for

# A lease is a minute: the test does not wait for it.
LET_THE_LEASE_END = "UPDATE casts_notification SET due_at = '2026-01-01' WHERE due_at IS NOT NULL RETURNING kind"
LOOK = """
SELECT kind, delivered_at IS NOT NULL, tries, (SELECT count(*) FROM casts_delivery WHERE notification_id = casts_notification.id)
FROM casts_notification WHERE channel = 'webhook'
"""


@pytest.mark.postgresql
def test_a_worker_that_is_killed_between_sending_and_noting_leaves_one_message_sent_twice(site: Site):
    site.environment["GRIMOIRE_WEBHOOK_PRIVATE_HOSTS"] = "127.0.0.1"
    with mailbox() as box:
        box.hold()
        said = site.run("cast", "errands", "--callback", box.url)
        secret = re.search(r"signed by (whsec_\S+)", said)
        assert secret
        first = site.start("conduct")
        wait_for("the message is sent", lambda: box.waiting, seconds=120)
        first.tell(signal.SIGKILL)
        first.end()
        box.let_go()
        assert site.sql(LET_THE_LEASE_END) == [("cast.succeeded",)]
        second = site.start("conduct")
        box.wait(2)
        wait_for("it is noted", lambda: site.sql(LOOK) == [("cast.succeeded", True, 1, 1)], seconds=120)
        second.tell(signal.SIGTERM)
        assert second.end() == 0
    one, other = box.received
    assert one.headers["webhook-id"] == other.headers["webhook-id"]
    assert verified(one, secret=secret[1])["data"]["id"] == verified(other, secret=secret[1])["data"]["id"]
