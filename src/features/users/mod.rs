//! People: accounts, sign-ins, tokens and one-time links, all in `system.redb`.
//!
//! Membership and roles belong to the workspace (see `features/workspace`). No view of this module can contain a
//! password, a token or a hash.

pub mod model;
pub mod queries;
pub mod rules;
