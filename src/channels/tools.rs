//! Tools with which agents write to people on their own.

use std::borrow::Cow;

use features::notifications::model::Notification;
use features::notifications::rules as notices;
use features::tasks::queries as tasks;
use kernel::{Can, Error};
use schemars::JsonSchema;
use serde::Deserialize;
use store::{ReadExt as _, WriteTx};
use tool::{Aliases, Effect, Group, Registry, ToolCx, ToolError, ToolOutput, ToolSpec, WriteTool};

use crate::places;
use crate::rules;

/// Most characters of a message.
const MAX_TEXT: usize = 8_000;
/// Longest first line that is a title.
const MAX_TITLE: usize = 120;

#[must_use]
pub fn tools() -> Registry {
    Registry::new().write(NotifyOwner).write(ChannelSend)
}

/// The text of a message.
fn checked(text: &str) -> Result<&str, Error> {
    let text = text.trim();
    match text.chars().count() {
        0 => Err(Error::field("text", "write the text of the message")),
        1..=MAX_TEXT => Ok(text),
        _ => Err(Error::field("text", format!("use at most {MAX_TEXT} characters"))),
    }
}

/// `notify_owner`: a notification to the person that the agent reports to, also in their direct chat if they want it.
pub struct NotifyOwner;

/// Arguments of `notify_owner`.
#[derive(Deserialize, JsonSchema)]
pub struct NotifyArgs {
    /// the first line is the title
    text: String,
    /// default: the one you work on
    task: Option<String>,
}

impl WriteTool for NotifyOwner {
    type Args = NotifyArgs;
    type Ready = ();
    const SPEC: ToolSpec = ToolSpec {
        name: Cow::Borrowed("notify_owner"),
        group: Group::Agents,
        needs: Can::Write,
        effect: Effect::Add,
        about: Cow::Borrowed("Tell the person you report to something that needs no answer."),
    };
    const ALIASES: Aliases = &[("message", "text"), ("title", "text")];

    fn commit(
        &self,
        cx: &ToolCx,
        tx: &mut WriteTx<'_>,
        args: NotifyArgs,
        (): (),
    ) -> Result<ToolOutput, ToolError> {
        let task = match (args.task, cx.task) {
            (Some(text), _) => Some(tasks::resolve(tx, &text)?.id),
            (None, own) => own,
        };
        let text = checked(&args.text)?;
        let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
        let first = first.trim().trim_start_matches('#').trim();
        let is_title = first.chars().count() <= MAX_TITLE;
        let body = if is_title { rest.trim() } else { text };
        let told = notices::tell_owner(tx, cx.agent, task, (first, body))?;
        let Some(told) = told else {
            let off = "Not sent: no one has these notifications turned on.";
            return Ok(ToolOutput::text(off));
        };
        let Some(notification) = tx.get::<Notification>(told.id)? else {
            return Ok(ToolOutput::text("Sent."));
        };
        let markdown = match body {
            "" => format!("**{}**", notification.title),
            body => format!("**{}**\n\n{body}", notification.title),
        };
        for account in told.to {
            rules::tell(tx, account, &notification, (&markdown, cx.run))?;
        }
        Ok(ToolOutput::text("Sent."))
    }
}

/// `channel_send`: a message to a place of the agent's channels.
pub struct ChannelSend;

/// Arguments of `channel_send`.
#[derive(Deserialize, JsonSchema)]
pub struct SendArgs {
    /// Markdown
    text: String,
    /// name or id of a paired person or of a room; default: the chat you were written to
    to: Option<String>,
}

impl WriteTool for ChannelSend {
    type Args = SendArgs;
    type Ready = ();
    const SPEC: ToolSpec = ToolSpec {
        name: Cow::Borrowed("channel_send"),
        group: Group::Agents,
        needs: Can::Write,
        effect: Effect::External,
        about: Cow::Borrowed(
            "Send a message on a messenger before you end, or to someone else there.",
        ),
    };
    const ALIASES: Aliases = &[("message", "text"), ("channel", "to"), ("recipient", "to")];

    fn commit(
        &self,
        cx: &ToolCx,
        tx: &mut WriteTx<'_>,
        args: SendArgs,
        (): (),
    ) -> Result<ToolOutput, ToolError> {
        let text = checked(&args.text)?;
        let to = args.to.unwrap_or_default();
        let target = places::target(tx, (cx.agent, cx.run), &to)?;
        rules::say(tx, &target.place, cx.run, text)?;
        Ok(ToolOutput::text(format!("Queued for {}.", target.label)))
    }
}
