//! What a person should look at before activating a package. Nothing here proves that a package is harmless, and most
//! findings have harmless reasons; only a person decides.
//!
//! Each file is read a fixed number of times: the cost is linear in its size. Expressions see only lines with one of
//! their words, and at most [`MAX_EXAMINED`] bytes, so that no package keeps a processor busy.

mod characters;
mod comments;
mod kind;
mod programs;
mod rules;

use std::collections::{BTreeSet, HashMap};

pub use kind::{FindingKind, Level};

use crate::error::visible;
use crate::{File, Package, SKILL_MD};

/// Maximum number of findings of a package.
const MAX_FINDINGS: usize = 500;
/// Maximum number of findings of a kind in a file.
const MAX_OF_KIND: usize = 20;
const MAX_EXCERPT: usize = 180;
/// Maximum number of bytes that expressions see, counted for each expression.
const MAX_EXAMINED: usize = if cfg!(test) { 1 << 20 } else { 32 << 20 };

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Path in the package.
    pub file: String,
    /// From 1; 0 for the whole file.
    pub line: usize,
    pub kind: FindingKind,
    /// One line of foreign text, or a description. Invisible characters are written as `\u{…}`.
    pub excerpt: String,
}

/// Findings by file and line, the most serious first within a line.
#[must_use]
pub fn findings(package: &Package) -> Vec<Finding> {
    let mut found = Found::new();
    for warning in &package.warnings {
        found.add(SKILL_MD, 0, FindingKind::Specification, warning);
    }
    let mut known_hosts = BTreeSet::new();
    for file in &package.files {
        found.next_file();
        characters::name(file, &mut found);
        programs::look(file, &mut found);
        let Some(text) = file.text() else { continue };
        characters::look(file, text, &mut found);
        comments::look(file, text, &mut found);
        rules::look(file, text, &mut found);
        for (line, host) in rules::hosts(text) {
            if known_hosts.insert(host.clone()) {
                found.add(&file.path, line, FindingKind::Host, &host);
            }
            if characters::is_lookalike(&host) || host.split('.').any(|p| p.starts_with("xn--")) {
                found.add(&file.path, line, FindingKind::LookalikeName, &host);
            }
        }
    }
    let mut all = found.all;
    all.sort_by(|a, b| {
        let order = |one: &Finding| (one.line, std::cmp::Reverse(one.kind.level()));
        a.file.cmp(&b.file).then_with(|| order(a).cmp(&order(b)))
    });
    all
}

/// Hosts whose addresses are in the files, sorted.
#[must_use]
pub fn hosts(package: &Package) -> Vec<String> {
    let texts = package.files.iter().filter_map(File::text);
    let hosts: BTreeSet<String> = texts.flat_map(rules::hosts).map(|(_, host)| host).collect();
    hosts.into_iter().collect()
}

/// Collects findings within the limits. A limit per kind and file keeps one noisy file from hiding another kind.
struct Found {
    all: Vec<Finding>,
    of_kind: HashMap<FindingKind, usize>,
    /// Remaining bytes for expressions.
    left: usize,
}

impl Found {
    fn new() -> Self {
        Self { all: Vec::new(), of_kind: HashMap::new(), left: MAX_EXAMINED }
    }

    /// Returns `false`, with a finding, if an expression must not see so many bytes.
    fn may_examine(&mut self, file: &str, line: usize, bytes: usize) -> bool {
        let left = self.left.checked_sub(bytes);
        match left {
            Some(left) => self.left = left,
            None => {
                self.left = 0;
                let text = "from here on, only a part of this file was examined";
                self.add_once(file, line, FindingKind::Unexamined, text);
            }
        }
        left.is_some()
    }

    fn add_once(&mut self, file: &str, line: usize, kind: FindingKind, text: &str) {
        if !self.of_kind.contains_key(&kind) {
            self.add(file, line, kind, text);
        }
    }

    fn next_file(&mut self) {
        self.of_kind.clear();
    }

    fn add(&mut self, file: &str, line: usize, kind: FindingKind, text: &str) {
        let count = self.of_kind.entry(kind).or_default();
        // Several hosts in one line are several findings.
        let is_new = kind == FindingKind::Host
            || line == 0
            || !self
                .all
                .iter()
                .rev()
                .take(8)
                .any(|other| other.kind == kind && other.line == line && other.file == file);
        let has_room = self.all.len() < MAX_FINDINGS || kind.level() == Level::Danger;
        if is_new && has_room && *count < MAX_OF_KIND {
            *count += 1;
            let excerpt = visible(text.trim(), MAX_EXCERPT);
            self.all.push(Finding { file: file.to_owned(), line, kind, excerpt });
        }
    }
}
