//! People: accounts, sign-ins, tokens, one-time links, all in `system.redb`.
//!
//! Membership and roles are the workspace's (see `features/workspace`). No view of this feature can
//! hold a password, a token or a hash.

pub mod model;
pub mod queries;
pub mod rules;
