//! Calls during which an MCP server asks a person. The run gives its slot back and makes the call again after the
//! answer; the tool then goes on where it stopped. The check of such a call is not repeated, because it has begun.

use std::time::Instant;

use crypto::redact::Spot;
use features::runs::model::{Elicitation, Park};
use features::runs::queries::{elicit, park};
use kernel::JsonText;
use kernel::text::ellipsis;
use serde_json::Value;
use tool::registry::Entry;
use tool::{Lease, ServerQuestion, ToolOutput, ToolWait};

use super::EngineError;
use super::calls::{Outcomes, since};
use super::command::ends::ServerAsked;
use super::command::journal::CallResumed;
use super::gate::weighed_there;
use super::toolbox::Call;
use super::turn::{Step, Turn};

/// Largest state of a waiting call, in bytes.
const MAX_STATE: usize = 40 * 1024;

/// A value with all texts masked.
fn masked(value: Value, mask: &dyn Fn(&str) -> String) -> Value {
    match value {
        Value::String(text) => Value::String(mask(&text)),
        Value::Array(all) => all.into_iter().map(|one| masked(one, mask)).collect(),
        Value::Object(all) => {
            all.into_iter().map(|(name, one)| (mask(&name), masked(one, mask))).collect()
        }
        other => other,
    }
}

impl Turn {
    /// The question of a server at which the next call waits.
    pub(super) fn asked(&self) -> Result<Option<Park>, EngineError> {
        let (run, step) = (self.talk.journal.run, self.talk.journal.steps + 1);
        Ok(self.talk.journal.ws.read(|snap| park::asked_at(snap, run, step))?)
    }

    /// The lease of a call that goes on after its server's question; `None` for any other call.
    pub(super) async fn resumed(
        &mut self,
        call: &Call,
        entry: &Entry,
    ) -> Result<Option<Lease>, EngineError> {
        if !entry.is_layered() || self.asked()?.is_none() {
            return Ok(None);
        }
        // ok: arguments that no longer fit the tool are checked like those of a new call.
        let Ok(arguments) = entry.canonical(&call.arguments) else { return Ok(None) };
        let (step, activity) = (self.talk.journal.steps + 1, call.name.clone());
        self.talk.journal.apply(CallResumed { step, activity }).await?;
        Ok(Some(weighed_there(arguments)))
    }

    /// Lets the run wait for the answer to a server's question.
    pub(super) async fn wait_for_server(
        &mut self,
        call: &Call,
        (wait, start): (ToolWait, Instant),
    ) -> Result<Step, EngineError> {
        let question = wait.question.map(|question| *question).unwrap_or_default();
        let ServerQuestion { server, message, schema, url, state } = question;
        let is_small = |text: &Option<String>| text.as_ref().map_or(0, String::len) <= MAX_STATE;
        if !is_small(&state) || !is_small(&schema) || !is_small(&url) {
            let text = "Error(too_large): the server's question is too large to be asked";
            let output = Outcomes::of(Ok(ToolOutput::error(text)), since(start))?;
            return self.finish(call, output).await.map(|()| Step::Next);
        }
        let redactor = &self.talk.journal.ws.app.redactor;
        let mask = |text: &str| redactor.masked(Spot::Tools, text).into_owned();
        // ok: a question whose form can't be read is not asked.
        let schema: Option<Value> = schema.and_then(|schema| serde_json::from_str(&schema).ok());
        let schema = schema.map(|schema| JsonText(masked(schema, &mask).to_string()));
        let (url, message, state) =
            (url.map(|url| mask(&url)), mask(&message), state.map(JsonText));
        let asked = Elicitation { server, schema, url, state, answer: None, is_taken: false };
        let words = elicit::shown(&message);
        let first = words.lines().next().unwrap_or_default();
        let detail = ellipsis(&format!("{} asks: “{first}”", asked.server), 200);
        let entry = ServerAsked {
            step: self.talk.journal.steps + 1,
            activity: call.name.clone(),
            detail,
            until: wait.until,
            question: elicit::question(&asked, &message),
            options: elicit::options(&asked),
            asked,
        };
        self.talk.journal.apply(entry).await?;
        Ok(Step::Waits)
    }
}
