//! Reduces a line to commands of literal words, with their possible folders.

use super::scan::{Scanner, Token, Word};
use super::{MAX_FOLDERS, MAX_SEGMENTS, Why, programs};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reduced {
    /// Commands of literal words, in order.
    Plan(Vec<Segment>),
    /// Only the shell can determine the commands.
    Opaque(Why),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Program name and arguments.
    pub argv: Vec<String>,
    /// Connection to the previous command.
    pub join: Join,
    /// Possible folders, relative to that of the line, which is empty.
    pub folders: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Join {
    /// First command, or after `;` or a line break.
    Then,
    /// `|`: reads the output of the previous one.
    Pipe,
    /// `&&`: runs if the previous one succeeds.
    And,
    /// `||`: runs if the previous one fails.
    Or,
}

/// The commands of a line, as `sh -c` would read it.
#[must_use]
pub fn reduce(line: &str) -> Reduced {
    let segments = read(line).and_then(|mut segments| {
        follow(&mut segments)?;
        Ok(segments)
    });
    match segments {
        Ok(segments) => Reduced::Plan(segments),
        Err(why) => Reduced::Opaque(why),
    }
}

/// Folder after changing from `from` to `to`, lexically, as `cd` does by default.
pub(crate) fn joined(from: &str, to: &str) -> String {
    let absolute = to.starts_with('/') || from.starts_with('/');
    let whole = match to.starts_with('/') {
        true => to.to_owned(),
        false => format!("{from}/{to}"),
    };
    let mut parts: Vec<&str> = Vec::new();
    for part in whole.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => drop(parts.pop()),
            ".." if absolute => {}
            _ => parts.push(part),
        }
    }
    let path = parts.join("/");
    if absolute { format!("/{path}") } else { path }
}

fn read(line: &str) -> Result<Vec<Segment>, Why> {
    let mut scanner = Scanner::new(line)?;
    let (mut segments, mut words) = (Vec::new(), Vec::new());
    let (mut join, mut begun) = (Join::Then, false);
    while let Some(token) = scanner.token()? {
        let next = match token {
            Token::Word(word) => {
                words.push(word);
                begun = true;
                continue;
            }
            Token::Silenced => {
                begun = true;
                continue;
            }
            Token::Newline if !begun => continue,
            Token::Newline => Join::Then,
            Token::Operator(next) => next,
        };
        segments.push(segment(std::mem::take(&mut words), join)?);
        (join, begun) = (next, false);
        if segments.len() == MAX_SEGMENTS {
            return Err(Why::Long);
        }
    }
    if begun || join != Join::Then || segments.is_empty() {
        segments.push(segment(words, join)?);
    }
    Ok(segments)
}

/// A command from its words, if the first one is a program name.
fn segment(words: Vec<Word>, join: Join) -> Result<Segment, Why> {
    let head = words.first().filter(|head| !head.text.is_empty()).ok_or(Why::Missing)?;
    if head.assigns {
        return Err(Why::Assignment);
    }
    if !head.quoted && programs::is_reserved(&head.text) {
        return Err(Why::Compound);
    }
    let argv: Vec<String> = words.into_iter().map(|word| word.text).collect();
    match programs::changes_the_shell(&argv) {
        true => Err(Why::State),
        false => Ok(Segment { argv, join, folders: Vec::new() }),
    }
}

/// Determines the possible folders of each command: a `cd` may fail, or be skipped.
fn follow(segments: &mut [Segment]) -> Result<(), Why> {
    let mut possible = vec![String::new()];
    let mut here = possible.clone();
    let mut skipped = false;
    for at in 0..segments.len() {
        let piped = segments.get(at + 1).is_some_and(|next| next.join == Join::Pipe);
        let segment = &mut segments[at];
        match segment.join {
            Join::Then => (here, skipped) = (possible.clone(), false),
            Join::Or => (here, skipped) = (possible.clone(), true),
            Join::And | Join::Pipe => {}
        }
        segment.folders.clone_from(&here);
        if segment.argv[0] != "cd" {
            continue;
        }
        let to = match segment.argv.as_slice() {
            [_, to] if !to.is_empty() && !to.starts_with('-') => to,
            _ => return Err(Why::Folder),
        };
        if piped || segment.join == Join::Pipe {
            return Err(Why::Folder);
        }
        let mut moved: Vec<String> = here.iter().map(|from| joined(from, to)).collect();
        if skipped {
            moved.append(&mut here);
        }
        here = distinct(moved);
        possible.extend_from_slice(&here);
        possible = distinct(possible);
        if possible.len() > MAX_FOLDERS {
            return Err(Why::Folder);
        }
    }
    Ok(())
}

/// Sorted, without duplicates.
pub(crate) fn distinct(mut folders: Vec<String>) -> Vec<String> {
    folders.sort_unstable();
    folders.dedup();
    folders
}
