//! All that an undo would do: records, work and files. What a preview shows and what is carried out are
//! made by this one function, and have the same basis exactly when they do the same.

use kernel::TypedId as _;
use store::undo::{self, Basis, Plan};
use store::{Read, Schema};

use super::error::HistoryError;
use super::guard::{Scoped, Undoer};
use super::scope::{self, Scope, Wanted, Work};

/// What an undo would do.
pub struct Outlook {
    /// What it takes in.
    pub scope: Scope,
    /// The records.
    pub plan: Plan,
    pub work: Work,
    /// What it stands on.
    pub basis: Basis,
}

impl Outlook {
    /// What undoing this would do, if this person does it.
    ///
    /// # Errors
    /// When it names nothing that this person may look at, a run has not ended, it is too much at once,
    /// or the store fails.
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

    /// Whether nothing would happen.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        let no_files = self.scope.files.is_empty() && self.scope.withdrawn.is_empty();
        self.plan.rows.is_empty() && self.work.is_empty() && no_files
    }
}

/// What is done besides the records, for the basis.
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
