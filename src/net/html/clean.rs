//! Keeps the readable part of a page: its main content without navigation, scripts and hidden things,
//! as well-nested HTML of a few elements.

use url::Url;

use super::scan::{Scanner, Tag, Token, unescape};

/// No element of the result lies deeper.
pub const MAX_DEPTH: usize = 60;
/// Beyond this many open elements further tags do not count.
const MAX_OPEN: usize = 1024;
/// How far up the open elements are searched for the one that an end tag closes.
const MAX_SEARCH: usize = 128;
/// The longest address that a link keeps.
const MAX_LINK: usize = 2000;
/// A part with less text than this is not the content of a page.
const MIN_PART: usize = 200;

/// Elements that go with all they hold.
const DROPPED: [&str; 19] = [
    "noscript", "template", "svg", "math", "object", "embed", "canvas", "audio", "video", "map",
    "button", "select", "datalist", "dialog", "menu", "applet", "marquee", "frameset", "head",
];
/// Elements that surround the content of a page.
const SURROUNDING: [&str; 4] = ["nav", "aside", "footer", "header"];
const SURROUNDING_ROLES: [&str; 8] =
    ["navigation", "banner", "contentinfo", "search", "complementary", "dialog", "menu", "menubar"];
/// What pages call their surroundings where they have no elements for them: whole words of a class or an id.
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
/// Elements that are looked at for such words.
const BOXES: [&str; 7] = ["div", "section", "ul", "ol", "p", "form", "table"];
/// What is left must be at least one of so many parts of what there was: a page that calls its content a sidebar
/// is taken at its elements alone.
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
/// Elements that a text formatter opens inside a paragraph.
const INLINE: [&str; 20] = [
    "a", "abbr", "b", "cite", "code", "del", "em", "font", "i", "ins", "kbd", "mark", "q", "s",
    "samp", "small", "span", "strong", "sub", "u",
];
/// The parts of a table, which mean nothing outside of one.
const TABLE_PARTS: [&str; 7] = ["caption", "tbody", "td", "tfoot", "th", "thead", "tr"];

/// Which part of a page was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// What the page calls its main part.
    Main,
    Article,
    /// Everything but what surrounds the content.
    Body,
    /// Everything: without the surroundings next to nothing was left.
    Everything,
}

/// The readable part of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cleaned {
    /// The title in the head of the page.
    pub title: Option<String>,
    pub part: Part,
    /// The part, well nested.
    pub html: String,
}

/// Takes the readable part out of a page. Links become whole addresses by `base`.
pub fn clean(page: &str, base: &Url) -> Cleaned {
    let strict = Cleaner::run(page, base, Surroundings::Drop);
    let bare = Cleaner::run(page, base, Surroundings::DropCalled);
    let enough = MIN_PART <= bare.text && strict.text <= bare.text * MOST_DROPPED;
    let strict = if enough { bare } else { strict };
    let (cleaner, part) = match strict.text < MIN_PART {
        true => {
            let all = Cleaner::run(page, base, Surroundings::Keep);
            // A short page is short; one that is nearly all navigation is shown as it is.
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
    /// By what they are called, too.
    DropCalled,
    Keep,
}

/// An element whose end has not come.
struct Open {
    name: String,
    /// It stands within a line of text.
    inline: bool,
    /// The name it has in the result, if it is there at all.
    written: Option<&'static str>,
    /// It and all it holds are left out.
    dropped: bool,
    /// Where its content began, and how much text there was before, if it may be the main part.
    part: Option<(Part, usize, usize)>,
}

/// A part that may be the content of the page.
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
    /// How many characters other than white space are in `out`.
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

    /// The main part, the one article, or all.
    fn into_best(self) -> (Part, String) {
        let most = |part: Part| {
            let of_kind = self.found.iter().filter(move |found| found.part == part);
            of_kind.max_by_key(|found| found.text)
        };
        let main = most(Part::Main).filter(|found| MIN_PART <= found.text);
        // A list of articles is read as a whole.
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
        // The head ends where something begins that cannot be in it.
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

    /// A paragraph ends where a block begins, whatever of a line is still open in it.
    fn end_paragraph(&mut self) {
        let near = self.open.iter().enumerate().rev().take(MAX_SEARCH);
        let mut outer = near.skip_while(|(_, open)| open.inline);
        if let Some((at, _)) = outer.next().filter(|(_, open)| open.name == "p") {
            self.close_to(at);
        }
    }

    /// Closes what the start of `name` ends without saying so.
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
        // The header of an article holds its heading, that of a page the navigation.
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

    /// Writes the start of an element of the result; gives its name there.
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
                self.base = base; // ok: an address that cannot be read changes nothing
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

    /// A whole address, if it leads anywhere.
    fn address(&self, given: Option<&str>) -> Option<String> {
        let given = unescape(given?.trim());
        if given.is_empty() || given.starts_with('#') || MAX_LINK < given.len() {
            return None;
        }
        let address = self.base.join(&given).ok()?; // ok: an address that cannot be read is no link
        matches!(address.scheme(), "http" | "https" | "mailto").then(|| address.into())
    }
}

/// Whether a box is called one of the surroundings.
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

/// What an element is called in the result. Elements without a name are left out, their content stays.
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
