//! What a run has used of models: who answered in the end, on which way that is paid, tokens by kind.

use crate::connections::model::Connection;
use crate::usage::model::Usage;
use crate::usage::queries as usage;
use kernel::{CallEnd, CallKind, ConnectionId, Route, RunId};
use providers::model::Usage as Tokens;
use store::{Read, ReadExt, StoreError};

/// What the calls of a run have used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Used {
    /// The model that answered last; the one that was asked last when none has answered.
    pub model: String,
    pub provider: String,
    /// The connection over which it was asked; none for practice.
    pub connection: Option<ConnectionId>,
    /// What that is called; none when it is no longer there.
    pub connection_name: Option<String>,
    /// On which way its provider was paid.
    pub route: Route,
    /// The tokens of all calls, also of those for summaries.
    pub tokens: Tokens,
}

/// What a run has used; nothing before its first call has ended. Reads each call of the run: not for lists.
pub fn of_run(tx: &dyn Read, run: RunId) -> Result<Option<Used>, StoreError> {
    let calls = usage::of_run(tx, run)?;
    let Some(last) = last(&calls) else { return Ok(None) };
    let mut tokens = Tokens::default();
    calls.iter().for_each(|call| tokens += call.tokens());
    let stored = match last.connection {
        Some(id) => tx.get::<Connection>(id)?,
        None => None,
    };
    Ok(Some(Used {
        model: last.model.clone(),
        provider: last.provider.clone(),
        connection: last.connection,
        connection_name: stored.map(|connection| connection.name),
        route: last.route,
        tokens,
    }))
}

/// The call that says who answers: the last one of the conversation itself that has an answer.
fn last(calls: &[Usage]) -> Option<&Usage> {
    let is_own = |call: &&Usage| matches!(call.kind, CallKind::Step | CallKind::WrapUp);
    let answered = calls.iter().rev().filter(is_own).find(|call| call.end == CallEnd::Answered);
    answered.or(calls.last())
}

#[cfg(test)]
mod tests {
    use super::last;
    use crate::usage::model::Usage;
    use kernel::{CallEnd, CallKind};
    use store::Record as _;

    fn call(model: &str, kind: CallKind, end: CallEnd) -> Usage {
        Usage { model: model.to_owned(), kind, end, ..Usage::sample() }
    }

    #[test]
    fn who_answered_last_counts_and_summaries_do_not() {
        let mut calls = vec![call("first", CallKind::Step, CallEnd::Refused)];
        let model = |calls: &[Usage]| last(calls).map(|call| call.model.clone());
        assert_eq!(model(&[]), None);
        assert_eq!(model(&calls).as_deref(), Some("first"), "nobody has answered");
        calls.push(call("spare", CallKind::Step, CallEnd::Answered));
        calls.push(call("short", CallKind::Compaction, CallEnd::Answered));
        calls.push(call("first", CallKind::Step, CallEnd::CutOff));
        assert_eq!(model(&calls).as_deref(), Some("spare"));
        calls.push(call("last", CallKind::WrapUp, CallEnd::Answered));
        assert_eq!(model(&calls).as_deref(), Some("last"));
    }
}
