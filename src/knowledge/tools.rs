//! What agents do with knowledge: search, read, write pages and skills of their own. What they find names its passage,
//! so that a quote can be checked. No tool deletes, and none lets every agent read something.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use kernel::Can;
use store::{ReadExt as _, WriteTx};
use tool::edits::{self, Edit, Places};
use tool::{
    Effect, Group, ReadTool, Registry, ToolCx, ToolError, ToolOutput, ToolSpec, WriteTool,
    untrusted,
};

use crate::error::KnowledgeError;
use crate::find::{self, Cut, Quote, Seer, Wish};
use crate::links;
use crate::model::{Body, Item, ItemKind, KnowledgeId, Scope, Text};
use crate::origin;
use crate::passages::PAGE_END;
use crate::queries::{self, Tree};
use crate::rules::{self, NewItem, Patch};

/// Hits of an answer when nothing else is asked for, and at most.
const HITS: usize = 8;
const MOST: usize = 20;
/// The most bytes of a text in one answer.
const PIECE: usize = 12 * 1024;

/// The tools of this noun.
#[must_use]
pub fn tools() -> Registry {
    Registry::new().read(Search).read(Read).write(PageCreate).write(PageUpdate).write(SkillSave)
}

const fn spec(name: &'static str, effect: Effect, about: &'static str) -> ToolSpec {
    let needs = match effect {
        Effect::Read => Can::Read,
        _ => Can::Write,
    };
    ToolSpec { name, group: Group::Knowledge, needs, effect, about }
}

/// What a passage is cited by: `[[know:<item>#<number>]]`.
pub(crate) fn cite(id: KnowledgeId, n: u32) -> String {
    format!("[[know:{id}#{n}]]")
}

/// Finds passages.
struct Search;

/// Arguments of `knowledge_search`.
#[derive(Deserialize, JsonSchema)]
struct SearchArgs {
    /// words
    query: String,
    /// page, skill, file or source
    kind: Option<ItemKind>,
    /// any of them
    #[serde(default)]
    tags: Vec<String>,
    /// name, path or id
    folder: Option<String>,
    /// at most 20
    limit: Option<usize>,
    /// next of the answer before
    cursor: Option<usize>,
}

impl ReadTool for Search {
    type Args = SearchArgs;
    const SPEC: ToolSpec = spec(
        "knowledge_search",
        Effect::Read,
        "Search the workspace's knowledge: pages, skills, files, sources. Put the cite of a passage behind what you take from \
         it.",
    );

    async fn read(&self, cx: &ToolCx, args: SearchArgs) -> Result<ToolOutput, ToolError> {
        let folder = cx
            .ws
            .read(|snap| queries::folder_given(snap, args.folder.as_deref().map(str::trim)))?;
        let skip = args.cursor.unwrap_or(0);
        let wish = Wish {
            q: args.query,
            kind: args.kind,
            folder,
            tags: args.tags,
            skip,
            take: args.limit.unwrap_or(HITS).clamp(1, MOST),
            ..Wish::default()
        };
        let take = wish.take;
        let found = find::find(&cx.ws, Seer::Agent(cx.agent), wish).await?;
        let tree = cx.ws.read(|snap| Tree::read(snap))?;
        let hits: Vec<Value> = found.hits.iter().map(|hit| hit_json(&tree, hit)).collect();
        if hits.is_empty() {
            let unknown = found.unknown();
            let words = "No evidence: nothing here has these words.";
            return Ok(ToolOutput::text(format!("{words} {unknown}").trim().to_owned()));
        }
        let mut answer = json!({ "hits": hits });
        if found.more {
            answer["next"] = json!(skip + take);
        }
        if !found.unknown().is_empty() {
            answer["not_known_yet"] = json!(found.unknown());
        }
        Ok(foreign(cx, &answer.to_string()))
    }
}

fn hit_json(tree: &Tree, hit: &find::Hit) -> Value {
    let passage = |quote: &Quote| {
        let mut one = json!({ "cite": cite(hit.item.id, quote.n), "text": quote.text });
        if !quote.section.is_empty() {
            one["section"] = json!(quote.section);
        }
        if let Some(page) = quote.page {
            one["page"] = json!(page);
        }
        one
    };
    json!({
        "id": hit.item.id.to_string(),
        "title": hit.item.title,
        "kind": hit.item.kind.word(),
        "folder": tree.path(hit.item.folder).join("/"),
        "tags": hit.item.tags,
        "passages": hit.quotes.iter().map(passage).collect::<Vec<_>>(),
    })
}

/// Words that somebody else wrote are no orders.
fn foreign(cx: &ToolCx, words: &str) -> ToolOutput {
    ToolOutput::text(untrusted::wrap(&untrusted::id_for(cx), words))
}

/// Reads an item.
struct Read;

