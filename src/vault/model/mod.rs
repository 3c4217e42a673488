//! Records of secrets: metadata, sealed values, uses, receipts of hosts.

mod mask;
mod receipt;
mod secret;
mod used;
mod value;

use kernel::ids;

pub use mask::{Mask, SECRET_MASKS};
pub use receipt::{Receipt, SECRET_RECEIPTS};
pub use secret::{BY_KEY, Category, Owner, Places, SECRETS, Scope, Secret, Way};
pub use used::{SECRET_USES, USES_BY_AGENT, USES_BY_RUN, USES_BY_SECRET, Use};
pub use value::{Former, SECRET_VALUES, Value};

ids! {
    /// A secret.
    SecretId,
    /// The use of a secret by a run.
    UseId,
    /// A pattern of one's own.
    MaskId,
}
