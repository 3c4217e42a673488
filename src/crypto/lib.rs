//! Master key, key ring and envelopes, password hashes, tokens, and the redactor of live secrets.
//!
//! Everything here is synchronous and free of I/O, except that `master` reads or makes one file.
//! Values that must stay secret have no `Display`, a `Debug` that hides them, and are wiped when dropped.

pub mod master;
pub mod keyring;
pub mod passkey;
pub mod password;
pub mod passphrase;
pub mod pkce;
pub mod token;
pub mod totp;
pub mod webpush;
pub mod redact;
pub mod shapes;

mod cbor;
mod problem;
mod random;

#[cfg(test)]
mod vectors;
