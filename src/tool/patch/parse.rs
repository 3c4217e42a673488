//! Parses a patch. Every error names its line.

use super::{ADD, AT_END, BEGIN, DELETE, END, Hunk, HunkLine, MAX_PATCH, MOVE, Op, Patch, UPDATE};
use crate::ToolError;
use kernel::text::ellipsis;

/// Parses a patch.
///
/// ```text
/// patch  := "*** Begin Patch" NL op+ "*** End Patch"
/// op     := add | delete | update
/// add    := "*** Add File: " path NL ("+" text NL)+
/// delete := "*** Delete File: " path NL
/// update := "*** Update File: " path NL ["*** Move to: " path NL] hunk*
/// hunk   := ("@@" [" " context] NL)+ line+ ["*** End of File" NL]
/// line   := (" " | "-" | "+") text NL        an empty line is an empty context line
/// ```
///
/// # Errors
/// `invalid_patch` with line and reason, or `too_large`.
pub fn parse(input: &str) -> Result<Patch, ToolError> {
    if input.len() > MAX_PATCH {
        return Err(ToolError::refused("too_large", "a patch can have at most 2 MB; split it"));
    }
    let mut lines: Vec<&str> = input.split('\n').collect();
    let (_, whole) = lines.split_last().unwrap_or((&"", &[]));
    if !whole.is_empty() && whole.iter().all(|line| line.ends_with('\r')) {
        lines.iter_mut().for_each(|line| *line = line.strip_suffix('\r').unwrap_or(line));
    }
    let (from, to) = unwrapped(&lines);
    Reader { lines: &lines[..to], at: from }.patch()
}

/// The line range of the patch without surrounding white space and one code fence or heredoc.
fn unwrapped(lines: &[&str]) -> (usize, usize) {
    let filled = |line: &&str| !line.trim().is_empty();
    let Some(first) = lines.iter().position(filled) else { return (0, 0) };
    let last = lines.iter().rposition(filled).unwrap_or(first);
    let closes = match opens(lines[first].trim()) {
        Some(word) => first < last && lines[last].trim() == word,
        None => false,
    };
    if closes { (first + 1, last) } else { (first, last + 1) }
}

/// The delimiter that closes the fence or heredoc opened by this line.
fn opens(line: &str) -> Option<&str> {
    if line.starts_with("```") {
        return Some("```");
    }
    let (_, word) = line.split_once("<<")?;
    let word = word.trim_start_matches('-').trim().trim_matches(['\'', '"']);
    (!word.is_empty() && word.chars().all(|c| c.is_alphanumeric() || c == '_')).then_some(word)
}

fn invalid(line: usize, reason: impl Into<String>) -> ToolError {
    ToolError::refused("invalid_patch", format!("line {}: {}", line + 1, reason.into()))
}

struct Reader<'t> {
    lines: &'t [&'t str],
    at: usize,
}

