//! Everything that an undo would do: records, work and files. Preview and execution both use this function. Two
//! outlooks have the same basis exactly if they do the same.

use kernel::TypedId as _;
use store::undo::{self, Basis, Plan};
use store::{Read, Schema};

use super::error::HistoryError;
use super::guard::{Scoped, Undoer};
use super::scope::{self, Scope, Wanted, Work};

pub struct Outlook {
    pub scope: Scope,
    /// Records.
    pub plan: Plan,
    pub work: Work,
    /// Fingerprint for comparing a preview with the execution.
    pub basis: Basis,
}

impl Outlook {
    /// Outlook of an undo by this person.
    ///
    /// # Errors
    /// If the target is unknown or invisible to this person, a run has not ended, or it exceeds the limit of one
    /// transaction.
    pub fn of(
        read: &dyn Read,
        schema: &Schema,
        wanted: &Wanted,
        by: &Undoer,
    ) -> Result<Self, HistoryError> {
        let scope = scope::scope(read, schema, wanted, by)?;
        let guard = Scoped { by, private: &scope.private };
        let plan = undo::plan(read, schema, &scope.ask(&guard))?;
        let work = scope::work(read, &plan)?;
        let basis = plan.basis.and(&besides(&scope, &work));
        Ok(Self { scope, plan, work, basis })
    }

    /// Returns `true` if the undo would change nothing.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        let no_files = self.scope.files.is_empty() && self.scope.withdrawn.is_empty();
        self.plan.rows.is_empty() && self.work.is_empty() && no_files
    }
}

/// Everything besides records, for the basis.
fn besides(scope: &Scope, work: &Work) -> Vec<Vec<u8>> {
    let mut parts = Vec::new();
    let mut list = |ids: Vec<[u8; 16]>| parts.push(ids.concat());
    list(work.items.iter().map(|id| id.uuid().into_bytes()).collect());
    list(work.inputs.iter().map(|id| id.uuid().into_bytes()).collect());
    list(work.stops.iter().map(|id| id.uuid().into_bytes()).collect());
    list(scope.withdrawn.iter().map(|order| order.id.uuid().into_bytes()).collect());
    for files in &scope.files {
        parts.push(files.run.uuid().into_bytes().to_vec());
        parts.extend(files.of.map(|order| order.uuid().into_bytes().to_vec()));
        parts
            .extend(files.commits.iter().chain(&files.paths).map(|text| text.clone().into_bytes()));
    }
    parts
}
