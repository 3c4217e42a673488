//! Links between items: `[[Lease terms]]`, `[[Lease terms#Deposit]]`, `[[Lease terms|the terms]]`, and citations of a
//! passage, `[[know:<id>#<number>@<stamp>]]`. In code blocks they are plain text.

use std::ops::Range as Bytes;

use app::Ws;
use kernel::RunId;
use kernel::key::KeyBuf;
use store::{Range, Read, ReadExt as _, StoreError};

use crate::cited::{self, Seen, place};
use crate::cut::Cut;
use crate::model::{BODIES_BY_LINK, Body, Item, KnowledgeId};
use crate::queries;

/// Prefix of the id in a citation.
pub const CITE: &str = "know:";
/// Characters with a meaning in the link syntax.
const SIGNS: [char; 4] = ['|', '#', '[', ']'];
/// Added to a citation whose author never read the passage.
const UNREAD: &str = " *(cited without reading it)*";
/// Maximum length of a link, in bytes.
const LONGEST: usize = 600;
/// Maximum number of links stored per text.
const MOST: usize = 500;

/// A link in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Byte range, including the brackets.
    pub range: Bytes<usize>,
    /// The title, or the id with its citation prefix.
    pub name: String,
    /// A heading, or the place of a passage; may be empty.
    pub section: String,
    /// Text to show instead; may be empty.
    pub label: String,
}

/// The links of a text, in order.
#[must_use]
pub fn of(text: &str) -> Vec<Link> {
    let mut links = Vec::new();
    let (mut at, mut fence) = (0, None::<&str>);
    for line in text.split_inclusive('\n') {
        let start = line.trim_start();
        let mark = ["```", "~~~"].into_iter().find(|mark| start.starts_with(mark));
        match (fence, mark) {
            (Some(open), Some(mark)) if open == mark => fence = None,
            (None, Some(mark)) => fence = Some(mark),
            (None, None) => in_line(line, at, &mut links),
            _ => {}
        }
        at += line.len();
    }
    links
}

fn in_line(line: &str, at: usize, links: &mut Vec<Link>) {
    let mut from = 0;
    while let Some(found) = line[from..].find(['`', '[']) {
        let place = from + found;
        if line[place..].starts_with('`') {
            let ticks = line[place..].bytes().take_while(|byte| *byte == b'`').count();
            let end = line[place + ticks..].find(&"`".repeat(ticks));
            from = end.map_or(place + ticks, |end| place + ticks + end + ticks);
            continue;
        }
        from = place + 1;
        let Some(rest) = line[place..].strip_prefix("[[") else { continue };
        let Some(end) = rest.find("]]") else { continue };
        let inner = &rest[..end];
        if inner.trim().is_empty() || inner.contains(['[', '\n']) || LONGEST < inner.len() {
            continue;
        }
        let (target, label) = inner.split_once('|').unwrap_or((inner, ""));
        // In a table, the `|` is escaped.
        let target = target.strip_suffix('\\').unwrap_or(target);
        let (name, section) = target.split_once('#').unwrap_or((target, ""));
        from = place + 2 + end + 2;
        links.push(Link {
            range: at + place..at + from,
            name: name.trim().to_owned(),
            section: section.trim().to_owned(),
            label: label.trim().to_owned(),
        });
    }
}

/// The names that a text links to, in lower case, sorted, without duplicates.
#[must_use]
pub fn names(text: &str) -> Vec<String> {
    let mut names: Vec<String> =
        of(text).into_iter().map(|link| link.name.to_lowercase()).collect();
    names.sort();
    names.dedup();
    names.truncate(MOST);
    names
}

/// Resolves names to items. A name that no longer resolves keeps its former item.
pub fn resolved(
    read: &dyn Read,
    names: &[String],
    before: &[(String, KnowledgeId)],
) -> Result<Vec<(String, KnowledgeId)>, StoreError> {
    let mut links = Vec::new();
    for name in names {
        let known = || before.iter().find(|(of, _)| of == name).map(|(_, to)| *to);
        let to = match named(read, name)? {
            Some(item) => Some(item.id),
            None => known(),
        };
        links.extend(to.map(|to| (name.clone(), to)));
    }
    Ok(links)
}

