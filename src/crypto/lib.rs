//! Master key, keyring and envelopes, password hashes, tokens, and the redactor of live secrets.
//!
//! Synchronous and without I/O, except that `master` reads and creates key files. Secret values have no `Display`, a
//! `Debug` that hides them, and are wiped on drop.

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
