"""Settings of the properties tested here."""

from hypothesis import HealthCheck, settings

# The machines that run tests are shared: how long an example takes says nothing. What must be fast is measured in
# its thread's own time.
settings.register_profile("shared", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared")
