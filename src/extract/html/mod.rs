//! Web pages and book chapters: headings, lists, links and tables. Scripts and hidden elements are skipped.

mod tags;

use sheet::encoding;

use super::markdown::{Block, Writer};
use super::{Found, Refused, text};
use tags::{Tag, Tags, Token, resolved};

/// Bytes searched for a declared encoding.
const HEAD: usize = 4 << 10;
/// Limit of markup bytes per byte of permitted text.
const MARKUP: usize = 32;
/// Longest link address that is kept.
const LONGEST_LINK: usize = 2_000;
/// Limit of tracked hidden elements and lists.
const DEEPEST: usize = 256;

/// Elements skipped with their content.
const DROPPED: &[&str] = &[
    "template", "svg", "math", "object", "canvas", "audio", "video", "select", "datalist",
    "noscript",
];
/// Void elements.
const VOID: &[&str] = &[
    "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track",
    "wbr",
];
/// Block elements.
const BLOCKS: &[&str] = &[
    "address",
    "article",
    "aside",
    "blockquote",
    "body",
    "caption",
    "center",
    "dd",
    "details",
    "div",
    "dl",
    "dt",
    "fieldset",
    "figcaption",
    "figure",
    "footer",
    "form",
    "header",
    "hr",
    "legend",
    "main",
    "nav",
    "option",
    "p",
    "section",
    "summary",
];

pub(crate) fn file(bytes: &[u8], found: &mut Found<'_>) -> Result<(), Refused> {
    let mut writer = found.writer();
    let title = document(bytes, &mut writer, found)?;
    found.name(&title.unwrap_or_default());
    found.push(None, writer.take());
    found.cut |= writer.is_full();
    Ok(())
}

/// Writes the content of a page and returns its title.
pub(crate) fn document(
    bytes: &[u8],
    writer: &mut Writer,
    found: &mut Found<'_>,
) -> Result<Option<String>, Refused> {
    let most = found.limits.chars.saturating_add(HEAD).saturating_mul(MARKUP);
    found.cut |= most < bytes.len();
    let bytes = &bytes[..bytes.len().min(most)];
    let page = text::whole(bytes, named_encoding(bytes).as_deref(), found)?;
    let mut walk = Walk { writer, hidden: Vec::new(), lists: Vec::new(), title: None };
    for token in Tags::new(&page) {
        if walk.writer.is_full() {
            break;
        }
        match token {
            Token::Text(text) if walk.hidden.is_empty() => walk.writer.text(&resolved(text)),
            Token::Text(_) => (),
            Token::Open(tag) => walk.start(&tag),
            Token::Close(name) => walk.end(&name),
            Token::Raw(name, content) if name == "title" && walk.title.is_none() => {
                walk.title = Some(resolved(content));
            }
            Token::Raw(..) => (),
        }
    }
    Ok(walk.title)
}

/// Label of the encoding that the page declares.
fn named_encoding(bytes: &[u8]) -> Option<String> {
    let head = String::from_utf8_lossy(&bytes[..bytes.len().min(HEAD)]).to_ascii_lowercase();
    ["charset", "encoding"].into_iter().find_map(|word| {
        let (_, after) = head.split_once(word)?;
        let after = after.trim_start().strip_prefix('=')?;
        let after = after.trim_start().trim_start_matches(['"', '\'']);
        let label: String = after
            .chars()
            .take_while(|sign| sign.is_ascii_alphanumeric() || "-_:.".contains(*sign))
            .collect();
        encoding::known(&label).map(|_| label)
    })
}

struct Walk<'w> {
    writer: &'w mut Writer,
    /// Open hidden elements, the outermost first.
    hidden: Vec<String>,
    /// Open lists: the last item number of numbered ones.
    lists: Vec<Option<u32>>,
    title: Option<String>,
}

