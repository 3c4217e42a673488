//! Extracts the readable part of a page: the main content without navigation, scripts and hidden elements, as
//! well-nested HTML with few element types.

use url::Url;

use super::scan::{Scanner, Tag, Token, unescape};

/// Maximum nesting depth of the result.
pub const MAX_DEPTH: usize = 60;
/// Maximum number of open elements; further tags are ignored.
const MAX_OPEN: usize = 1024;
/// Maximum number of open elements searched for the match of an end tag.
const MAX_SEARCH: usize = 128;
/// Maximum length of a link URL.
const MAX_LINK: usize = 2000;
/// Minimum text length of a main content candidate.
const MIN_PART: usize = 200;

/// Elements removed with their content.
const DROPPED: [&str; 19] = [
    "noscript", "template", "svg", "math", "object", "embed", "canvas", "audio", "video", "map",
    "button", "select", "datalist", "dialog", "menu", "applet", "marquee", "frameset", "head",
];
/// Elements that surround the content of a page.
const SURROUNDING: [&str; 4] = ["nav", "aside", "footer", "header"];
const SURROUNDING_ROLES: [&str; 8] =
    ["navigation", "banner", "contentinfo", "search", "complementary", "dialog", "menu", "menubar"];
/// Class names and ids of page furniture: matched as whole words.
const FURNITURE: [&str; 26] = [
    "sidebar",
    "side-bar",
    "nav",
    "navbar",
    "nav-bar",
    "navigation",
    "main-nav",
    "site-nav",
    "breadcrumb",
    "breadcrumbs",
    "cookie-banner",
    "cookie-bar",
    "cookie-consent",
    "cookie-notice",
    "newsletter",
    "social-share",
    "share-buttons",
    "related-posts",
    "related-articles",
    "skip-link",
    "site-header",
    "site-footer",
    "page-footer",
    "footer",
    "masthead",
    "advertisement",
];
/// Elements checked for such class names and ids.
const BOXES: [&str; 7] = ["div", "section", "ul", "ol", "p", "form", "table"];
/// If less than one n-th of the text is left, class names and ids are ignored: some pages call their content a sidebar.
const MOST_DROPPED: usize = 3;
const VOID: [&str; 12] =
    ["area", "base", "br", "col", "hr", "img", "input", "link", "meta", "source", "track", "wbr"];
/// Elements that end an open paragraph.
const BLOCKS: [&str; 31] = [
    "address",
    "article",
    "aside",
    "blockquote",
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
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "header",
    "hr",
    "li",
    "main",
    "ol",
    "p",
    "pre",
    "section",
    "table",
    "ul",
];
/// Inline formatting elements.
const INLINE: [&str; 20] = [
    "a", "abbr", "b", "cite", "code", "del", "em", "font", "i", "ins", "kbd", "mark", "q", "s",
    "samp", "small", "span", "strong", "sub", "u",
];
/// Parts of a table, meaningless outside one.
const TABLE_PARTS: [&str; 7] = ["caption", "tbody", "td", "tfoot", "th", "thead", "tr"];

/// Which part of a page was extracted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The marked main part.
    Main,
    Article,
    /// Everything except page furniture.
    Body,
    /// Everything, because almost nothing was left without page furniture.
    Everything,
}

/// The readable part of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cleaned {
    /// Title in the head of the page.
    pub title: Option<String>,
    pub part: Part,
    /// Well-nested HTML of the part.
    pub html: String,
}

