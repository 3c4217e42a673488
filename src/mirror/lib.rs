//! What a host may have of home's workspace: a part of its tables, read at home and kept on the host in a store of the
//! same schema. No network here: home has a [`Shipper`] for each host, which makes parcels, the host a [`Mirror`], which
//! lays them. The place in the feed is the host's.
//!
//! `yes.rs` is the list of what a host may have. A row is in the scope of a host when its table is on that list and what
//! it belongs to is a *root*: one of the host's agents, a task that an open item or a run of these names, such a run with
//! its conversation, a connection that they use, knowledge that they have in front of them. `home.rs` reads rows as
//! they are sent, `host.rs` asks the same questions of each row once more.

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
