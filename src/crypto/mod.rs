//! Key ring and envelopes, password hashes, tokens.