/// Extracts the readable part of a page. `base` resolves relative links.
pub fn clean(page: &str, base: &Url) -> Cleaned {
    let strict = Cleaner::run(page, base, Surroundings::Drop);
    let bare = Cleaner::run(page, base, Surroundings::DropCalled);
    let enough = MIN_PART <= bare.text && strict.text <= bare.text * MOST_DROPPED;
    let strict = if enough { bare } else { strict };
    let (cleaner, part) = match strict.text < MIN_PART {
        true => {
            let all = Cleaner::run(page, base, Surroundings::Keep);
            // A short page is fine. A page that is nearly all navigation is kept whole.
            match strict.text * 2 < all.text {
                true => (all, Part::Everything),
                false => (strict, Part::Body),
            }
        }
        false => (strict, Part::Body),
    };
    let title = cleaner.title.clone();
    let (part, html) = match part {
        Part::Everything => (part, cleaner.out),
        _ => cleaner.into_best(),
    };
    Cleaned { title, part, html }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Surroundings {
    /// By elements and roles.
    Drop,
    /// Also by class names and ids.
    DropCalled,
    Keep,
}

/// An open element.
struct Open {
    name: String,
    /// Inline element.
    inline: bool,
    /// Element name in the result, if it is written at all.
    written: Option<&'static str>,
    /// Dropped with its content.
    dropped: bool,
    /// For a main content candidate: the start of its content, and the amount of text before it.
    part: Option<(Part, usize, usize)>,
}

/// A main content candidate.
struct Found {
    part: Part,
    start: usize,
    end: usize,
    text: usize,
}

struct Cleaner {
    base: Url,
    surroundings: Surroundings,
    title: Option<String>,
    out: String,
    /// Number of non-space characters in `out`.
    text: usize,
    open: Vec<Open>,
    depth: usize,
    dropping: usize,
    tables: usize,
    inside_part: usize,
    in_head: bool,
    found: Vec<Found>,
}

impl Cleaner {
    fn run(page: &str, base: &Url, surroundings: Surroundings) -> Cleaner {
        let mut cleaner = Cleaner {
            base: base.clone(),
            surroundings,
            title: None,
            out: String::with_capacity(page.len() / 2),
            text: 0,
            open: Vec::new(),
            depth: 0,
            dropping: 0,
            tables: 0,
            inside_part: 0,
            in_head: false,
            found: Vec::new(),
        };
        for token in Scanner::new(page) {
            match token {
                Token::Text(text) => cleaner.add_text(text),
                Token::Open(tag) => cleaner.start(&tag),
                Token::Close(name) => cleaner.end(&name),
                Token::Raw(name, content) => cleaner.raw(&name, content),
            }
        }
        cleaner.close_to(0);
        cleaner
    }

    /// The main part, the only article, or everything.
    fn into_best(self) -> (Part, String) {
        let most = |part: Part| {
            let of_kind = self.found.iter().filter(move |found| found.part == part);
            of_kind.max_by_key(|found| found.text)
        };
        let main = most(Part::Main).filter(|found| MIN_PART <= found.text);
        // A list of articles is kept as a whole.
        let article = most(Part::Article).filter(|found| self.text / 2 < found.text);
        match main.or(article) {
            Some(found) => (found.part, self.out[found.start..found.end].to_owned()),
            None => (Part::Body, self.out),
        }
    }

    fn add_text(&mut self, text: &str) {
        if self.dropping != 0 {
            return;
        }
        self.text += text.chars().filter(|c| !c.is_whitespace()).count();
        self.out.push_str(&text.replace('<', "&lt;"));
    }

    fn raw(&mut self, name: &str, content: &str) {
        match name {
            "title" if self.title.is_none() && !self.inside("svg") => {
                let title = unescape(content).split_whitespace().collect::<Vec<_>>().join(" ");
                self.title = Some(title).filter(|title| !title.is_empty());
            }
            "xmp" | "plaintext" => self.add_text(content),
            _ => {}
        }
    }

    fn inside(&self, name: &str) -> bool {
        self.open.iter().rev().take(MAX_SEARCH).any(|open| open.name == name)
    }

    fn start(&mut self, tag: &Tag<'_>) {
        let name = tag.name.as_str();
        // An element that cannot be in the head ends the head.
        let block = BLOCKS.contains(&name);
        if self.in_head && (block || name == "body") {
            self.end("head");
            self.in_head = false;
        }
        if block {
            self.end_paragraph();
        }
        self.end_implied(name);
        if VOID.contains(&name) {
            self.void(tag);
            return;
        }
        if MAX_OPEN <= self.open.len() {
            return;
        }
        let dropped = self.is_dropped(tag);
        let part = self.part_of(tag);
        let written = match dropped || self.dropping != 0 {
            true => None,
            false => self.write_start(tag),
        };
        self.dropping += usize::from(dropped);
        self.tables += usize::from(written == Some("table"));
        self.inside_part += usize::from(part.is_some());
        let part =
            part.filter(|_| self.dropping == 0).map(|part| (part, self.out.len(), self.text));
        self.in_head |= name == "head";
        let inline = INLINE.contains(&name);
        self.open.push(Open { name: name.to_owned(), inline, written, dropped, part });
    }

    /// A block ends an open paragraph, including its open inline elements.
    fn end_paragraph(&mut self) {
        let near = self.open.iter().enumerate().rev().take(MAX_SEARCH);
        let mut outer = near.skip_while(|(_, open)| open.inline);
        if let Some((at, _)) = outer.next().filter(|(_, open)| open.name == "p") {
            self.close_to(at);
        }
    }

    /// Closes elements that the start of `name` ends implicitly.
    fn end_implied(&mut self, name: &str) {
        let (ends, within): (&[&str], &[&str]) = match name {
            "li" => (&["li"], &["ul", "ol", "menu"]),
            "dt" | "dd" => (&["dt", "dd"], &["dl"]),
            "td" | "th" => (&["td", "th"], &["tr", "table"]),
            "tr" => (&["tr"], &["table", "tbody", "thead", "tfoot"]),
            "tbody" | "thead" | "tfoot" => (&["tbody", "thead", "tfoot", "caption"], &["table"]),
            "a" => (&["a"], &["table"]),
            "option" => (&["option"], &["select"]),
            _ => (&[], &[]),
        };
        if ends.is_empty() {
            return;
        }
        let found = self.open.iter().enumerate().rev().take(MAX_SEARCH).find_map(|(at, open)| {
            let name = open.name.as_str();
            match (ends.contains(&name), within.contains(&name)) {
                (true, _) => Some(Some(at)),
                (false, true) => Some(None),
                (false, false) => None,
            }
        });
        if let Some(at) = found.flatten() {
            self.close_to(at);
        }
    }

    fn end(&mut self, name: &str) {
        let near = self.open.iter().enumerate().rev().take(MAX_SEARCH);
        let mut near = near.filter(|(_, open)| open.name == name).map(|(at, _)| at);
        if let Some(at) = near.next() {
            self.close_to(at);
        }
    }

    /// Closes open elements until `count` are left.
    fn close_to(&mut self, count: usize) {
        while count < self.open.len() {
            let Some(open) = self.open.pop() else { return };
            if let Some((part, start, text)) = open.part {
                let (end, text) = (self.out.len(), self.text - text);
                self.found.push(Found { part, start, end, text });
                self.inside_part -= 1;
            }
            self.dropping -= usize::from(open.dropped);
            if let Some(name) = open.written {
                self.out.push_str(&format!("</{name}>"));
                self.depth -= 1;
                self.tables -= usize::from(name == "table");
            }
        }
    }

    fn is_dropped(&self, tag: &Tag<'_>) -> bool {
        let name = tag.name.as_str();
        if DROPPED.contains(&name) || is_hidden(tag) {
            return true;
        }
        if self.surroundings == Surroundings::Keep {
            return false;
        }
        if self.surroundings == Surroundings::DropCalled && is_furniture(tag) {
            return true;
        }
        let role = tag.get("role").unwrap_or_default();
        // The header of an article contains its heading; that of a page contains navigation.
        let surrounding = SURROUNDING.contains(&name)
            || SURROUNDING_ROLES.iter().any(|other| other.eq_ignore_ascii_case(role));
        surrounding && (self.inside_part == 0 || !matches!(name, "header" | "footer"))
    }

    fn part_of(&self, tag: &Tag<'_>) -> Option<Part> {
        let is_main = tag.get("role").is_some_and(|role| role.eq_ignore_ascii_case("main"));
        match tag.name.as_str() {
            "main" => Some(Part::Main),
            _ if is_main => Some(Part::Main),
            "article" => Some(Part::Article),
            _ => None,
        }
    }

    /// Writes a start tag to the result and returns the element name used there.
    fn write_start(&mut self, tag: &Tag<'_>) -> Option<&'static str> {
        if MAX_DEPTH <= self.depth {
            return None;
        }
        let name = written_name(&tag.name)?;
        if TABLE_PARTS.contains(&name) && self.tables == 0 {
            return None;
        }
        if name == "a" {
            let address = self.address(tag.get("href"))?;
            self.out.push_str(&format!("<a href=\"{}\">", escape(&address)));
        } else {
            self.out.push_str(&format!("<{name}>"));
        }
        self.depth += 1;
        Some(name)
    }

    fn void(&mut self, tag: &Tag<'_>) {
        if tag.name == "base" {
            let given = tag.get("href").map(unescape);
            if let Some(base) = given.and_then(|href| self.base.join(href.trim()).ok()) {
                self.base = base; // ok: an invalid base URL has no effect
            }
        }
        if self.dropping != 0 || is_hidden(tag) {
            return;
        }
        match tag.name.as_str() {
            "br" => self.out.push_str("<br>"),
            "hr" => self.out.push_str("<hr>"),
            "wbr" => self.out.push('\u{200b}'),
            "img" => {
                let alt = unescape(tag.get("alt").unwrap_or_default());
                let source = self.address(tag.get("src"));
                if let (false, Some(source)) = (alt.trim().is_empty(), source) {
                    let (alt, source) = (escape(alt.trim()), escape(&source));
                    self.out.push_str(&format!("<img alt=\"{alt}\" src=\"{source}\">"));
                }
            }
            _ => {}
        }
    }

    /// The absolute URL of a link, if it is usable.
    fn address(&self, given: Option<&str>) -> Option<String> {
        let given = unescape(given?.trim());
        if given.is_empty() || given.starts_with('#') || MAX_LINK < given.len() {
            return None;
        }
        let address = self.base.join(&given).ok()?; // ok: an invalid URL is no link
        matches!(address.scheme(), "http" | "https" | "mailto").then(|| address.into())
    }
}

/// Returns `true` if an element's class or id marks it as page furniture.
fn is_furniture(tag: &Tag<'_>) -> bool {
    let called = |name: &str| {
        let mut words = tag.get(name).unwrap_or_default().split_ascii_whitespace();
        words.any(|word| FURNITURE.iter().any(|one| one.eq_ignore_ascii_case(word)))
    };
    BOXES.contains(&tag.name.as_str()) && (called("class") || called("id"))
}

fn is_hidden(tag: &Tag<'_>) -> bool {
    let style: String = tag.get("style").unwrap_or_default().split_whitespace().collect();
    let style = style.to_ascii_lowercase();
    tag.get("hidden").is_some_and(|value| value != "until-found")
        || tag.get("aria-hidden").is_some_and(|value| value.eq_ignore_ascii_case("true"))
        || style.contains("display:none")
        || style.contains("visibility:hidden")
}

/// The element's name in the result. Unlisted elements are dropped, but their content stays.
fn written_name(name: &str) -> Option<&'static str> {
    let name = match name {
        "h1" => "h1",
        "h2" => "h2",
        "h3" => "h3",
        "h4" => "h4",
        "h5" => "h5",
        "h6" => "h6",
        "p" => "p",
        "ul" => "ul",
        "ol" => "ol",
        "li" => "li",
        "pre" => "pre",
        "code" | "kbd" | "samp" | "tt" => "code",
        "blockquote" => "blockquote",
        "a" => "a",
        "strong" | "b" => "strong",
        "em" | "i" => "em",
        "del" | "s" | "strike" => "del",
        "table" => "table",
        "caption" => "caption",
        "thead" => "thead",
        "tbody" | "tfoot" => "tbody",
        "tr" => "tr",
        "th" => "th",
        "td" => "td",
        "div" | "section" | "article" | "main" | "body" | "figure" | "figcaption" | "details"
        | "summary" | "dl" | "dt" | "dd" | "address" | "center" | "fieldset" | "form"
        | "header" | "footer" | "nav" | "aside" | "legend" | "hgroup" => "div",
        _ => return None,
    };
    Some(name)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
#[path = "clean_tests.rs"]
mod tests;
