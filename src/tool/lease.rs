//! A lease: the right to make one call, issued only by the runtime's gate after its check. No tool runs without a
//! lease. The lease holds the checked arguments, so a tool cannot run with others.

/// The right to make one call with these arguments. Consumed by the call.
#[derive(Debug)]
pub struct Lease {
    arguments: String,
}

impl Lease {
    /// Issues a lease. Only the gate may call this; `tests/it/architecture.rs` verifies it.
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
