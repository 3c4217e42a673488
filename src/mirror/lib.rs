//! Partial replication of a workspace to hosts: some of its tables, read on the primary and stored on the host in a
//! store with the same schema. No network here: the primary has a [`Shipper`] per host that makes parcels, the host has
//! a [`Mirror`] that applies them. The position in the feed belongs to the host.
//!
//! `replication_policy.rs` lists the tables. A row is in scope if its table is listed and its owner is a *root*: an
//! agent of the host, a task of that agent's open items or runs, such a run with its session, a connection that they
//! use, or knowledge in their context. `home.rs` reads the rows, and `host.rs` checks each row again.

mod error;
mod home;
mod host;
mod parcel;
mod roots;
mod rows;
mod seen;
pub mod replication_policy;

pub use error::MirrorError;
pub use home::{Bound, Next, Shipper, may_have_file};
pub use host::{Leads, Mirror};
pub use parcel::{At, Gone, Have, Laid, Parcel, Put, Rows, Standing, Step};
pub use roots::Roots;
pub use seen::{Seen, counts, digests, seen_by, what_it_sees};