impl<'t> Reader<'t> {
    fn peek(&self) -> Option<&'t str> {
        self.lines.get(self.at).copied()
    }

    fn patch(mut self) -> Result<Patch, ToolError> {
        if self.peek().map(str::trim_end) != Some(BEGIN) {
            return Err(invalid(self.at, format!("a patch must begin with \"{BEGIN}\"")));
        }
        self.at += 1;
        let mut ops = Vec::new();
        loop {
            let Some(line) = self.peek() else {
                return Err(invalid(self.at, format!("the patch does not end with \"{END}\"")));
            };
            if line.trim_end() == END {
                break;
            }
            ops.push(self.op(line)?);
        }
        if self.at + 1 < self.lines.len() {
            return Err(invalid(self.at + 1, format!("nothing can follow \"{END}\"")));
        }
        if ops.is_empty() {
            return Err(invalid(self.at, "the patch doesn't change a file"));
        }
        Ok(Patch { ops })
    }

    fn op(&mut self, line: &str) -> Result<Op, ToolError> {
        if let Some(path) = line.strip_prefix(ADD) {
            let path = self.path(path)?;
            return self.added().map(|lines| Op::Add { path, lines });
        }
        if let Some(path) = line.strip_prefix(DELETE) {
            return self.path(path).map(|path| Op::Delete { path });
        }
        let Some(path) = line.strip_prefix(UPDATE) else {
            return Err(invalid(
                self.at,
                format!(
                    "expected \"{ADD}<path>\", \"{UPDATE}<path>\", \"{DELETE}<path>\" or \"{END}\", not \"{}\"",
                    ellipsis(line, 60)
                ),
            ));
        };
        let path = self.path(path)?;
        let to = match self.peek().and_then(|line| line.strip_prefix(MOVE)) {
            Some(to) => Some(self.path(to)?),
            None => None,
        };
        let begun = self.at;
        let mut hunks = Vec::new();
        while self.peek().is_some_and(|line| line.starts_with("@@")) {
            hunks.push(self.hunk()?);
        }
        if hunks.is_empty() && to.is_none() {
            return Err(invalid(begun, "an update needs a hunk that begins with \"@@\""));
        }
        Ok(Op::Update { path, to, hunks })
    }

    /// Reads the path of a header and advances to the next line.
    fn path(&mut self, written: &str) -> Result<String, ToolError> {
        let path = written.trim();
        if path.is_empty() || path.chars().any(char::is_control) {
            return Err(invalid(self.at, "a path is missing or has control characters"));
        }
        self.at += 1;
        Ok(path.to_owned())
    }

    fn added(&mut self) -> Result<Vec<String>, ToolError> {
        let mut lines = Vec::new();
        while let Some(text) = self.peek().and_then(|line| line.strip_prefix('+')) {
            lines.push(text.to_owned());
            self.at += 1;
        }
        if lines.is_empty() {
            return Err(invalid(self.at, "each line of a new file must begin with \"+\""));
        }
        Ok(lines)
    }

    fn hunk(&mut self) -> Result<Hunk, ToolError> {
        let begun = self.at;
        let contexts = self.contexts()?;
        let mut lines = Vec::new();
        let mut at_end = false;
        while let Some(line) = self.peek() {
            if line.starts_with("@@") {
                break;
            }
            if line.starts_with("*** ") {
                at_end = line.trim_end() == AT_END;
                self.at += usize::from(at_end);
                break;
            }
            let text = |line: &str| line[1..].to_owned();
            lines.push(match line.as_bytes().first() {
                None => HunkLine::Same(String::new()),
                Some(b' ') => HunkLine::Same(text(line)),
                Some(b'-') => HunkLine::Gone(text(line)),
                Some(b'+') => HunkLine::New(text(line)),
                Some(_) => {
                    return Err(invalid(
                        self.at,
                        "a line of a hunk must begin with a space, \"-\" or \"+\"",
                    ));
                }
            });
            self.at += 1;
        }
        if lines.iter().all(|line| matches!(line, HunkLine::Same(_))) {
            return Err(invalid(begun, "this hunk changes nothing; it needs \"-\" or \"+\" lines"));
        }
        if contexts.is_empty() && !at_end && lines.iter().all(|line| line.before().is_none()) {
            return Err(invalid(
                begun,
                format!(
                    "this hunk only adds; say where: lines around it, \"@@ <line>\", or \"{AT_END}\""
                ),
            ));
        }
        Ok(Hunk { contexts, lines, at_end, at: begun + 1 })
    }

    fn contexts(&mut self) -> Result<Vec<String>, ToolError> {
        let mut contexts = Vec::new();
        while let Some(rest) = self.peek().and_then(|line| line.strip_prefix("@@")) {
            if rest.starts_with(" -") && rest.ends_with("@@") {
                return Err(invalid(
                    self.at,
                    "line numbers aren't used here; write \"@@\" alone, or \"@@ \" and a line of \
                     the file",
                ));
            }
            match rest.strip_prefix(' ') {
                Some(text) if !text.trim().is_empty() => contexts.push(text.to_owned()),
                _ if rest.trim().is_empty() => {}
                _ => return Err(invalid(self.at, "write a space between \"@@\" and the line")),
            }
            self.at += 1;
        }
        Ok(contexts)
    }
}
