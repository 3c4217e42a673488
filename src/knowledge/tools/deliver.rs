//! Pages as deliverables: a new page, or a new text for the page of the previous version.

use app::Ws;
use features::deliverables::paged::{PageDraft, Paged, Pages, Write};
use kernel::AgentId;
use kernel::key::{KeyBuf, decode};
use store::{ReadExt as _, StoreError};
use tool::ToolError;

use super::write::{clashed, keep};
use crate::error::KnowledgeError;
use crate::model::{Body, ITEMS, Item, ItemKind, KnowledgeId, Text};
use crate::rules::{self, NewItem, Patch};
use crate::words::{self, Written};
use crate::{cited, queries};

/// The hooks for submitted pages.
pub const PAGES: Pages = Pages { named, ready };

fn paged(id: KnowledgeId, text: String) -> Paged {
    Paged { table: ITEMS.number, key: KeyBuf::of(&id).into_bytes(), text }
}

fn named(ws: &Ws, name: &str, agent: Option<AgentId>) -> Result<Option<Paged>, StoreError> {
    let found = ws.read(|snap| {
        let item = queries::item(snap, name, agent)?;
        match item.kind.is_written() {
            true => Ok(Some(paged(item.id, queries::text(snap, &ws.blobs, item.id)?))),
            false => Ok(None),
        }
    });
    match found {
        Ok(found) => Ok(found),
        Err(KnowledgeError::Store(error)) => Err(error),
        // No page has this title, or several have it.
        Err(_) => Ok(None),
    }
}

fn ready(ws: &Ws, wish: PageDraft) -> Result<Write, ToolError> {
    let text = cited::unmarked(&wish.text);
    let before = wish.before.filter(|page| page.table == ITEMS.number);
    if let Some(page) = before
        && let Some(id) = decode::<KnowledgeId>(&page.key)
        && let Some(item) = ws.read(|snap| snap.get::<Item>(id))?
        // A page that the agent may no longer see does not exist for it.
        && wish.by.agent().is_none_or(|agent| item.is_for(agent))
    {
        rules::may_write(&item, wish.by)?;
        return over(ws, id, (text, page.text));
    }
    let kept = keep(ws, text.clone(), (0, false))?;
    Ok(Box::new(move |tx, title| {
        let patch =
            Patch { folder: Some(Some(rules::deliverables_folder(tx)?)), ..Patch::default() };
        let item = NewItem {
            kind: ItemKind::Page,
            title: title.to_owned(),
            text: kept.text.unwrap_or(Text::Inline(String::new())),
            links: kept.links,
            reason: String::new(),
            file: None,
            patch,
        };
        Ok(paged(rules::create(tx, item)?.id, text))
    }))
}

/// Replaces the text that was submitted; concurrent changes are merged.
fn over(ws: &Ws, id: KnowledgeId, (text, base): (String, String)) -> Result<Write, ToolError> {
    let (body, rev) = ws
        .read(|snap| snap.get_rev::<Body>(id))?
        .ok_or_else(|| KnowledgeError::no("page", &id.to_string()))?;
    let now = body.text.read(&ws.blobs).map_err(|error| KnowledgeError::disk(&error))?;
    let written = Written { text, base: Some(base), reason: String::new() };
    let text = words::settle(&written, &now).map_err(|error| match error {
        KnowledgeError::Clash(clash) => clashed(&clash, "it was delivered"),
        other => other.into(),
    })?;
    words::unmasked(ws, &now, &text)?;
    let kept = keep(ws, text.clone(), (rev, false))?;
    Ok(Box::new(move |tx, _| {
        let words = kept.text.unwrap_or(Text::Inline(String::new()));
        rules::restore_delivered(tx, id)?;
        rules::write(tx, id, (words, kept.rev), ("Delivered again", &kept.links))?;
        Ok(paged(id, text))
    }))
}
