//! Model usage of a run: the answering model, the payment route, tokens by kind.

use crate::connections::model::Connection;
use crate::usage::model::Usage;
use crate::usage::queries as usage;
use kernel::{CallEnd, CallKind, ConnectionId, Route, RunId};
use providers::model::Usage as Tokens;
use store::{Read, ReadExt, StoreError};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Used {
    /// The model of the last response; before the first response, of the last call.
    pub model: String,
    pub provider: String,
    /// `None` for the practice model.
    pub connection: Option<ConnectionId>,
    /// `None` if the connection was deleted.
    pub connection_name: Option<String>,
    /// Payment route of the provider.
    pub route: Route,
    /// Tokens of all calls, including summaries.
    pub tokens: Tokens,
}

/// Usage of a run; `None` before its first call ends. Reads every call of the run, so it is not for lists.
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

/// The call that determines the model: the last answered call of the conversation itself, else the last call.
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
