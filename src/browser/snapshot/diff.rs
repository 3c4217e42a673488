//! Changes of a page since an observer last looked.

use std::collections::HashSet;
use std::fmt::Write as _;

use similar::{Algorithm, DiffTag};

use super::cut;
use super::escape::{self, Quoted};
use super::lines::Lines;
use crate::BrowserError;
use crate::page::Page;
use crate::tabs::{Known, Tab};

/// Maximum size of a list of changes in bytes.
const MAX_CHANGES: usize = 4 * 1024;

/// What an observer has seen of a tab.
#[derive(Debug)]
pub struct Seen {
    documents: u64,
    url: String,
    lines: Vec<String>,
    dialogs: u64,
}

/// Changes, in words for the acting caller.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Another document was loaded; refs of the last snapshot are invalid.
    pub is_another_page: bool,
    /// The new address of the tab, if it changed.
    pub url: Option<String>,
    /// Opened and closed tabs.
    pub tabs: Vec<String>,
    pub dialogs: Vec<String>,
    /// New (`+`), changed (`~`) and removed (`-`) lines, at most 4 KB.
    pub lines: String,
}

impl Changes {
    /// All changes as text; empty if nothing changed.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        if let Some(url) = &self.url {
            writeln!(text, "at {url}").ok(); // ok: a string never fails
        }
        for line in self.dialogs.iter().chain(&self.tabs) {
            text.push_str(line);
            text.push('\n');
        }
        text.push_str(&self.lines);
        text
    }
}

impl Seen {
    pub(super) fn of(tab: &Tab, lines: &Lines) -> Self {
        let mut all = Vec::with_capacity(lines.list.len());
        for line in &lines.list {
            let mut text = String::new();
            line.write(&mut text, false);
            all.push(text);
        }
        Self {
            documents: tab.documents,
            url: tab.info().url,
            lines: all,
            dialogs: tab.dialogs_seen,
        }
    }
}

impl Page {
    /// Returns the changes since the last look, and looks.
    pub async fn changes(&self) -> Result<Changes, BrowserError> {
        let lines = self.read_lines(None).await?;
        let mut known = self.running.tabs.lock();
        let tabs = known.tell_tabs(self.number);
        let tab = known.tab_mut(self.number).ok_or(BrowserError::TabClosed)?;
        let before = tab.seen.take();
        let (changes, now) = changed(tab, &lines, before);
        tab.seen = Some(now);
        Ok(Changes { tabs, ..changes })
    }

    /// Dialogs shown since there were `count`, one per line, escaped.
    pub fn dialogs_since(&self, count: u64) -> Result<Vec<String>, BrowserError> {
        self.with_tab(|tab| dialogs(tab, count))
    }

    /// The current state for [`Page::changes_since`], for an observer beside the acting caller.
    pub async fn seen(&self) -> Result<Seen, BrowserError> {
        let lines = self.read_lines(None).await?;
        self.with_tab(|tab| Seen::of(tab, &lines))
    }

    /// Changes since `before`, without opened and closed tabs, which only [`Page::changes`] reports.
    pub async fn changes_since(&self, before: Seen) -> Result<Changes, BrowserError> {
        let lines = self.read_lines(None).await?;
        self.with_tab(|tab| changed(tab, &lines, Some(before)).0)
    }
}

/// The changes of a tab, without other tabs, and its current state.
fn changed(tab: &Tab, lines: &Lines, before: Option<Seen>) -> (Changes, Seen) {
    let now = Seen::of(tab, lines);
    let since = before.as_ref().map_or(0, |before| before.dialogs);
    let mut changes = Changes { dialogs: dialogs(tab, since), ..Changes::default() };
    if before.as_ref().is_none_or(|before| before.url != now.url) {
        changes.url = Some(escape::plain(&now.url, 300));
    }
    match before.filter(|before| before.documents == now.documents) {
        Some(before) => changes.lines = between(&before.lines, &now.lines),
        None => {
            changes.is_another_page = true;
            changes.lines = format!(
                "the page has changed: {}, {} parts; take a snapshot to read it\n",
                Quoted(&lines.title, 200),
                now.lines.len()
            );
        }
    }
    (changes, now)
}

