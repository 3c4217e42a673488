//! Write tools for agents. An agent changes its own pages and skills; for items that others read, it makes suggestions.
//! A full text is merged over the version that the agent has read, so concurrent changes are kept.

use app::Ws;
use features::agents::packages::{self, Draft, Propose};
use kernel::{Actor, AgentId};
use schemars::JsonSchema;
use serde::Deserialize;
use store::history::{self, Steps};
use store::{Read, ReadExt as _, Root, StoreError, WriteTx, record};

use tool::edits::{self, Edit, Places};
use tool::masks;
use tool::merge::Clash;
use tool::{Effect, ToolCx, ToolError, ToolOutput, ToolSpec, WriteTool};

use super::spec;
use crate::error::KnowledgeError;
use crate::model::{Body, Item, ItemKind, KnowledgeId, Scope, Text};
use crate::rules::{self, NewItem, NewSuggestion, Patch};
use crate::words::{self, Written};
use crate::{cited, links, queries};

/// How many history steps are searched for a version.
const STEPS: usize = 500;
/// Limits of a reported conflict: number of places, and characters per side.
const PLACES: usize = 8;
const SIDE: usize = 1_000;

/// A stored text with the names that it links to.
#[derive(Default)]
pub(super) struct StoredText {
    pub(super) text: Option<Text>,
    pub(super) links: Vec<String>,
    /// Revision of the text that it replaces.
    pub(super) rev: u64,
    /// Whether the result is exactly what the agent wrote, so that the agent knows all of it.
    known: bool,
    /// The current text, if the agent may only make a suggestion.
    base: Option<Text>,
    /// Whether a person decides about the change, also without a text.
    is_decided: bool,
    /// The write that proposes it, if a person decides about the agent's skills.
    propose: Option<Propose>,
}

pub(super) fn keep(
    ws: &Ws,
    text: String,
    (rev, known): (u64, bool),
) -> Result<StoredText, KnowledgeError> {
    let links = links::names(&text);
    let text = Text::keep(&ws.blobs, text).map_err(|error| KnowledgeError::disk(&error))?;
    Ok(StoredText { text: Some(text), links, rev, known, ..StoredText::default() })
}

/// A new skill: proposed if a person decides about the agent's skills.
async fn new_skill(cx: &ToolCx, args: &SkillArgs) -> Result<StoredText, ToolError> {
    let (agent, title, reason) = (cx.agent, args.title.clone(), args.reason.clone());
    let text = cited::unmarked(&args.text);
    let prepared = cx.ws.read_blocking(move |ws| {
        let Some(proposals) = packages::proposals(ws, agent)? else {
            return Ok(keep(ws, text, (0, true))?);
        };
        let draft = Draft { title: &title, text: &text, reason: &reason };
        let propose = Some((proposals.prepare)(ws, agent, &draft)?);
        Ok::<_, ToolError>(StoredText { propose, ..StoredText::default() })
    });
    prepared.await
}

async fn new(cx: &ToolCx, text: &str) -> Result<StoredText, ToolError> {
    let text = cited::unmarked(text);
    Ok(cx.ws.read_blocking(move |ws| keep(ws, text, (0, true))).await?)
}

/// A change of a text.
enum Change {
    /// Replacements in some places.
    Places(Vec<Edit>),
    /// The whole text, over the version that the agent has read.
    Whole(String, Option<u64>),
}

