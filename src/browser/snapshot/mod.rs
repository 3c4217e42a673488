//! Text snapshot of a page: a line per part, from the accessibility tree, over all frames and shadow roots.
//!
//! `button "Send" [e31] disabled` is a part that acts can name; words without a role are plain text. Content of the
//! page is quoted and escaped ([`escape`]), so that no page can forge a line or a ref.

mod clickable;
mod diff;
pub mod escape;
mod lines;
mod roles;
mod tree;

use std::fmt::Write as _;

use crate::BrowserError;
use crate::page::Page;
use crate::tabs::{Frame, Tab};
use crate::transport::USUAL;
pub use diff::{Changes, Seen};
use escape::Quoted;
use lines::{Line, Lines};

/// Maximum size of a snapshot's text in bytes.
pub const MAX_TEXT: usize = 10 * 1024;
/// Maximum size of the text in a refusal in bytes.
const MAX_FRESH: usize = 2 * 1024;

/// Maximum number of labels in a picture.
const LABELS: usize = 60;
/// Maximum number of attempts while the page keeps changing to another one.
const LOOKS: u8 = 4;

/// Filter for the parts of a page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Want {
    /// Only parts that can be acted on.
    pub interactive: bool,
    /// Maximum number of levels.
    pub depth: Option<usize>,
    /// Only contents of this part.
    pub within: Option<u32>,
    /// Only parts with these words.
    pub find: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// At most [`MAX_TEXT`] bytes; the last line says how much was cut.
    pub text: String,
    pub whole: String,
    /// Number of parts that match the filter.
    pub parts: usize,
    /// Number of parts in `text`.
    pub shown: usize,
}

/// A part in view with its position.
#[derive(Clone, Debug, PartialEq)]
pub struct Label {
    pub number: u32,
    pub role: String,
    /// Name from the page.
    pub name: String,
    /// Left, top, width and height in CSS pixels.
    pub place: [f64; 4],
}

/// The current state of one part, for decisions about an act.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    pub number: u32,
    pub role: String,
    /// Name from the page.
    pub name: String,
    /// Value from the page.
    pub value: Option<String>,
    pub document: String,
    /// Address of its frame.
    pub frame_url: String,
}

impl Page {
    /// Takes a snapshot; later [`Page::changes`] are relative to it.
    pub async fn snapshot(&self, want: &Want) -> Result<Snapshot, BrowserError> {
        let (lines, chosen) = self.chosen(want).await?;
        let head = self.with_tab(|tab| {
            tab.seen = Some(Seen::of(tab, &lines));
            head(tab, &lines)
        })?;
        Ok(render(&head, &lines, &chosen, want.find.is_some()))
    }

    /// Takes a snapshot for an observer, without changing what [`Page::changes`] is relative to.
    pub async fn glance(&self, want: &Want) -> Result<Snapshot, BrowserError> {
        let (lines, chosen) = self.chosen(want).await?;
        let head = self.with_tab(|tab| head(tab, &lines))?;
        Ok(render(&head, &lines, &chosen, want.find.is_some()))
    }

    /// The lines of the page, and index and depth of those that match the filter.
    async fn chosen(&self, want: &Want) -> Result<(Lines, Vec<(usize, usize)>), BrowserError> {
        let lines = self.read_lines(want.find.as_deref()).await?;
        match choose(&lines, want) {
            Some(chosen) => Ok((lines, chosen)),
            None => Err(stale(want.within.unwrap_or_default(), &lines)),
        }
    }

    /// The current state of one part.
    pub async fn part(&self, number: u32) -> Result<Part, BrowserError> {
        let lines = self.read_lines(None).await?;
        let Some(line) = lines.of(number) else { return Err(stale(number, &lines)) };
        let (document, frame_url) = self
            .with_tab(|tab| {
                let node = tab.refs.node(number)?;
                let url = tab.frames.get(&node.frame).map(Frame::shown_url);
                Some((node.loader.clone(), url.unwrap_or_default()))
            })?
            .ok_or_else(|| stale(number, &lines))?;
        Ok(Part {
            number,
            role: line.role.to_string(),
            name: line.name.clone(),
            value: line.value.clone(),
            document,
            frame_url,
        })
    }

    /// Interactive parts in view with their positions in CSS pixels.
    pub async fn labels(&self) -> Result<Vec<Label>, BrowserError> {
        let lines = self.read_lines(None).await?;
        let all = lines.list.iter().filter(|line| line.is_interactive);
        let all: Vec<_> =
            all.filter_map(|line| line.number.map(|number| (number, line))).take(LABELS).collect();
        let numbers: Vec<u32> = all.iter().map(|(number, _)| *number).collect();
        let places = self.places(&numbers).await?;
        let label = |(number, line): (u32, &Line)| {
            let (_, place) = places.iter().find(|(of, _)| *of == number)?;
            let (role, name) = (line.role.to_string(), line.name.clone());
            Some(Label { number, role, name, place: *place })
        };
        Ok(all.into_iter().filter_map(label).collect())
    }

    /// Whether the page contains these words.
    pub(crate) async fn has_words(&self, words: &str) -> Result<bool, BrowserError> {
        let words = words.to_lowercase();
        Ok(self.read_lines(None).await?.list.iter().any(|line| line.has(&words)))
    }

