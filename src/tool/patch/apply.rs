//! Computes the effect of a patch on files, all or nothing.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::BTreeMap;

use super::{Hunk, HunkLine, Op, Patch};
use crate::ToolError;
use crate::text::{self, Line};

/// Maximum number of bytes read per patch.
const MAX_READ: usize = 32 * 1024 * 1024;
/// Maximum number of lines of a file in which hunks are located.
const MAX_LINES: usize = 500_000;
/// Comparison budget per patch: a line costs one, plus one per 64 bytes.
const MAX_EFFORT: usize = 10_000_000;

/// The files that a patch applies to.
pub trait Tree {
    /// Resolves a path as written in the patch.
    ///
    /// # Errors
    /// `outside_workspace`.
    fn path(&self, written: &str) -> Result<String, ToolError>;
    /// Reads a text file; `None` if it does not exist.
    ///
    /// # Errors
    /// If the file is not text or too large.
    fn read(&self, path: &str) -> Result<Option<String>, ToolError>;
    /// Returns `true` for a file that is not text. Such a file can only be deleted.
    ///
    /// # Errors
    /// If the file cannot be accessed.
    fn is_no_text(&self, _path: &str) -> Result<bool, ToolError> {
        Ok(false)
    }
    /// Returns `true` if the file exists, text or not.
    ///
    /// # Errors
    /// If the file cannot be accessed.
    fn is_there(&self, path: &str) -> Result<bool, ToolError> {
        Ok(self.read(path)?.is_some())
    }
}

/// A file before and after the patch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// The old text; `None` for a new file.
    pub before: Option<String>,
    /// The new text; `None` for a deleted file.
    pub after: Option<String>,
    /// The former path of a moved file.
    pub from: Option<String>,
    /// Whether the old file was not text.
    pub no_text: bool,
}

/// Result of a patch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Changed files by path.
    pub files: BTreeMap<String, Changed>,
    /// One line per operation: `M notes.md (+2 −1)`.
    pub report: Vec<String>,
}

/// Computes the result of a patch.
///
/// # Errors
/// `file_not_found`, `file_exists`, `hunk_not_found`, `hunk_ambiguous`, and errors of the tree.
pub fn apply(patch: &Patch, tree: &impl Tree) -> Result<Applied, ToolError> {
    let mut virtual_tree =
        Virtual { tree, files: BTreeMap::new(), bytes: 0, effort: Effort::default() };
    let mut report = Vec::new();
    for op in &patch.ops {
        report.push(virtual_tree.take(op)?);
    }
    let mut files = virtual_tree.files;
    files.retain(|_, changed| changed.no_text || changed.before != changed.after);
    Ok(Applied { files, report })
}

/// Comparison budget. A patch of a few lines could otherwise take hours to locate.
#[derive(Default)]
struct Effort(Cell<usize>);

impl Effort {
    /// Charges one line comparison.
    fn spend(&self, line: &str) -> Result<(), ToolError> {
        let spent = self.0.get() + 1 + line.len() / 64;
        self.0.set(spent);
        match spent <= MAX_EFFORT {
            true => Ok(()),
            false => Err(too_large(
                "its hunks match nearly everywhere, so the search takes too \
                long",
            )),
        }
    }
}

fn too_large(why: &str) -> ToolError {
    let text = format!("{why}; split the patch, or change the file with a program");
    ToolError::refused("too_large", text)
}

struct Virtual<'t, T> {
    tree: &'t T,
    files: BTreeMap<String, Changed>,
    /// Number of bytes read so far.
    bytes: usize,
    effort: Effort,
}