/// Merges a change of an item's text with its current text.
async fn over(cx: &ToolCx, name: &str, change: Change) -> Result<StoredText, ToolError> {
    let (name, agent) = (name.to_owned(), cx.agent);
    let by = Actor::Agent { agent, run: cx.run };
    let changed = cx.ws.read_blocking(move |ws| {
        let (item, body, rev) = ws.read(|snap| {
            let item = queries::item(snap, &name, Some(agent))?;
            let none = || queries::unwritten(&item);
            let (body, rev) = snap.get_rev::<Body>(item.id)?.ok_or_else(none)?;
            Ok::<_, KnowledgeError>((item, body, rev))
        })?;
        let is_decided = rules::may_write(&item, by).is_err() || is_proposed(ws, agent, &item)?;
        let now = body.text.read(&ws.blobs).map_err(|error| KnowledgeError::disk(&error))?;
        let (text, known) = match change {
            Change::Places(edits) => {
                let text = edits::apply(&now, &edits, Places::One).map_err(|error| {
                    let sought = edits.iter().map(|edit| edit.old.as_str());
                    masks::explained(&ws.app.redactor, &now, sought, error)
                })?;
                (text.0, false)
            }
            Change::Whole(_, None) => return Err(unsaid(rev)),
            Change::Whole(text, Some(version)) => {
                let base = match version == rev {
                    true => now.clone(),
                    false => {
                        let base = ws.read(|snap| former(ws, snap, (item.id, version)))?;
                        base.ok_or_else(|| unknown(version, rev))?
                    }
                };
                let written = Written { text, base: Some(base), reason: String::new() };
                let text = words::settle(&written, &now).map_err(|error| match error {
                    KnowledgeError::Clash(clash) => clashed(&clash, &format!("version {version}")),
                    other => other.into(),
                })?;
                (text, version == rev)
            }
        };
        words::unmasked(ws, &now, &text)?;
        let base = is_decided.then_some(body.text);
        Ok(StoredText { base, is_decided, ..keep(ws, text, (rev, known))? })
    });
    changed.await
}

/// Whether the item is a skill, and a person decides about the agent's skills.
fn is_proposed(ws: &Ws, agent: AgentId, item: &Item) -> Result<bool, StoreError> {
    Ok(item.kind == ItemKind::Skill && packages::proposals(ws, agent)?.is_some())
}

/// A change of an item without its text.
async fn beside(cx: &ToolCx, name: &str) -> Result<StoredText, ToolError> {
    let (name, agent) = (name.to_owned(), cx.agent);
    let read = cx.ws.read_blocking(move |ws| {
        let item = ws.read(|snap| queries::item(snap, &name, Some(agent)))?;
        let is_decided = is_proposed(ws, agent, &item)?;
        Ok::<_, ToolError>(StoredText { is_decided, ..StoredText::default() })
    });
    read.await
}

/// The text of an item at a version; `None` if the version does not exist or is no longer stored.
fn former(
    ws: &Ws,
    read: &dyn Read,
    (id, version): (KnowledgeId, u64),
) -> Result<Option<String>, KnowledgeError> {
    let (root, mut steps) = (Root::of::<Body>(id), Steps::of(STEPS));
    let then = history::at(read, ws.store.schema(), &root, version, &mut steps)?;
    let Some(bytes) = then.as_ref().and_then(|then| then.after.bytes()) else { return Ok(None) };
    let (body, _) = record::read::<Body>(bytes).map_err(StoreError::from)?;
    body.text.read(&ws.blobs).map(Some).map_err(|error| KnowledgeError::disk(&error))
}

fn unsaid(now: u64) -> ToolError {
    let message = format!(
        "to replace the full text, give the version that knowledge_read showed you; the current \
         version is {now}"
    );
    ToolError::refused("version_missing", message)
}

fn unknown(version: u64, now: u64) -> ToolError {
    let message =
        format!("there is no version {version} of it; read it again: the current version is {now}");
    ToolError::refused("unknown_version", message)
}

pub(super) fn clashed(clash: &Clash, since: &str) -> ToolError {
    let mut message = format!("someone else has changed the same lines since {since}:");
    for place in clash.places.iter().take(PLACES) {
        let side = |text: &str| kernel::text::ellipsis(text.trim_end(), SIDE);
        let (mine, theirs) = (side(&place.mine), side(&place.theirs));
        message.push_str(&format!("\n\nYours:\n{mine}\n\nCurrent:\n{theirs}"));
    }
    message.push_str(
        "\n\nNothing was written. Read it again and apply your change to the current text.",
    );
    ToolError::refused("text_clash", message)
}

/// The revision that the agent needs for another change.
fn next(tx: &WriteTx<'_>, id: KnowledgeId, known: bool) -> Result<String, StoreError> {
    Ok(match tx.get_rev::<Body>(id)? {
        Some((_, rev)) if known => format!(" It is version {rev}."),
        _ => String::new(),
    })
}

/// `page_create`: creates a page.
pub(super) struct PageCreate;

