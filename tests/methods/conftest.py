"""Settings of the tests that run torch."""

from testers.threads import one_thread  # noqa: F401
