//! `web_search`: results of the workspace's engines, numbered, as untrusted content.

use std::borrow::Cow;

use kernel::{Actor, Can, Cause};
use tool::{
    Aliases, Effect, Group, Looks, ReadTool, Registry, ToolCx, ToolError, ToolOutput, ToolSpec,
    leaks, untrusted,
};

use super::answer::{Answer, Args};
use super::rules::{self, Caller};
use super::{key, queries};
use crate::engines::{self, Outcome};

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
        let engines = cx.ws.read_blocking(queries::ready).await?;
        let by = (Actor::Agent { agent: cx.agent, run: cx.run }, Cause::Step(cx.run, cx.step));
        let caller = Caller { agent: cx.agent, run: cx.run, step: cx.step };
        let most = engines.iter().map(|engine| engine.cost_micros).max().unwrap_or(0);
        let held = match engines.is_empty() {
            true => None,
            false => cx.ws.write(&by, move |tx| rules::begin(tx, caller, most)).await?,
        };
        let asked = engines::search(&cx.ws.app.http, &queries::CACHE, &engines, &query);
        let outcome = tokio::select! {
            outcome = asked => Some(outcome),
            () = cx.cancel.cancelled() => None,
        };
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
        let outcome = outcome.ok_or_else(|| ToolError::refused("aborted", "stopped"))?;
        Ok(output(cx, &Answer::of(&engines, &query, outcome)))
    }
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