impl Known {
    /// Tabs opened or closed since the last call, in words.
    fn tell_tabs(&mut self, asking: u32) -> Vec<String> {
        let now: HashSet<u32> = self.tabs.iter().map(|tab| tab.number).collect();
        let come = self.tabs.iter().filter(|tab| !self.reported.contains(&tab.number));
        let mut lines: Vec<String> = come
            .filter(|tab| tab.number != asking)
            .map(|tab| format!("new tab t{} {}", tab.number, escape::plain(&tab.info().url, 300)))
            .collect();
        let mut went: Vec<&u32> = self.reported.difference(&now).collect();
        went.sort_unstable();
        lines.extend(went.into_iter().map(|number| format!("tab t{number} is closed")));
        if 0 < self.refused_popups {
            lines.push(format!("{} more tabs were not opened", self.refused_popups));
            self.refused_popups = 0;
        }
        self.reported = now;
        lines
    }
}

fn dialogs(tab: &Tab, since: u64) -> Vec<String> {
    let new = usize::try_from(tab.dialogs_seen - since).unwrap_or(usize::MAX);
    let kept = &tab.dialogs[tab.dialogs.len().saturating_sub(new)..];
    let mut lines = Vec::new();
    if kept.len() < new {
        lines.push(format!("{} earlier dialogs", new - kept.len()));
    }
    lines.extend(kept.iter().map(|dialog| {
        let answer = if dialog.accepted { "OK" } else { "Cancel" };
        let (kind, words) = (escape::plain(&dialog.kind, 20), Quoted(&dialog.message, 300));
        format!("dialog {kind} {words}, answered with {answer}")
    }));
    lines
}

/// Lines that are new, changed or removed.
fn between(before: &[String], now: &[String]) -> String {
    let ops = similar::capture_diff_slices(Algorithm::Myers, before, now);
    let mut out = String::new();
    for op in &ops {
        let (tag, old, new) = op.as_tag_tuple();
        if tag == DiffTag::Equal {
            continue;
        }
        let kept: HashSet<&str> = now[new.clone()].iter().filter_map(|line| ref_of(line)).collect();
        for line in &before[old.clone()] {
            if ref_of(line).is_none_or(|name| !kept.contains(name)) {
                writeln!(out, "- {line}").ok(); // ok: a string never fails
            }
        }
        let was: HashSet<&str> = before[old].iter().filter_map(|line| ref_of(line)).collect();
        for line in &now[new] {
            let is_same = ref_of(line).is_some_and(|name| was.contains(name));
            writeln!(out, "{} {line}", if is_same { '~' } else { '+' }).ok(); // ok: as above
        }
    }
    cut(&out, MAX_CHANGES).0
}

/// The ref in a line. Brackets from the page are escaped.
fn ref_of(line: &str) -> Option<&str> {
    let start = line.match_indices(" [e").map(|(at, _)| at + 2).next()?;
    let end = line[start..].find(']')?;
    Some(&line[start..start + end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_new_other_or_gone() {
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        let before = lines("heading \"A\"\nbutton \"Go\" [e1]\nlink \"X\" [e2]\n\"words\"");
        let now = lines("heading \"A\"\nbutton \"Go\" [e1] disabled\n\"words\"\nlink \"Y\" [e3]");
        assert_eq!(
            between(&before, &now),
            "- link \"X\" [e2]\n~ button \"Go\" [e1] disabled\n+ link \"Y\" [e3]\n"
        );
        assert_eq!(between(&now, &now), "");
        assert_eq!(ref_of(r#"button "\[e9]" [e1]"#), Some("e1"));
        assert_eq!(ref_of(r#""\[e9] \[e8]""#), None);
    }
}