impl<T: Tree> Virtual<'_, T> {
    fn file(&mut self, path: &str) -> Result<&mut Changed, ToolError> {
        if !self.files.contains_key(path) {
            let before = self.tree.read(path)?;
            self.bytes += before.as_ref().map_or(0, String::len);
            if MAX_READ < self.bytes {
                return Err(too_large("a patch can change files of at most 32 MB in total"));
            }
            let changed = Changed { after: before.clone(), before, from: None, no_text: false };
            self.files.insert(path.to_owned(), changed);
        }
        Ok(self.files.get_mut(path).expect("invariant: it was put in just now"))
    }

    fn there(&mut self, path: &str) -> Result<String, ToolError> {
        match &self.file(path)?.after {
            Some(text) => Ok(text.clone()),
            None => Err(ToolError::refused("file_not_found", format!("there is no file {path}"))),
        }
    }

    fn absent(&mut self, path: &str) -> Result<&mut Changed, ToolError> {
        let there = || {
            let text = format!("{path} already exists; update it, or delete it first");
            ToolError::refused("file_exists", text)
        };
        if !self.files.contains_key(path) && self.tree.is_there(path)? {
            return Err(there());
        }
        let file = self.file(path)?;
        if file.after.is_some() { Err(there()) } else { Ok(file) }
    }

    /// Applies one operation and returns its report line.
    fn take(&mut self, op: &Op) -> Result<String, ToolError> {
        match op {
            Op::Add { path, lines } => {
                let path = self.tree.path(path)?;
                let mut text = lines.join("\n");
                text.push('\n');
                self.absent(&path)?.after = Some(text);
                Ok(format!("A {path} (+{} −0)", lines.len()))
            }
            Op::Delete { path } => {
                let path = self.tree.path(path)?;
                if !self.files.contains_key(&path) && self.tree.is_no_text(&path)? {
                    let gone = Changed { before: None, after: None, from: None, no_text: true };
                    let summary = format!("D {path} (no text)");
                    self.files.insert(path, gone);
                    return Ok(summary);
                }
                let lines = text::lines(&self.there(&path)?).len();
                self.file(&path)?.after = None;
                Ok(format!("D {path} (+0 −{lines})"))
            }
            Op::Update { path, to, hunks } => {
                let path = self.tree.path(path)?;
                let before = self.there(&path)?;
                let after = update(&path, &before, hunks, &self.effort)?;
                let count = |is: fn(&HunkLine) -> bool| {
                    hunks.iter().flat_map(|hunk| &hunk.lines).filter(|line| is(line)).count()
                };
                let new = count(|line| matches!(line, HunkLine::New(_)));
                let gone = count(|line| matches!(line, HunkLine::Gone(_)));
                let to = to.as_ref().map(|to| self.tree.path(to)).transpose()?;
                match to.filter(|to| *to != path) {
                    Some(to) => {
                        let target = self.absent(&to)?;
                        (target.after, target.from) = (Some(after), Some(path.clone()));
                        self.file(&path)?.after = None;
                        Ok(format!("R {path} → {to} (+{new} −{gone})"))
                    }
                    None => {
                        self.file(&path)?.after = Some(after);
                        Ok(format!("M {path} (+{new} −{gone})"))
                    }
                }
            }
        }
    }
}

/// The text of a file after its hunks. Lines that no hunk touches stay identical.
fn update(path: &str, whole: &str, hunks: &[Hunk], effort: &Effort) -> Result<String, ToolError> {
    let (mark, body) = text::split_mark(whole);
    if !hunks.is_empty() && MAX_LINES < body.matches('\n').count() {
        return Err(too_large(&format!("{path} has more than {MAX_LINES} lines")));
    }
    let lines = text::lines(body);
    let mut out: Vec<(&str, &str)> = Vec::with_capacity(lines.len() + 16);
    let mut done = 0;
    for (n, hunk) in hunks.iter().enumerate() {
        let place = Place { path, number: n + 1, hunk, lines: &lines, effort };
        let at = place.find(done)?;
        out.extend(lines[done..at].iter().map(|line| (line.text, line.end)));
        done = at;
        for line in &hunk.lines {
            match line {
                HunkLine::New(text) => out.push((text, text::end_at(&lines, done))),
                HunkLine::Gone(_) => done += 1,
                HunkLine::Same(_) => {
                    out.push((lines[done].text, lines[done].end));
                    done += 1;
                }
            }
        }
    }
    out.extend(lines[done..].iter().map(|line| (line.text, line.end)));
    Ok(format!("{mark}{}", joined(&out, &lines)))
}