/// The link to an item: by title, or by id if the title is ambiguous or contains link syntax.
pub fn leading_to(read: &dyn Read, item: &Item) -> Result<String, StoreError> {
    let is_plain =
        !item.title.contains(SIGNS) && !item.title.starts_with(CITE) && item.title.len() < LONGEST;
    if is_plain && named(read, &item.title)?.is_some_and(|named| named.id == item.id) {
        return Ok(format!("[[{}]]", item.title));
    }
    let label = item.title.replace(SIGNS, " ");
    Ok(format!("[[{CITE}{}|{}]]", item.id, kernel::text::cut(&label, LONGEST / 2).trim()))
}

/// Why a name does not resolve.
fn unknown(read: &dyn Read, name: &str) -> Result<String, StoreError> {
    if name.starts_with(CITE) {
        return Ok("This item no longer exists.".to_owned());
    }
    let mut all = queries::titled(read, name)?;
    all.retain(|item| item.archived_at.is_none());
    Ok(match all.len() {
        0 => "No item has this title.".to_owned(),
        n => format!("{n} items have this title."),
    })
}

/// Resolves a name: a citation by id, or a title that exactly one active item has.
fn named(read: &dyn Read, name: &str) -> Result<Option<Item>, StoreError> {
    if let Some(id) = name.strip_prefix(CITE) {
        return match id.parse::<KnowledgeId>() {
            Ok(id) => read.get(id),
            Err(_) => Ok(None),
        };
    }
    let mut all = queries::titled(read, name)?;
    all.retain(|item| item.archived_at.is_none());
    Ok(if all.len() == 1 { all.pop() } else { None })
}

/// The items that link to this one, last changed first.
pub fn to(read: &dyn Read, id: KnowledgeId) -> Result<Vec<Item>, StoreError> {
    let bodies: Vec<Body> =
        read.scan(BODIES_BY_LINK, &Range::prefix(KeyBuf::of(&id)).limit(MOST))?;
    let mut items = Vec::new();
    for body in bodies {
        items.extend(read.get::<Item>(body.item)?.filter(|item| item.archived_at.is_none()));
    }
    items.sort_by_key(|item| std::cmp::Reverse(item.updated_at));
    Ok(items)
}

/// A stored link: its name in lower case, and the item.
pub type StoredLink = (String, KnowledgeId);

/// Replaces links by Markdown links. `before` are the stored links of the text's record, if it stores some; an
/// unresolved name is then annotated with the reason. A citation that the writing run `by` has not read is marked.
pub fn linked(
    ws: &Ws,
    read: &dyn Read,
    text: &str,
    (before, by): (Option<&[StoredLink]>, Option<RunId>),
) -> Result<String, StoreError> {
    // The run's reads are loaded only for a text with citations.
    let cites = text.contains("[[know:");
    let seen = by.filter(|_| cites).map(|run| Seen::of(ws, read, run)).transpose()?;
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    for link in of(text) {
        let name = link.name.to_lowercase();
        let item = match named(read, &name)? {
            Some(item) => Some(item),
            None => match before.into_iter().flatten().find(|(of, _)| *of == name) {
                Some((_, id)) => read.get(*id)?,
                None => None,
            },
        };
        out.push_str(&text[at..link.range.start]);
        at = link.range.end;
        let Some(item) = item else {
            // An unresolved name stays as written.
            out.push_str(&escaped(&text[link.range.clone()]));
            if before.is_some() {
                out.push_str(&format!(" *({})*", unknown(read, &name)?));
            }
            continue;
        };
        let is_cite = link.name.starts_with(CITE);
        let (n, stamp) = place(&link.section);
        let anchor = match (is_cite, n, stamp) {
            (true, None, _) => String::new(),
            (true, Some(n), "") => format!("?p={n}#cited"),
            (true, Some(n), stamp) => format!("?p={n}&at={stamp}#cited"),
            (false, ..) if link.section.is_empty() => String::new(),
            (false, ..) => format!("#{}", anchor(&link.section)),
        };
        let words = match (link.label.as_str(), link.section.as_str()) {
            ("", "") => item.title.clone(),
            ("", _) if is_cite => match n {
                Some(n) => cited_as(ws, read, &item, (n, stamp)),
                None => item.title.clone(),
            },
            ("", section) => format!("{} › {section}", item.title),
            (label, _) => label.to_owned(),
        };
        let page = ws.url(&format!("knowledge/{}", item.id));
        out.push_str(&format!("[{}]({page}{anchor})", escaped(&words)));
        if is_cite && seen.as_ref().is_some_and(|seen| !seen.has(item.id, n)) {
            out.push_str(UNREAD);
        }
    }
    out.push_str(&text[at..]);
    Ok(out)
}