/// Arguments of `page_create`.
#[derive(Deserialize, JsonSchema)]
pub(super) struct CreateArgs {
    title: String,
    /// Markdown
    text: String,
    /// name, path or id
    folder: Option<String>,
    #[serde(default)]
    tags: Vec<String>,
    /// library (default): everyone can find it; agent: only you and people
    scope: Option<Scope>,
}

impl WriteTool for PageCreate {
    type Args = CreateArgs;
    type Ready = StoredText;
    const SPEC: ToolSpec = spec(
        "page_create",
        Effect::Add,
        "Write a page for the workspace's knowledge. Search first: change an existing page instead \
         of adding a second one.",
    );

    async fn ready(&self, cx: &ToolCx, args: &CreateArgs) -> Result<StoredText, ToolError> {
        new(cx, &args.text).await
    }

    fn commit(
        &self,
        _cx: &ToolCx,
        tx: &mut WriteTx<'_>,
        args: CreateArgs,
        kept: StoredText,
    ) -> Result<ToolOutput, ToolError> {
        let folder = queries::folder_given(tx, args.folder.as_deref().map(str::trim))?;
        let patch = Patch {
            folder: Some(folder),
            tags: Some(args.tags),
            scope: args.scope,
            ..Patch::default()
        };
        made(tx, ItemKind::Page, (args.title, kept, String::new()), patch)
    }
}

fn made(
    tx: &mut WriteTx<'_>,
    kind: ItemKind,
    (title, kept, reason): (String, StoredText, String),
    patch: Patch,
) -> Result<ToolOutput, ToolError> {
    let StoredText { text, links, known, .. } = kept;
    let text = text.unwrap_or(Text::Inline(String::new()));
    let item = rules::create(tx, NewItem { kind, title, text, links, reason, file: None, patch })?;
    let next = next(tx, item.id, known)?;
    Ok(ToolOutput::text(format!("Wrote \"{}\" [{} {}].{next}", item.title, kind.word(), item.id)))
}

/// Stores a change of a shared item as a suggestion that a person accepts or dismisses.
fn suggested(
    tx: &mut WriteTx<'_>,
    item: &Item,
    (title, tags): (Option<String>, Option<Vec<String>>),
    (kept, reason): (StoredText, String),
) -> Result<ToolOutput, ToolError> {
    // The readers changed after the text was merged.
    if kept.text.is_some() && kept.base.is_none() {
        return Err(KnowledgeError::Moved.into());
    }
    let words = kept.text.zip(kept.base);
    let is_own = rules::may_write(item, tx.by()).is_ok();
    rules::suggest(tx, NewSuggestion { item: item.id, title, tags, words, reason })?;
    let why = match is_own {
        true => format!(
            "You can read the web or others' messages, so a person decides on changes of \"{}\"",
            item.title
        ),
        false => format!("Others also read \"{}\", so a person decides on the change", item.title),
    };
    Ok(ToolOutput::text(format!("Suggested. {why}; until then it stays unchanged. Continue.")))
}

/// `page_update`: changes a page or a skill.
pub(super) struct PageUpdate;

/// Arguments of `page_update`.
#[derive(Deserialize, JsonSchema)]
pub(super) struct UpdateArgs {
    /// its id or title
    item: String,
    /// edits: old must occur once
    #[serde(default)]
    edits: Vec<EditArg>,
    /// the full new text, instead of edits
    text: Option<String>,
    /// the one you read; with text
    version: Option<u64>,
    title: Option<String>,
    tags: Option<Vec<String>>,
    /// why, in one line
    reason: Option<String>,
}

/// A place to change.
#[derive(Deserialize, JsonSchema)]
struct EditArg {
    old: String,
    new: String,
}

impl WriteTool for PageUpdate {
    type Args = UpdateArgs;
    type Ready = StoredText;
    const SPEC: ToolSpec = spec(
        "page_update",
        Effect::Change,
        "Change a page or skill: parts of its text, title, tags. For shared items this becomes a \
         suggestion.",
    );

