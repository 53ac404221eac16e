"""How dates read: with seconds, which operators compare by."""

DATE_FORMAT = "j M Y"
TIME_FORMAT = "H:i:s"
DATETIME_FORMAT = "j M Y H:i:s"