/// Text of a citation: the item's title with the page of a file, or the heading above the passage.
fn cited_as(ws: &Ws, read: &dyn Read, item: &Item, at: (u32, &str)) -> String {
    // ok: without the passage, the title alone still links to the item.
    let cut = Cut::of(&ws.blobs, read, item.id).ok();
    let page = cut.as_ref().filter(|_| item.file.is_some()).and_then(|cut| {
        let shown = cited::shown(ws, read, (item.id, cut), at).ok()?;
        shown.quote?.page
    });
    if let Some(page) = page {
        return format!("{}, page {page}", item.title);
    }
    let trail = cut.and_then(|cut| cited::now(&cut, at).map(|n| cut.trail(n))).unwrap_or_default();
    match trail.rsplit(" › ").next().unwrap_or_default() {
        heading if heading.is_empty() || heading == item.title => item.title.clone(),
        heading => format!("{} › {heading}", item.title),
    }
}

/// The same for a text without stored links, such as a comment.
pub fn in_text(
    read: &dyn Read,
    ws: &Ws,
    text: &str,
    by: Option<RunId>,
) -> Result<String, StoreError> {
    linked(ws, read, text, (None, by))
}

/// The anchor of a heading, in any script.
#[must_use]
pub fn anchor(heading: &str) -> String {
    let mut out = "s".to_owned();
    for sign in heading.chars().flat_map(char::to_lowercase).take(80) {
        match sign.is_alphanumeric() {
            true => out.push(sign),
            false if !out.ends_with('-') => out.push('-'),
            false => {}
        }
    }
    out
}

/// Escapes Markdown.
fn escaped(words: &str) -> String {
    let mut out = String::with_capacity(words.len());
    for sign in words.chars() {
        if matches!(sign, '[' | ']' | '\\' | '*' | '_' | '`' | '<') {
            out.push('\\');
        }
        out.push(sign);
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{names, of};

    proptest! {
        #[test]
        fn links_lie_between_two_characters(text in "([ -~]|[äß京א\u{a0}\u{301}\u{200d}\u{1f469}]|\\[\\[|\\]\\]|[`#|\n]){0,200}") {
            for link in of(&text) {
                prop_assert!(text.get(link.range.clone()).is_some(), "{:?}", link.range);
            }
        }
    }

    #[test]
    fn links_are_found_outside_of_code() {
        let text = "See [[Lease terms#Deposit|there]] and `[[no]]`.\n\n```\n[[no]]\n```\n[[know:7#3]] [[ ]] [[a [b]]";
        let found: Vec<_> = of(text)
            .into_iter()
            .map(|link| (text[link.range].to_owned(), link.name, link.section, link.label))
            .collect();
        let own = |a: &str, b: &str, c: &str, d: &str| {
            (a.to_owned(), b.to_owned(), c.to_owned(), d.to_owned())
        };
        assert_eq!(
            found,
            [
                own("[[Lease terms#Deposit|there]]", "Lease terms", "Deposit", "there"),
                own("[[know:7#3]]", "know:7", "3", "")
            ]
        );
        assert_eq!(names("[[B]] [[a]] [[b]]"), ["a", "b"]);
    }
}