    /// The error for a missing ref, with the current parts of the page.
    pub(crate) async fn stale(&self, number: u32) -> BrowserError {
        match self.read_lines(None).await {
            Ok(lines) => stale(number, &lines),
            Err(error) => error,
        }
    }

    async fn read_lines(&self, find: Option<&str>) -> Result<Lines, BrowserError> {
        for _ in 1..LOOKS {
            if let Some(lines) = self.read_lines_once(find).await? {
                return Ok(lines);
            }
        }
        // Last attempt: the page was another one each time.
        self.read_lines_once(find)
            .await?
            .ok_or(BrowserError::TimedOut { method: "Accessibility.getFullAXTree", within: USUAL })
    }

    /// Returns `None` if the page was replaced meanwhile.
    async fn read_lines_once(&self, find: Option<&str>) -> Result<Option<Lines>, BrowserError> {
        let mut trees = tree::fetch(self).await?;
        self.with_tab(|tab| {
            let is_now = |tree: &mut tree::FrameTree| {
                tab.frames.get(&tree.frame).is_some_and(|frame| frame.loader == tree.loader)
            };
            let all = trees.len();
            trees.retain_mut(is_now);
            if trees.first().is_none_or(|tree| tree.frame != tab.target) && 0 < all {
                return Ok(None);
            }
            let lines = lines::read(&trees, tab, find)?;
            // The browser reports a new title late or never.
            tab.set_title(lines.title.clone());
            Ok(Some(lines))
        })?
    }
}

fn stale(number: u32, lines: &Lines) -> BrowserError {
    let want = Want { interactive: true, ..Want::default() };
    let chosen = choose(lines, &want).unwrap_or_default();
    let snapshot = render("", lines, &chosen, false);
    BrowserError::Stale { number, lines: cut(&snapshot.whole, MAX_FRESH).0 }
}

/// Index and depth of the lines that match the filter; `None` if the part `within` is missing.
fn choose(lines: &Lines, want: &Want) -> Option<Vec<(usize, usize)>> {
    let all = &lines.list;
    let (from, to, base) = match want.within {
        None => (0, all.len(), 0),
        Some(number) => {
            let from = all.iter().position(|line| line.number == Some(number) && !line.is_text)?;
            let depth = all[from].depth;
            let below = all[from + 1..].iter().take_while(|line| depth < line.depth).count();
            (from, from + 1 + below, depth)
        }
    };
    let words = want.find.as_ref().map(|words| words.to_lowercase());
    let is_wanted = |line: &Line| {
        (!want.interactive || line.is_interactive)
            && want.depth.is_none_or(|depth| line.depth - base <= depth)
            && words.as_ref().is_none_or(|words| line.has(words))
    };
    let mut above: Vec<usize> = Vec::new();
    let mut chosen = Vec::new();
    for (at, line) in all.iter().enumerate().take(to).skip(from) {
        if is_wanted(line) {
            while above.last().is_some_and(|last| line.depth <= *last) {
                above.pop();
            }
            chosen.push((at, above.len()));
            above.push(line.depth);
        }
    }
    Some(chosen)
}

fn head(tab: &Tab, lines: &Lines) -> String {
    let info = tab.info();
    let mut head =
        format!("t{} {} {}", info.number, Quoted(&info.title, 200), escape::plain(&info.url, 300));
    if let Some(number) = lines.focus {
        write!(head, " focus e{number}").ok(); // ok: a string never fails
    }
    head.push('\n');
    head
}

fn render(head: &str, lines: &Lines, chosen: &[(usize, usize)], with_text_refs: bool) -> Snapshot {
    let mut whole = head.to_owned();
    for (at, depth) in chosen {
        whole.extend(std::iter::repeat_n(' ', *depth));
        lines.list[*at].write(&mut whole, with_text_refs);
        whole.push('\n');
    }
    let (text, left_out) = cut(&whole, MAX_TEXT);
    Snapshot { text, whole, parts: chosen.len(), shown: chosen.len() - left_out }
}

/// Keeps as many whole lines as fit, and appends the number of lines left out.
fn cut(text: &str, max: usize) -> (String, usize) {
    /// Space in bytes for the last line.
    const LAST: usize = 100;
    if text.len() <= max {
        return (text.to_owned(), 0);
    }
    // In UTF-8, the byte of a line break is part of no other character.
    let end = text.as_bytes()[..max - LAST].iter().rposition(|byte| *byte == b'\n');
    let (kept, rest) = text.split_at(end.map_or(0, |end| end + 1));
    let left_out = rest.lines().count();
    let note =
        format!("… {left_out} more lines are left out; use `within` or `find` to narrow it\n");
    (kept.to_owned() + &note, left_out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_counted() {
        let text: String = (0..100).map(|n| format!("line {n} é\n")).collect();
        assert_eq!(cut(&text, 10_000), (text.clone(), 0));
        let (short, left_out) = cut(&text, 500);
        assert!(short.len() <= 500, "{}", short.len());
        assert_eq!(short.lines().count() - 1 + left_out, 100);
        assert!(short.ends_with("to narrow it\n"));
    }
}
