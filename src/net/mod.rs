//! The outside world over HTTP: one client, the SSRF guard, event streams, retries.
