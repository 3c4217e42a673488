//! Resumes a run with the client's results of its tool calls.

use app::Ws;
use features::agents::model::Agent;
use features::runs::model::{Run, Session};
use features::runs::queries::client;
use features::runs::queries::talk as own;
use features::runs::rules::client::{self as rules, Answered, ClientResult, MAX_INLINE};
use features::runs::rules::{NewInput, RunError};
use kernel::{ProblemKind, RunId};
use store::{ReadExt, StoreError, WriteTx};
use web::error::Failure;
use web::idempotency::Once;
use web::session::Person;

use super::content;
use super::error::ChatError;
use super::{PlacedRequest, Question};

/// Passes results to the run that waits for them. Returns `None` if no run of this person and agent waits; then the
/// results are part of the conversation.
///
/// # Errors
/// A result is missing, or results were already given.
pub(super) async fn go_on(
    ws: &Ws,
    who: &Person,
    agent: &Agent,
    once: Once,
    question: &mut Question,
) -> Result<Option<PlacedRequest>, ChatError> {
    let results = question.talk.results();
    let Some(run) = one_run(&results) else { return Ok(None) };
    let found = ws.read(|snap| -> Result<_, StoreError> {
        let Some(run) = snap.get::<Run>(run)?.filter(Run::is_live) else { return Ok(None) };
        let session = snap
            .get::<Session>(run.session)?
            .filter(|session| session.agent == agent.id && session.owner == Some(who.account));
        Ok(session.map(|session| (run, session.key)))
    })?;
    let Some((run, key)) = found else { return Ok(None) };
    if !run.waits_for_client() {
        let text = "these calls already have results, and the answer is on its way";
        return Err(ChatError::of(Failure::new(ProblemKind::Conflict, "no_open_calls", text)));
    }
    let message = question.talk.said_besides();
    let attached = content::keep(ws, question.talk.take_files()).await?;
    let message = (!message.is_empty() || !attached.is_empty())
        .then(|| NewInput { attached, ..NewInput::chat(message) });
    let results = kept(ws, results).await?;
    let demand = question.demand.clone().unwrap_or_default();
    let answered = Answered { results, message, demand, thinking: question.thinking };
    let (id, created) = (run.id, ws.app.clock.now().as_second());
    let bound = own::is_throw_away(&key) && !question.stays;
    let answer = once.run(move |tx: &mut WriteTx<'_>| -> Result<_, RunError> {
        let resumed = rules::answer(tx, id, answered)?;
        rules::bind(tx, id, bound)?;
        let (since, name) = ((resumed.event, resumed.calls), format!("{id}_{}", resumed.event));
        Ok(PlacedRequest { input: resumed.message, run: id, since, bound, name, created })
    });
    Ok(Some(ws.write(who, answer).await?))
}

/// The run that all results belong to.
fn one_run(results: &[(String, String)]) -> Option<RunId> {
    let mut runs = results.iter().map(|(id, _)| client::run_of(id));
    let first = runs.next()??;
    runs.all(|run| run == Some(first)).then_some(first)
}

/// Redacts secrets and stores long results as blobs.
async fn kept(ws: &Ws, results: Vec<(String, String)>) -> Result<Vec<ClientResult>, ChatError> {
    let own = ws.clone();
    let kept = tokio::task::spawn_blocking(move || {
        let keep = |(id, text): (String, String)| -> std::io::Result<ClientResult> {
            let text = own.app.redactor.text(&text).into_owned();
            let whole = match text.len() {
                0..=MAX_INLINE => None,
                _ => Some(own.blobs.put(text.as_bytes())?),
            };
            Ok(ClientResult { id, text, whole })
        };
        results.into_iter().map(keep).collect()
    });
    content::written(kept.await)
}
