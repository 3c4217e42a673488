//! Calls during which an MCP server asks a person or wants a sign-in. The run gives its slot back and makes the call
//! again afterwards; the tool then continues where it stopped. The check of such a call is repeated only after a
//! sign-in, because the server has not begun it.

use std::time::Instant;

use crypto::redact::Spot;
use features::runs::model::{Elicitation, Park};
use features::runs::queries::{elicit, park};
use kernel::text::ellipsis;
use kernel::{JsonText, WaitFor};
use serde_json::Value;
use tool::registry::Entry;
use tool::{APPROVAL_CHANGED, ServerQuestion, ToolError, ToolOutput, ToolWait};

use super::EngineError;
use super::calls::{Outcomes, since};
use super::command::ends::ServerAsked;
use super::command::journal::CallResumed;
use super::gate::{Passed, weighed_there};
use super::toolbox::Call;
use super::turn::{Step, Turn};

/// Largest state of a waiting call, in bytes.
const MAX_STATE: usize = 40 * 1024;

impl Turn {
    /// The wait of the call with this number, at the question of its server or for a sign-in.
    pub(super) fn asked_at(&self, step: u32) -> Result<Option<Park>, EngineError> {
        let run = self.talk.journal.run;
        Ok(self.talk.journal.ws.read(|snap| park::asked_at(snap, run, step))?)
    }

    /// The wait of the next call, at the question of its server or for a sign-in.
    pub(super) fn next_asked(&self) -> Result<Option<Park>, EngineError> {
        self.asked_at(self.talk.journal.steps + 1)
    }

    /// Lets a call continue after its server's question or a sign-in; `None` for any other call.
    pub(super) async fn resumed(
        &mut self,
        call: &Call,
        entry: &Entry,
    ) -> Result<Option<Passed>, EngineError> {
        if !entry.is_layered() {
            return Ok(None);
        }
        let Some(park) = self.next_asked()? else { return Ok(None) };
        // ok: arguments that no longer fit the tool are checked like those of a new call.
        let Ok(arguments) = entry.canonical(&call.arguments) else { return Ok(None) };
        let (step, activity) = (self.talk.journal.steps + 1, call.name.clone());
        // It may have waited for days.
        let may_go =
            !park.is_for_sign_in() || self.is_still_allowed(call, entry, arguments.clone()).await?;
        self.talk.journal.apply(CallResumed { step, activity }).await?;
        Ok(Some(match may_go {
            true => Passed::Go { lease: weighed_there(arguments), is_bound: false },
            false => Passed::Refused(ToolError::refused("unavailable", APPROVAL_CHANGED)),
        }))
    }

    /// Records a server's question, for whose answer the run waits, or that it waits for a sign-in.
    pub(super) async fn wait_for_server(
        &mut self,
        call: &Call,
        (wait, start): (ToolWait, Instant),
    ) -> Result<Step, EngineError> {
        let question = wait.question.map(|question| *question).unwrap_or_default();
        let ServerQuestion { server, message, schema, url, state } = question;
        let is_small = |text: &Option<String>| text.as_ref().map_or(0, String::len) <= MAX_STATE;
        if !is_small(&state) || !is_small(&schema) || !is_small(&url) {
            let text = match wait.waits_for {
                WaitFor::SignIn => "Error(too_large): the call is too large to wait for a sign-in",
                _ => "Error(too_large): the server's question is too large to be asked",
            };
            let output = Outcomes::of(Ok(ToolOutput::error(text)), since(start))?;
            return self.finish(call, output).await.map(|()| Step::Next);
        }
        let redactor = &self.talk.journal.ws.app.redactor;
        let mask = |text: &str| redactor.masked(Spot::Tools, text).into_owned();
        // ok: a question whose form can't be read is not asked.
        let schema: Option<Value> = schema.and_then(|schema| serde_json::from_str(&schema).ok());
        let schema = schema.map(|schema| JsonText(redactor.json(Spot::Tools, schema).to_string()));
        let (url, message, state) =
            (url.map(|url| mask(&url)), mask(&message), state.map(JsonText));
        let asked = Elicitation { server, schema, url, state, answer: None, is_taken: false };
        let (detail, question, options) = match wait.waits_for {
            // It ends with the sign-in and takes no answer.
            WaitFor::SignIn => (wait.detail, String::new(), Vec::new()),
            _ => {
                let words = elicit::shown(&message);
                let first = words.lines().next().unwrap_or_default();
                let detail = ellipsis(&format!("{} asks: “{first}”", asked.server), 200);
                (detail, elicit::question(&asked, &message), elicit::options(&asked))
            }
        };
        let entry = ServerAsked {
            step: self.talk.journal.steps + 1,
            activity: call.name.clone(),
            detail,
            until: wait.until,
            question,
            options,
            asked,
        };
        self.talk.journal.apply(entry).await?;
        Ok(Step::Waits)
    }
}