/// Arguments of `knowledge_read`.
#[derive(Deserialize, JsonSchema)]
struct ReadArgs {
    /// its id or title
    item: String,
    /// only this page of a file
    page: Option<usize>,
    /// the byte to go on from, as the answer before says
    from: Option<usize>,
}

impl ReadTool for Read {
    type Args = ReadArgs;
    const SPEC: ToolSpec =
        spec("knowledge_read", Effect::Read, "Read an item of knowledge by its id or title.");

    async fn read(&self, cx: &ToolCx, args: ReadArgs) -> Result<ToolOutput, ToolError> {
        let agent = cx.agent;
        let (head, text) = cx
            .ws
            .look(move |ws| {
                ws.read(|snap| {
                    let item = queries::item(snap, &args.item, Some(agent))?;
                    let cut = Cut::of(ws, snap, item.id)?;
                    let waits = find::is_waiting(snap, item.id)?;
                    let (mut head, text) = piece(&item, &cut, (args.page, args.from), waits);
                    if let Some(origin) = origin::of(snap, item.id)? {
                        head.push_str(&format!(" It comes from {}.", origin.told_to_agents()));
                    }
                    Ok::<_, KnowledgeError>((head, text))
                })
            })
            .await?;
        Ok(ToolOutput::text(format!("{head}\n{}", untrusted::wrap(&untrusted::id_for(cx), &text))))
    }
}

/// A part of an item's text with a line about it.
fn piece(
    item: &Item,
    cut: &Cut,
    (page, from): (Option<usize>, Option<usize>),
    waits: bool,
) -> (String, String) {
    let whole = match page {
        Some(page) => cut.text.split(PAGE_END).nth(page.saturating_sub(1)).unwrap_or_default(),
        None => &cut.text,
    };
    let from = whole.floor_char_boundary(from.unwrap_or(0).min(whole.len()));
    let text = kernel::text::cut(&whole[from..], PIECE);
    let mut head = format!("{} [{} {}]", item.title, item.kind.word(), item.id);
    if from + text.len() < whole.len() {
        let (next, all) = (from + text.len(), whole.len());
        head.push_str(&format!(", bytes {from} to {next} of {all}; go on with from: {next}"));
    }
    if waits {
        head.push_str(". This file has not been read yet; try again in a moment");
    } else if whole.trim().is_empty() {
        head.push_str(". There is no text in it");
    }
    head.push_str(&format!(
        ". Cite a passage as {}, by the number that knowledge_search gives.",
        cite(item.id, 0)
    ));
    (head, text.replace(PAGE_END, "\n\n— next page —\n\n"))
}

/// A text that lies where it is to lie.
#[derive(Default)]
struct Kept(Option<Text>, Vec<String>);

async fn kept(cx: &ToolCx, text: &str) -> Result<Kept, ToolError> {
    let (said, text) = (links::names(text), text.to_owned());
    let kept = cx
        .ws
        .look(move |ws| Text::keep(&ws.blobs, text).map_err(|error| KnowledgeError::disk(&error)))
        .await?;
    Ok(Kept(Some(kept), said))
}

/// Writes a page.
struct PageCreate;

/// Arguments of `page_create`.
#[derive(Deserialize, JsonSchema)]
struct CreateArgs {
    title: String,
    /// Markdown
    text: String,
    /// name, path or id
    folder: Option<String>,
    #[serde(default)]
    tags: Vec<String>,
    /// library (default): all find it; agent: only you and people
    scope: Option<Scope>,
}

impl WriteTool for PageCreate {
    type Args = CreateArgs;
    type Ready = Kept;
    const SPEC: ToolSpec = spec(
        "page_create",
        Effect::Add,
        "Write a page for the workspace's knowledge. Search first: change what is there in place of a second page.",
    );

    async fn ready(&self, cx: &ToolCx, args: &CreateArgs) -> Result<Kept, ToolError> {
        kept(cx, &args.text).await
    }

    fn commit(
        &self,
        _cx: &ToolCx,
        tx: &mut WriteTx<'_>,
        args: CreateArgs,
        kept: Kept,
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
    (title, kept, reason): (String, Kept, String),
    patch: Patch,
) -> Result<ToolOutput, ToolError> {
    let Kept(text, links) = kept;
    let text = text.unwrap_or(Text::Inline(String::new()));
    let item = rules::create(tx, NewItem { kind, title, text, links, reason, file: None, patch })?;
    Ok(ToolOutput::text(format!("Wrote \"{}\" [{} {}].", item.title, kind.word(), item.id)))
}

/// Changes a page or a skill.
struct PageUpdate;

/// Arguments of `page_update`.
#[derive(Deserialize, JsonSchema)]
struct UpdateArgs {
    /// its id or title
    item: String,
    /// places to change: old must stand there once
    #[serde(default)]
    edits: Vec<EditArg>,
    /// all of it anew, in place of edits
    text: Option<String>,
    title: Option<String>,
    tags: Option<Vec<String>>,
    /// why, in a line
    reason: Option<String>,
}

/// A place to change.
#[derive(Deserialize, JsonSchema)]
struct EditArg {
    old: String,
    new: String,
}

/// A text made of another.
#[derive(Default)]
struct Changed(Option<(Text, u64)>, Vec<String>);

impl WriteTool for PageUpdate {
    type Args = UpdateArgs;
    type Ready = Changed;
    const SPEC: ToolSpec = spec(
        "page_update",
        Effect::Change,
        "Change a page or skill that is for you, or that you wrote: places of its text, its title, its tags.",
    );

