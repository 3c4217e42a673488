//! Actions on pages, their text and their folders.

use features::connections::model::{Connection, Maker};
use features::connections::rules::vectors;
use knowledge::model::{Body, Folder, Item, ItemKind, Scope, Text};
use knowledge::rules::{self, FolderPatch, NewItem, NewSuggestion, Patch};
use store::{ReadExt as _, WriteTx};

use super::desk::{Acted, Pick, by_rule, one};

pub fn folder(tx: &mut WriteTx<'_>, [a, b, c]: Pick) -> Acted {
    let named = FolderPatch { name: Some(format!("Folder {}", b % 9)), ..FolderPatch::default() };
    match c % 5 {
        0 | 1 => by_rule(rules::make_folder(tx, named)),
        2 => {
            let id = one::<Folder>(tx, a)?.id;
            by_rule(rules::change_folder(tx, id, named))
        }
        3 => {
            let (id, into) = (one::<Folder>(tx, a)?.id, one::<Folder>(tx, b)?.id);
            let patch = FolderPatch { parent: Some(Some(into)), ..FolderPatch::default() };
            by_rule(rules::change_folder(tx, id, patch))
        }
        _ => {
            let id = one::<Folder>(tx, a)?.id;
            by_rule(rules::remove_folder(tx, id))
        }
    }
}

pub fn item(tx: &mut WriteTx<'_>, [a, b, c]: Pick) -> Acted {
    match c % 5 {
        0 | 1 => by_rule(rules::create(
            tx,
            NewItem {
                kind: if b % 2 == 0 { ItemKind::Page } else { ItemKind::Skill },
                title: format!("Page {b}"),
                text: Text::Inline(format!("Words {c}")),
                links: Vec::new(),
                reason: String::new(),
                file: None,
                patch: Patch::default(),
            },
        )),
        4 => {
            let id = one::<Item>(tx, a)?.id;
            by_rule(rules::remove(tx, id))
        }
        _ => {
            let id = one::<Item>(tx, a)?.id;
            let patch = match b % 4 {
                0 => Patch { title: Some(format!("Other {c}")), ..Patch::default() },
                1 => Patch { tags: Some(vec![format!("tag {}", c % 3)]), ..Patch::default() },
                2 => Patch { scope: Some(Scope::Workspace), ..Patch::default() },
                _ => Patch { folder: Some(Some(one::<Folder>(tx, b)?.id)), ..Patch::default() },
            };
            by_rule(rules::change(tx, id, patch))
        }
    }
}

pub fn text(tx: &mut WriteTx<'_>, [a, b, c]: Pick) -> Acted {
    let id = one::<Body>(tx, a)?.item;
    let rev = tx.get_rev::<Body>(id).expect("the store").map_or(0, |(_, rev)| rev);
    let (text, why) = (Text::Inline(format!("Line {b}")), format!("for {}", c % 3));
    by_rule(rules::write(tx, id, (text, rev), (&why, &[])))
}

pub fn suggestion(tx: &mut WriteTx<'_>, [a, b, c]: Pick) -> Acted {
    let body = one::<Body>(tx, a)?;
    let suggested = NewSuggestion {
        item: body.item,
        title: None,
        tags: None,
        words: Some((Text::Inline(format!("Better {b}")), body.text)),
        reason: format!("for {}", c % 3),
    };
    by_rule(rules::suggest(tx, suggested))
}

pub fn mark(tx: &mut WriteTx<'_>, [a, b, c]: Pick) -> Acted {
    let body = one::<Body>(tx, a)?;
    match c % 3 {
        0 => by_rule(rules::unmark(tx, body.item, body.n)),
        _ => by_rule(rules::mark(tx, body.item, (body.n, &format!("Mark {b}")))),
    }
}

/// Chooses the provider of embeddings.
pub fn maker(tx: &mut WriteTx<'_>, [a, b, c]: Pick) -> Acted {
    if c % 3 == 0 {
        return by_rule(vectors::choose(tx, None));
    }
    let connection = one::<Connection>(tx, a)?.id;
    let model = format!("embedder-{}", b % 3);
    by_rule(vectors::choose(tx, Some(Maker { connection, model, dimensions: 8, floor: 200 })))
}