    async fn ready(&self, cx: &ToolCx, args: &UpdateArgs) -> Result<StoredText, ToolError> {
        let change = match &args.text {
            Some(text) => Change::Whole(cited::unmarked(text), args.version),
            None if args.edits.is_empty() => return beside(cx, &args.item).await,
            None => {
                let edit = |edit: &EditArg| Edit {
                    old: cited::unmarked(&edit.old),
                    new: cited::unmarked(&edit.new),
                };
                Change::Places(args.edits.iter().map(edit).collect())
            }
        };
        over(cx, &args.item, change).await
    }

    fn commit(
        &self,
        cx: &ToolCx,
        tx: &mut WriteTx<'_>,
        args: UpdateArgs,
        kept: StoredText,
    ) -> Result<ToolOutput, ToolError> {
        let item = queries::item(tx, &args.item, Some(cx.agent))?;
        if kept.is_decided || rules::may_write(&item, tx.by()).is_err() {
            let why = args.reason.unwrap_or_default();
            return suggested(tx, &item, (args.title, args.tags), (kept, why));
        }
        if args.title.is_some() || args.tags.is_some() {
            let patch = Patch { title: args.title, tags: args.tags, ..Patch::default() };
            rules::change(tx, item.id, patch)?;
        }
        if let Some(text) = kept.text {
            let why = args.reason.unwrap_or_default();
            rules::write(tx, item.id, (text, kept.rev), (&why, &kept.links))?;
        }
        let next = next(tx, item.id, kept.known)?;
        Ok(ToolOutput::text(format!("Changed \"{}\".{next}", item.title)))
    }
}

/// `skill_save`: saves a skill.
pub(super) struct SkillSave;

/// Arguments of `skill_save`.
#[derive(Deserialize, JsonSchema)]
pub(super) struct SkillArgs {
    title: String,
    /// Markdown: when to use it, then the steps
    text: String,
    /// what you learned, in one line
    reason: String,
    /// id or title of your skill to replace
    item: Option<String>,
    /// the one you read; with item
    version: Option<u64>,
}

impl SkillArgs {
    fn item(&self) -> Option<&str> {
        self.item.as_deref().filter(|name| !name.trim().is_empty())
    }
}

impl WriteTool for SkillSave {
    type Args = SkillArgs;
    type Ready = StoredText;
    const SPEC: ToolSpec = spec(
        "skill_save",
        Effect::Add,
        "Save how something is done as a skill of yours. You have it from your next start on.",
    );

    async fn ready(&self, cx: &ToolCx, args: &SkillArgs) -> Result<StoredText, ToolError> {
        match args.item() {
            Some(name) => {
                let change = Change::Whole(cited::unmarked(&args.text), args.version);
                over(cx, name, change).await
            }
            None => new_skill(cx, args).await,
        }
    }

    fn commit(
        &self,
        cx: &ToolCx,
        tx: &mut WriteTx<'_>,
        args: SkillArgs,
        kept: StoredText,
    ) -> Result<ToolOutput, ToolError> {
        if args.reason.trim().is_empty() {
            return Err(KnowledgeError::field("reason", "Say in one line what you learned.").into());
        }
        if let Some(propose) = kept.propose {
            return Ok(ToolOutput::text(propose(tx)?));
        }
        let Some(name) = args.item() else {
            let patch = Patch { scope: Some(Scope::Agent), ..Patch::default() };
            return made(tx, ItemKind::Skill, (args.title, kept, args.reason), patch);
        };
        let item = queries::item(tx, name, Some(cx.agent))?;
        if item.kind != ItemKind::Skill {
            let words = format!("\"{}\" isn't a skill; use page_update to change it", item.title);
            return Err(KnowledgeError::Refused(words).into());
        }
        if kept.is_decided || rules::may_write(&item, tx.by()).is_err() {
            return suggested(tx, &item, (Some(args.title), None), (kept, args.reason));
        }
        let patch = Patch { title: Some(args.title), ..Patch::default() };
        rules::change(tx, item.id, patch)?;
        let text = kept.text.unwrap_or(Text::Inline(String::new()));
        rules::write(tx, item.id, (text, kept.rev), (&args.reason, &kept.links))?;
        let next = next(tx, item.id, kept.known)?;
        Ok(ToolOutput::text(format!("Saved \"{}\".{next}", item.title)))
    }
}
