"""What can be measured of Grimoire: counters of what happened, gauges of what is so.

A counter lives in the process that counts and is added to the database's tallies every few seconds (`tallies`), since
Prometheus asks one web process and wants to know of all. A gauge is a query (`gauges`). What a killed process had
not handed in yet, a few seconds at most, is missing from the counters; records of casts and costs miss nothing.
"""
