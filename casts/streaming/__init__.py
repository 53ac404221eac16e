"""Live events of casts: server-sent events, told from the rows as they stand (docs/adr/0012).

`standing` tells whether anything changed, `news` what, `hub` tells all streams of a process from one poller, and
`application` is the ASGI branch that takes a response over where Django's view (`views`) has opened a stream.
"""