    async fn ready(&self, cx: &ToolCx, args: &UpdateArgs) -> Result<Changed, ToolError> {
        if args.text.is_none() && args.edits.is_empty() {
            return Ok(Changed::default());
        }
        let edits: Vec<Edit> = args
            .edits
            .iter()
            .map(|edit| Edit { old: edit.old.clone(), new: edit.new.clone() })
            .collect();
        let (said, whole, agent) = (args.item.clone(), args.text.clone(), cx.agent);
        let (now, rev) = cx
            .ws
            .look(move |ws| {
                let item = ws.read(|snap| queries::item(snap, &said, Some(agent)))?;
                let found = ws.read(|snap| snap.get_rev::<Body>(item.id))?;
                let (body, rev) = found.ok_or_else(|| {
                    KnowledgeError::Refused("a file has no words to write".to_owned())
                })?;
                let now = body.text.read(&ws.blobs).map_err(|e| KnowledgeError::disk(&e))?;
                Ok::<_, KnowledgeError>((now, rev))
            })
            .await?;
        let text = match whole {
            Some(text) => text,
            None => edits::apply(&now, &edits, Places::One)?.0,
        };
        let Kept(text, said) = kept(cx, &text).await?;
        Ok(Changed(text.map(|text| (text, rev)), said))
    }

    fn commit(
        &self,
        cx: &ToolCx,
        tx: &mut WriteTx<'_>,
        args: UpdateArgs,
        Changed(text, said): Changed,
    ) -> Result<ToolOutput, ToolError> {
        let item = queries::item(tx, &args.item, Some(cx.agent))?;
        if args.title.is_some() || args.tags.is_some() {
            let patch = Patch { title: args.title, tags: args.tags, ..Patch::default() };
            rules::change(tx, item.id, patch)?;
        }
        if let Some((text, rev)) = text {
            let why = args.reason.unwrap_or_default();
            rules::write(tx, item.id, (text, rev), (&why, &said))?;
        }
        Ok(ToolOutput::text(format!("Changed \"{}\".", item.title)))
    }
}

/// Keeps how something is done.
struct SkillSave;

/// Arguments of `skill_save`.
#[derive(Deserialize, JsonSchema)]
struct SkillArgs {
    title: String,
    /// Markdown: when to use it, then the steps
    text: String,
    /// what you learned, in a line
    reason: String,
    /// id or title of your skill that it replaces
    item: Option<String>,
}

impl WriteTool for SkillSave {
    type Args = SkillArgs;
    type Ready = Kept;
    const SPEC: ToolSpec = spec(
        "skill_save",
        Effect::Add,
        "Keep how something is done, for yourself: you have it in front of you from the next start on.",
    );

    async fn ready(&self, cx: &ToolCx, args: &SkillArgs) -> Result<Kept, ToolError> {
        kept(cx, &args.text).await
    }

    fn commit(
        &self,
        cx: &ToolCx,
        tx: &mut WriteTx<'_>,
        args: SkillArgs,
        kept: Kept,
    ) -> Result<ToolOutput, ToolError> {
        if args.reason.trim().is_empty() {
            return Err(KnowledgeError::field("reason", "Say in a line what you learned.").into());
        }
        let Some(said) = args.item.filter(|said| !said.trim().is_empty()) else {
            let patch = Patch { scope: Some(Scope::Agent), ..Patch::default() };
            return made(tx, ItemKind::Skill, (args.title, kept, args.reason), patch);
        };
        let item = queries::item(tx, &said, Some(cx.agent))?;
        if item.kind != ItemKind::Skill {
            let words = format!("\"{}\" is no skill; page_update changes it", item.title);
            return Err(KnowledgeError::Refused(words).into());
        }
        let patch = Patch { title: Some(args.title), ..Patch::default() };
        rules::change(tx, item.id, patch)?;
        let rev = tx.get_rev::<Body>(item.id)?.map_or(0, |(_, rev)| rev);
        let text = kept.0.unwrap_or(Text::Inline(String::new()));
        rules::write(tx, item.id, (text, rev), (&args.reason, &kept.1))?;
        Ok(ToolOutput::text(format!("Saved \"{}\".", item.title)))
    }
}
