//! The right to make one call. The gate of the runtime alone gives it, after it has weighed the call; no tool runs
//! without one. It carries the arguments that were weighed, so that nothing else can run in their place.

/// The right to make one call with these arguments. It is used up by the call.
#[derive(Debug)]
pub struct Lease {
    arguments: String,
}

impl Lease {
    /// Gives the right. Only the gate calls this: `tests/it/architecture.rs` looks after it.
    #[must_use]
    pub fn granted(arguments: String) -> Self {
        Self { arguments }
    }

    /// The arguments, as canonical JSON.
    #[must_use]
    pub fn arguments(&self) -> &str {
        &self.arguments
    }
}
