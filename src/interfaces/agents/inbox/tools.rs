//! Inbox tools for agents: list open items with their reasons, and drop items that no person requested.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use features::inbox::model::Item;
use features::inbox::queries::list::{self, Filter};
use features::inbox::queries::why::held_words;
use features::inbox::rules;
use features::tasks::queries as tasks;
use kernel::text::ellipsis;
use kernel::{Can, ItemKind, ItemState, Priority, TypedId as _};
use store::{Read, WriteTx};
use tool::{Effect, Group, ReadTool, Registry, ToolCx, ToolError, ToolOutput, ToolSpec, WriteTool};

/// Default number of items.
const SHOWN: usize = 25;
/// Maximum number of items.
const MAX_SHOWN: usize = 100;
/// Number of the newest reasons of an item.
const REASONS: usize = 5;
/// Length of an error excerpt, in characters.
const MAX_ERROR: usize = 200;

#[must_use]
pub fn tools() -> Registry {
    Registry::new().read(InboxList).write(InboxDrop)
}

const fn spec(name: &'static str, effect: Effect, about: &'static str) -> ToolSpec {
    let needs = match effect {
        Effect::Read => Can::Read,
        _ => Can::Write,
    };
    ToolSpec {
        name: Cow::Borrowed(name),
        group: Group::Work,
        needs,
        effect,
        about: Cow::Borrowed(about),
    }
}

/// An item in one line.
#[derive(Serialize)]
struct Line {
    item: String,
    kind: ItemKind,
    state: ItemState,
    priority: Priority,
    #[serde(skip_serializing_if = "Option::is_none")]
    task: Option<String>,
    why: Vec<String>,
    since: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_before: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    held: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    yours_now: bool,
}

fn line(read: &dyn Read, cx: &ToolCx, item: &Item) -> Result<Line, ToolError> {
    let task = match item.task.map(|task| tasks::get(read, task)) {
        Some(Ok(task)) => Some(tasks::name(read, task.number)?),
        // A deleted task has no name.
        Some(Err(_)) | None => None,
    };
    let from = item.reasons.len().saturating_sub(REASONS);
    Ok(Line {
        item: item.id.short(),
        kind: item.kind,
        state: item.state.shown(),
        priority: item.priority,
        task,
        why: item.reasons[from..].iter().map(|reason| reason.summary.clone()).collect(),
        since: item.created_at.to_string(),
        not_before: item.not_before.map(|at| at.to_string()),
        held: item.held_reason.as_deref().map(held_words),
        error: item.last_error.as_deref().map(|text| ellipsis(text, MAX_ERROR)),
        yours_now: cx.item == Some(item.id),
    })
}

/// `inbox_list`: lists the agent's items.
pub struct InboxList;

/// Arguments of `inbox_list`.
#[derive(Deserialize, JsonSchema)]
pub struct ListArgs {
    /// closed items instead of waiting ones
    #[serde(default)]
    over: bool,
    limit: Option<usize>,
}

impl ReadTool for InboxList {
    type Args = ListArgs;
    const SPEC: ToolSpec = spec(
        "inbox_list",
        Effect::Read,
        "List your inbox: waiting items in order, why they are there, and what blocks them.",
    );

    async fn read(&self, cx: &ToolCx, args: ListArgs) -> Result<ToolOutput, ToolError> {
        let now = cx.ws.app.clock.now();
        let most = args.limit.unwrap_or(SHOWN).clamp(1, MAX_SHOWN);
        cx.ws.read(|snap| {
            let items = match args.over {
                true => {
                    let filter = Filter { agent: Some(cx.agent), over: Some(true), state: None };
                    list::page(snap, &filter, None, most)?.0
                }
                false => list::open(snap, Some(cx.agent), now)?,
            };
            let lines = items.iter().take(most).map(|item| line(snap, cx, item));
            Ok(ToolOutput::of(&lines.collect::<Result<Vec<_>, ToolError>>()?))
        })
    }
}

/// `inbox_drop`: drops an item.
pub struct InboxDrop;

/// Arguments of `inbox_drop`.
#[derive(Deserialize, JsonSchema)]
pub struct DropArgs {
    /// its id, as inbox_list shows it
    item: String,
    /// why
    reason: String,
}

impl WriteTool for InboxDrop {
    type Args = DropArgs;
    type Ready = ();
    const SPEC: ToolSpec = spec(
        "inbox_drop",
        Effect::Change,
        "Decline a waiting item that no person asked for, for example because it is already done.",
    );

    fn commit(
        &self,
        cx: &ToolCx,
        tx: &mut WriteTx<'_>,
        args: DropArgs,
        (): (),
    ) -> Result<ToolOutput, ToolError> {
        let text = args.item.trim();
        let open = list::open(tx, Some(cx.agent), tx.now())?;
        let meant = open.iter().find(|item| item.id.short() == text || item.id.to_string() == text);
        let Some(item) = meant else {
            let message = format!("no waiting item has the id \"{text}\"; inbox_list shows yours");
            return Err(ToolError::refused("item_not_found", message));
        };
        rules::decline(tx, item.id, &args.reason)?;
        Ok(ToolOutput::text("Declined."))
    }
}
