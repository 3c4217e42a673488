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
    /// Its one article.
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
    /// Which part it is.
    pub part: Part,
    /// The part, well nested.
    pub html: String,
}

/// Takes the readable part out of a page. Links become whole addresses by `base`.
pub fn clean(page: &str, base: &Url) -> Cleaned {
    let strict = Cleaner::run(page, base, Surroundings::Drop);
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
    Drop,
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
mod tests {
    use super::*;

    fn cleaned(page: &str) -> Cleaned {
        clean(page, &Url::parse("https://example.com/dir/page").unwrap())
    }

    fn html(page: &str) -> String {
        cleaned(page).html
    }

    const LONG: &str = "A sentence that is long enough to count as content of a page. ";

    #[test]
    fn what_is_not_text_is_left_out() {
        let page = "<body><script>x()</script><style>p{}</style><p>One<svg><title>T</title><path/></svg></p>\
            <noscript>no</noscript><iframe src=x>f</iframe><template><p>t</p></template>\
            <button>Press</button><textarea>typed</textarea><p>Two</p>";
        assert_eq!(html(page), "<div><p>One</p><p>Two</p></div>");
    }

    #[test]
    fn hidden_things_are_left_out() {
        let page = "<div><p hidden>a</p><p aria-hidden=TRUE>b</p><p style='color:red; DISPLAY : none'>c</p>\
            <p style=visibility:hidden>d<p>shown<img alt=x src=/x hidden></div>";
        assert_eq!(html(page), "<div><p>shown</p></div>");
    }

    #[test]
    fn the_title_is_taken_from_the_head() {
        let page = "<head><title> A &amp; B\n  <i>c</i> </title><meta charset=x></head><body><p>x";
        assert_eq!(cleaned(page).title.as_deref(), Some("A & B <i>c</i>"));
        assert_eq!(cleaned("<title> </title>x").title, None);
        assert_eq!(
            cleaned("<svg><title>icon</title></svg><title>Page</title>x").title.as_deref(),
            Some("Page")
        );
    }

    #[test]
    fn the_main_part_is_preferred() {
        let long = LONG.repeat(8);
        let nav = "<nav><a href=/>Home</a></nav>";
        let main =
            format!("<body>{nav}<div>{long}</div><main><h1>M</h1>{long}</main><footer>F</footer>");
        let found = cleaned(&main);
        assert_eq!(found.part, Part::Main);
        assert!(found.html.starts_with("<h1>M</h1>A sentence") && !found.html.contains("Home"));

        let article =
            format!("{nav}<article><header><h1>T</h1></header>{long}</article><p>more</p>");
        let found = cleaned(&article);
        assert_eq!(found.part, Part::Article);
        assert!(found.html.contains("<h1>T</h1>") && !found.html.contains("more"));

        let list = format!("<article>{LONG}</article><article>{LONG}</article>").repeat(5);
        assert_eq!(cleaned(&list).part, Part::Body);
    }

    #[test]
    fn the_surroundings_are_left_out_unless_they_are_all_there_is() {
        let long = LONG.repeat(8);
        let page = format!(
            "<header>H</header><nav>N</nav><div role=banner>B</div><p>{long}</p><aside>A</aside><footer>F</footer>"
        );
        assert_eq!(html(&page), format!("<p>{long}</p>"));
        let page = format!("<header><p>{long}</p></header>x");
        assert_eq!(cleaned(&page).part, Part::Everything);
        assert!(html(&page).contains("A sentence"));
        let unclosed = format!("<nav><a href=/>Home</a><div><p>{long}</p></div>");
        assert_eq!(cleaned(&unclosed).part, Part::Everything);
    }

    #[test]
    fn links_become_whole_addresses() {
        for (given, expected) in [
            ("a.html", Some("https://example.com/dir/a.html")),
            ("/a?b=1&amp;c=2#d", Some("https://example.com/a?b=1&amp;c=2#d")),
            ("//other.org/", Some("https://other.org/")),
            ("mailto:a@b.org", Some("mailto:a@b.org")),
            ("#top", None),
            ("", None),
            ("javascript:alert(1)", None),
            ("java\nscript:alert(1)", None),
            ("data:text/html,x", None),
            ("http://[bad/", None),
        ] {
            let expected = match expected {
                Some(address) => format!("<a href=\"{address}\">t</a>"),
                None => "t".to_owned(),
            };
            assert_eq!(html(&format!("<a href=\"{given}\">t</a>")), expected, "{given}");
        }
        assert_eq!(
            html("<base href='https://base.org/x/'><a href=y>t</a>"),
            "<a href=\"https://base.org/x/y\">t</a>"
        );
    }

    #[test]
    fn pictures_stay_if_they_say_what_they_show() {
        assert_eq!(
            html("<img src=/a.png alt=' A \"cat\" '><img src=/b.png><img alt=c src=data:x>"),
            "<img alt=\"A &quot;cat&quot;\" src=\"https://example.com/a.png\">"
        );
    }

    #[test]
    fn the_result_is_well_nested() {
        for (page, expected) in [
            ("<p>a<p>b", "<p>a</p><p>b</p>"),
            ("<p>a<b>b<div>c</div>d", "<p>a<strong>b</strong></p><div>c</div>d"),
            (
                "<ul><li>a<li>b<ul><li>c</ul><li>d</ul>",
                "<ul><li>a</li><li>b<ul><li>c</li></ul></li><li>d</li></ul>",
            ),
            ("<b>a<i>b</b>c</i>", "<strong>a<em>b</em></strong>c"),
            ("</div>a</p>", "a"),
            (
                "<table><tr><td>a<td>b<tr><th>c</table>",
                "<table><tr><td>a</td><td>b</td></tr><tr><th>c</th></tr></table>",
            ),
            ("<td>a</td><tr>b", "ab"),
            (
                "<a href=/x>a<a href=/y>b",
                "<a href=\"https://example.com/x\">a</a><a href=\"https://example.com/y\">b</a>",
            ),
            ("1 < 2 & 3 &lt; 4", "1 &lt; 2 & 3 &lt; 4"),
            ("<span>a</span><custom-tag>b</custom-tag>", "ab"),
        ] {
            assert_eq!(html(page), expected, "{page}");
        }
    }

    #[test]
    fn hostile_pages_stay_small_and_flat() {
        let pages = [
            "<div>".repeat(37_000),
            "<b><i><u><font color=1>".repeat(7_000),
            "<p><a href=x><b>x</p>".repeat(7_000),
            "<table><tr><td>".repeat(10_000),
            "</div>".repeat(25_000) + &"<div></b>".repeat(20_000),
            "<ul><li>".repeat(20_000),
            "<i>".repeat(2_000) + &"<p>".repeat(50_000),
            "<".repeat(175_000),
            "<!--".repeat(42_000),
            "<a href=\"".repeat(20_000),
            "<script>".repeat(22_000),
            "&".repeat(175_000),
            format!("<p {}>", "a=b ".repeat(45_000)),
        ];
        for page in pages {
            let html = html(&page);
            assert!(html.len() <= page.len() * 6, "{}", &page[..20]);
            let (mut depth, mut deepest) = (0i64, 0);
            for token in Scanner::new(&html) {
                match token {
                    Token::Open(tag) if !VOID.contains(&tag.name.as_str()) => depth += 1,
                    Token::Close(_) => depth -= 1,
                    _ => {}
                }
                deepest = deepest.max(depth);
            }
            assert_eq!(depth, 0);
            assert!(deepest <= MAX_DEPTH as i64, "{deepest}");
        }
    }
}
