"""Load runs on real processes. Each prints its figures, and ends with 1 when something does not hold: `python -m benchmarks.deferred`."""
