//! Comment tools for agents.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::Deserialize;

use features::comments::model::Comment;
use features::comments::queries;
use features::comments::rules::{self, Reach};
use features::places::Spot;
use kernel::{Can, ReactionKind};
use store::WriteTx;
use tool::{Effect, Group, Registry, ToolCx, ToolError, ToolOutput, ToolSpec, WriteTool};

#[must_use]
pub fn tools() -> Registry {
    let all = Registry::new().write(CommentAdd).write(CommentReply);
    all.write(CommentReact).write(CommentResolve)
}

/// `comment_add`: comments on a task or a record.
pub struct CommentAdd;

/// Arguments of `comment_add`.
#[derive(Deserialize, JsonSchema)]
pub struct AddArgs {
    /// or contact:Name; default: your task
    task: Option<String>,
    /// Markdown
    body: String,
}

impl WriteTool for CommentAdd {
    type Args = AddArgs;
    type Ready = ();
    const SPEC: ToolSpec = ToolSpec {
        name: Cow::Borrowed("comment_add"),
        group: Group::Tasks,
        needs: Can::Write,
        effect: Effect::Add,
        about: Cow::Borrowed(
            "Comment on a task or record. @slug assigns work to an agent, @handle notifies \
            people.",
        ),
    };

    fn commit(
        &self,
        cx: &ToolCx,
        tx: &mut WriteTx<'_>,
        args: AddArgs,
        (): (),
    ) -> Result<ToolOutput, ToolError> {
        let spot = Spot::meant(tx, args.task.as_deref(), (cx.agent, cx.task))?;
        let comment = rules::add(tx, spot.place, &args.body, Reach::Usual)?;
        Ok(ToolOutput::text(format!("Commented on {}.{}", spot.name, called(&comment))))
    }
}

/// How many were mentioned, in a sentence.
fn called(comment: &Comment) -> String {
    match comment.called.len() {
        0 => String::new(),
        1 => " Mentioned one.".to_owned(),
        n => format!(" Mentioned {n}."),
    }
}

/// `comment_reply`: replies to a comment.
pub struct CommentReply;

/// Arguments of `comment_reply`.
#[derive(Deserialize, JsonSchema)]
pub struct ReplyArgs {
    /// id of the comment, as task_get shows it
    comment: String,
    /// Markdown
    body: String,
    /// default: the one you work on
    task: Option<String>,
}

impl WriteTool for CommentReply {
    type Args = ReplyArgs;
    type Ready = ();
    const SPEC: ToolSpec = ToolSpec {
        name: Cow::Borrowed("comment_reply"),
        group: Group::Tasks,
        needs: Can::Write,
        effect: Effect::Add,
        about: Cow::Borrowed("Reply to a comment in its thread. This reopens a resolved thread."),
    };

    fn commit(
        &self,
        cx: &ToolCx,
        tx: &mut WriteTx<'_>,
        args: ReplyArgs,
        (): (),
    ) -> Result<ToolOutput, ToolError> {
        let spot = Spot::meant(tx, args.task.as_deref(), (cx.agent, cx.task))?;
        let to = queries::meant(tx, spot.place, &args.comment)?;
        let comment = rules::reply(tx, spot.place, to.id, (&args.body, Reach::Usual))?;
        Ok(ToolOutput::text(format!("Replied on {}.{}", spot.name, called(&comment))))
    }
}

pub struct CommentReact;

/// Arguments of `comment_react`.
#[derive(Deserialize, JsonSchema)]
pub struct ReactArgs {
    /// id of the comment, as task_get shows it
    comment: String,
    reaction: ReactionKind,
    /// default: the one you work on
    task: Option<String>,
    /// true removes it
    #[serde(default)]
    remove: bool,
}

impl WriteTool for CommentReact {
    type Args = ReactArgs;
    type Ready = ();
    const SPEC: ToolSpec = ToolSpec {
        name: Cow::Borrowed("comment_react"),
        group: Group::Tasks,
        needs: Can::Write,
        effect: Effect::Change,
        about: Cow::Borrowed(
            "React to a comment when a reply would add nothing. This notifies no one.",
        ),
    };

    fn commit(
        &self,
        cx: &ToolCx,
        tx: &mut WriteTx<'_>,
        args: ReactArgs,
        (): (),
    ) -> Result<ToolOutput, ToolError> {
        let spot = Spot::meant(tx, args.task.as_deref(), (cx.agent, cx.task))?;
        let comment = queries::meant(tx, spot.place, &args.comment)?;
        rules::react(tx, comment.id, args.reaction, !args.remove)?;
        Ok(ToolOutput::text(match args.remove {
            true => format!("Removed {}.", args.reaction.emoji()),
            false => format!("Reacted with {}.", args.reaction.emoji()),
        }))
    }
}

/// `comment_resolve`: resolves a thread.
pub struct CommentResolve;

/// Arguments of `comment_resolve`.
#[derive(Deserialize, JsonSchema)]
pub struct ResolveArgs {
    /// id of a comment in the thread, as task_get shows it
    comment: String,
    /// default: the one you work on
    task: Option<String>,
    /// true reopens it
    #[serde(default)]
    reopen: bool,
}

impl WriteTool for CommentResolve {
    type Args = ResolveArgs;
    type Ready = ();
    const SPEC: ToolSpec = ToolSpec {
        name: Cow::Borrowed("comment_resolve"),
        group: Group::Tasks,
        needs: Can::Write,
        effect: Effect::Change,
        about: Cow::Borrowed("Resolve a comment thread when what it asked for is done or decided."),
    };

    fn commit(
        &self,
        cx: &ToolCx,
        tx: &mut WriteTx<'_>,
        args: ResolveArgs,
        (): (),
    ) -> Result<ToolOutput, ToolError> {
        let spot = Spot::meant(tx, args.task.as_deref(), (cx.agent, cx.task))?;
        let comment = queries::meant(tx, spot.place, &args.comment)?;
        rules::settle(tx, comment.id, !args.reopen)?;
        Ok(ToolOutput::text(if args.reopen { "The thread is open again." } else { "Resolved." }))
    }
}