/// Joins lines. The result ends with a newline only if the old text did.
fn joined(out: &[(&str, &str)], before: &[Line<'_>]) -> String {
    let closed = before.last().is_none_or(|line| !line.end.is_empty());
    let usual = text::end_at(before, before.len());
    let mut text = String::new();
    for (n, (line, end)) in out.iter().enumerate() {
        text.push_str(line);
        let is_last = n + 1 == out.len();
        match (is_last, end.is_empty()) {
            (true, _) if !closed => {}
            (_, true) => text.push_str(usual),
            _ => text.push_str(end),
        }
    }
    text
}

/// Line normalizations for comparison, strictest first.
const TIERS: [fn(&str) -> Cow<'_, str>; 4] = [
    |line| Cow::Borrowed(line),
    |line| Cow::Borrowed(line.trim_end()),
    |line| Cow::Borrowed(line.trim()),
    plain,
];

/// Replaces typographic characters with their ASCII forms.
fn plain(line: &str) -> Cow<'_, str> {
    let line = line.trim();
    if line.is_ascii() {
        return Cow::Borrowed(line);
    }
    let plain_char = |c: char| match c {
        '\u{2010}'..='\u{2015}' | '\u{2212}' => '-',
        '\u{2018}'..='\u{201b}' => '\'',
        '\u{201c}'..='\u{201f}' => '"',
        '\u{a0}' | '\u{2002}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}' => ' ',
        other => other,
    };
    Cow::Owned(line.chars().map(plain_char).collect())
}

/// A hunk with the file in which it is located.
struct Place<'a> {
    path: &'a str,
    number: usize,
    hunk: &'a Hunk,
    lines: &'a [Line<'a>],
    effort: &'a Effort,
}

impl Place<'_> {
    /// The first line of the hunk in the file.
    fn find(&self, from: usize) -> Result<usize, ToolError> {
        let mut start = from;
        for context in &self.hunk.contexts {
            start = self.behind(start, context)?;
        }
        let wanted: Vec<&str> = self.hunk.lines.iter().filter_map(HunkLine::before).collect();
        if wanted.is_empty() {
            return Ok(if self.hunk.at_end { self.lines.len() } else { start });
        }
        for tier in TIERS {
            let found = self.all(start, &wanted, tier)?;
            match found.as_slice() {
                [] => {}
                [one] => return Ok(*one),
                many => return Err(self.ambiguous(many)),
            }
        }
        Err(self.not_found(wanted[0], "these lines aren't in the file"))
    }

    /// All positions from `start` on that match the wanted lines.
    fn all(
        &self,
        start: usize,
        wanted: &[&str],
        tier: fn(&str) -> Cow<'_, str>,
    ) -> Result<Vec<usize>, ToolError> {
        let Some(last) = self.lines.len().checked_sub(wanted.len()) else { return Ok(Vec::new()) };
        let first = if self.hunk.at_end { start.max(last) } else { start };
        let wanted: Vec<Cow<'_, str>> = wanted.iter().map(|line| tier(line)).collect();
        let mut found = Vec::new();
        for at in first..=last {
            if self.stand_at(at, &wanted, tier)? {
                found.push(at);
            }
        }
        Ok(found)
    }

    /// Returns `true` if the wanted lines match at a position.
    fn stand_at(
        &self,
        at: usize,
        wanted: &[Cow<'_, str>],
        tier: fn(&str) -> Cow<'_, str>,
    ) -> Result<bool, ToolError> {
        for (line, wanted) in self.lines[at..].iter().zip(wanted) {
            self.effort.spend(line.text)?;
            if tier(line.text) != *wanted {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The line after the next match of a context line.
    fn behind(&self, from: usize, context: &str) -> Result<usize, ToolError> {
        for tier in TIERS {
            let wanted = tier(context);
            for (at, line) in self.lines.iter().enumerate().skip(from) {
                self.effort.spend(line.text)?;
                if tier(line.text) == wanted {
                    return Ok(at + 1);
                }
            }
        }
        Err(self.not_found(context, "the line after @@ isn't in the file"))
    }

    fn name(&self) -> String {
        format!("{}, hunk {} (line {} of the patch)", self.path, self.number, self.hunk.at)
    }

    fn ambiguous(&self, found: &[usize]) -> ToolError {
        let found: Vec<usize> = found.iter().map(|at| at + 1).collect();
        ToolError::refused(
            "hunk_ambiguous",
            format!(
                "{} matches at lines {}; add more surrounding lines",
                self.name(),
                text::numbers(&found)
            ),
        )
    }

    fn not_found(&self, wanted: &str, what: &str) -> ToolError {
        let near = text::nearest(self.lines, wanted);
        let near = if near.is_empty() { String::new() } else { format!("; closest:{near}") };
        ToolError::refused(
            "hunk_not_found",
            format!("{}: {what}: \"{}\"{near}", self.name(), kernel::text::cut(wanted, 160)),
        )
    }
}
