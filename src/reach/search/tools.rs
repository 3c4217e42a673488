//! `web_search`: results of the workspace's engines, numbered, as untrusted content.

use std::borrow::Cow;

use app::Ws;
use kernel::{Actor, Can, Cause};
use store::StoreError;
use tool::{
    Aliases, Effect, Group, Looks, ReadTool, Registry, ToolCx, ToolError, ToolOutput, ToolSpec,
    leaks, untrusted,
};

use super::answer::{Answer, Args};
use super::native::{self, Native};
use super::rules::{self, Caller};
use super::{key, queries};
use crate::engines::{self, Attempt, Engine, Outcome, Query, Via};

#[must_use]
pub fn tools() -> Registry {
    Registry::new().read(WebSearch)
}

struct WebSearch;

impl ReadTool for WebSearch {
    type Args = Args;
    const SPEC: ToolSpec = ToolSpec {
        name: Cow::Borrowed("web_search"),
        group: Group::Web,
        needs: Can::Read,
        effect: Effect::External,
        about: Cow::Borrowed("Search the web; cite sources by their numbers and addresses."),
    };
    const ALIASES: Aliases = &[("q", "query"), ("dateFrom", "date_from"), ("dateTo", "date_to")];
    // The keys of the engines stay on the primary.
    const LOOKS: Looks = Looks::Home;

    async fn read(&self, cx: &ToolCx, args: Args) -> Result<ToolOutput, ToolError> {
        let written = args.written();
        let query = args.checked(key::today(&cx.ws))?;
        // As it was written and as it is sent: host names lose their case, words their control characters.
        let sent = format!("{written}\n{}", query.with_sites());
        if let Some(why) = leaks::of(&cx.ws.app.redactor, &sent) {
            let text = format!("nothing was sent: {why}; search without it");
            return Err(ToolError::refused("denied", text));
        }
        let caller = Caller { agent: cx.agent, run: cx.run, step: cx.step };
        let ways = cx.ws.read_blocking(Ways::ready).await?;
        let mut outcome = ask_own(cx, (&ways.own, &query), caller, ways.is_none()).await?;
        if outcome.found.is_none()
            && let Some(native) = &ways.native
        {
            match native::search(cx, native, &query, caller).await? {
                Ok(found) => {
                    outcome.found = Some((0, found));
                    return Ok(output(cx, &Answer::of(&native.name, &query, outcome)));
                }
                Err(fault) => outcome.failed.push(Attempt { engine: native.name.clone(), fault }),
            }
        }
        let mut engines = &ways.own;
        if outcome.found.is_none() && !ways.keyless.is_empty() {
            engines = &ways.keyless;
            let free = ask_all(cx, engines, &query).await.ok_or_else(stopped)?;
            let mut failed = outcome.failed;
            failed.extend(free.failed);
            outcome = Outcome { failed, ..free };
        }
        Ok(output(cx, &Answer::of(outcome.provider(engines), &query, outcome)))
    }
}

/// All that may answer a search, in order.
struct Ways {
    own: Vec<Engine>,
    native: Option<Native>,
    keyless: Vec<Engine>,
}

impl Ways {
    /// Blocking.
    fn ready(ws: &Ws) -> Result<Self, StoreError> {
        let is_own = |engine: &Engine| !matches!(engine.via, Via::Keyless(_));
        let (own, keyless) = queries::ready(ws)?.into_iter().partition(is_own);
        Ok(Self { own, native: native::ready(ws)?, keyless })
    }

    fn is_none(&self) -> bool {
        self.own.is_empty() && self.native.is_none() && self.keyless.is_empty()
    }
}

fn stopped() -> ToolError {
    ToolError::refused("aborted", "stopped")
}

/// Asks engines; `None` if the call was stopped.
async fn ask_all(cx: &ToolCx, engines: &[Engine], query: &Query) -> Option<Outcome> {
    tokio::select! {
        outcome = engines::search(&cx.ws.app.http, &queries::CACHE, engines, query) => Some(outcome),
        () = cx.cancel.cancelled() => None,
    }
}

/// Counts the search, asks the workspace's own engines, and books what they cost.
async fn ask_own(
    cx: &ToolCx,
    (engines, query): (&[Engine], &Query),
    caller: Caller,
    is_free: bool,
) -> Result<Outcome, ToolError> {
    let by = (Actor::Agent { agent: cx.agent, run: cx.run }, Cause::Step(cx.run, cx.step));
    let most = engines.iter().map(|engine| engine.cost_micros).max().unwrap_or(0);
    let held = match is_free {
        true => None,
        false => cx.ws.write(&by, move |tx| rules::begin(tx, caller, most)).await?,
    };
    let outcome = ask_all(cx, engines, query).await;
    if let Some(held) = held {
        let answered = match &outcome {
            Some(Outcome { found: Some((at, _)), is_cached, .. }) => {
                let micros = if *is_cached { 0 } else { engines[*at].cost_micros };
                Some((engines[*at].name.clone(), micros))
            }
            Some(_) => None,
            // Not known: the request may have reached the dearest engine.
            None => Some((String::new(), most)),
        };
        cx.ws.write(&by, move |tx| rules::end(tx, held, answered)).await?;
    }
    outcome.ok_or_else(stopped)
}

fn output(cx: &ToolCx, answer: &Answer) -> ToolOutput {
    match (answer, answer.facts()) {
        (Answer::Error { error, message, .. }, _) => {
            ToolOutput::error(format!("Error({error}): {message}"))
        }
        (answer, facts) => {
            let sources = answer.sources();
            let sources = if sources.is_empty() { "No results." } else { &sources };
            let id = untrusted::id_for(cx);
            let facts = facts.unwrap_or_default();
            ToolOutput::text(format!("{facts}\n{}", untrusted::wrap(&id, sources)))
        }
    }
}