impl Walk<'_> {
    fn start(&mut self, tag: &Tag<'_>) {
        let name = tag.name.as_str();
        if self.hidden.len() == 1 && gives_way(&self.hidden[0], name) {
            self.hidden.clear();
        }
        let hides = DROPPED.contains(&name) || is_hidden(tag);
        if hides || !self.hidden.is_empty() {
            if self.hidden.len() < DEEPEST && !VOID.contains(&name) && !tag.is_closed() {
                self.hidden.push(name.to_owned());
            }
            return;
        }
        match name {
            name if is_heading(name) => {
                self.writer.close();
                self.writer.open(Block::Heading(name.as_bytes()[1] - b'0'));
            }
            "ul" | "ol" | "menu" => {
                self.writer.close();
                if self.lists.len() < DEEPEST {
                    self.lists.push((name == "ol").then_some(0));
                }
            }
            "li" => {
                self.writer.close();
                let level = self.lists.len().saturating_sub(1);
                let number = self.lists.last_mut().and_then(Option::as_mut).map(|number| {
                    *number += 1;
                    *number
                });
                self.writer.item(level, number);
            }
            "pre" => {
                self.writer.close();
                self.writer.open(Block::Code);
            }
            "br" => self.writer.line_break(),
            "table" => {
                self.writer.close();
                self.writer.open_table();
            }
            "tr" => self.writer.open_row(),
            "td" | "th" => self.writer.open_cell(),
            "a" => self.writer.open_link(address(tag)),
            "img" => self.writer.text(&resolved(tag.get("alt").unwrap_or_default())),
            name if BLOCKS.contains(&name) => self.writer.close(),
            _ => (),
        }
    }

    fn end(&mut self, name: &str) {
        if let Some(outermost) = self.hidden.first() {
            if let Some(at) = self.hidden.iter().rposition(|open| open == name) {
                self.hidden.truncate(at);
                return;
            }
            if !ends_with(outermost, name) {
                return;
            }
            self.hidden.clear();
        }
        match name {
            "ul" | "ol" | "menu" => {
                self.writer.close();
                self.lists.pop();
                self.writer.no_item();
            }
            "li" => {
                self.writer.close();
                self.writer.no_item();
            }
            "table" => self.writer.close_table(),
            "td" | "th" => self.writer.close_cell(),
            "a" => self.writer.close_link(),
            "pre" => self.writer.close(),
            name if is_heading(name) || BLOCKS.contains(&name) => self.writer.close(),
            _ => (),
        }
    }
}

/// Whether an open element without an end tag is closed by the start of `next`.
fn gives_way(open: &str, next: &str) -> bool {
    match open {
        "p" => is_block(next),
        "li" | "tr" => next == open,
        "dt" | "dd" => matches!(next, "dt" | "dd"),
        "td" | "th" => matches!(next, "td" | "th" | "tr"),
        _ => false,
    }
}

/// Whether an open element without an end tag is closed by the end of `around`.
fn ends_with(open: &str, around: &str) -> bool {
    match open {
        "p" => is_block(around),
        "li" => matches!(around, "ul" | "ol" | "menu"),
        "dt" | "dd" => around == "dl",
        "td" | "th" => matches!(around, "tr" | "table"),
        "tr" => around == "table",
        _ => false,
    }
}

fn is_block(name: &str) -> bool {
    let others = ["ul", "ol", "menu", "li", "pre", "table", "td", "th"];
    BLOCKS.contains(&name) || is_heading(name) || others.contains(&name)
}

fn is_heading(name: &str) -> bool {
    matches!(name, "h1" | "h2" | "h3" | "h4" | "h5" | "h6")
}

/// Target of a link to the outside: web or mail addresses.
fn address(tag: &Tag<'_>) -> Option<String> {
    let address = resolved(tag.get("href")?.trim());
    let leads = ["http://", "https://", "mailto:"].iter().any(|scheme| {
        address.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    });
    (leads && address.len() <= LONGEST_LINK).then_some(address)
}

fn is_hidden(tag: &Tag<'_>) -> bool {
    let style = tag.get("style").unwrap_or_default();
    let style: String = style.split_whitespace().collect::<String>().to_ascii_lowercase();
    tag.get("hidden").is_some()
        || style.contains("display:none")
        || style.contains("visibility:hidden")
}
