//! Renders Markdown to safe HTML.
//!
//! Supports tables, task lists, strike-through, autolinks, footnotes, formulas, captions and widths of pictures, and
//! widths of table columns. Raw HTML is escaped and shown as typed. Headings move one level down, below the page
//! heading. External images become links, because a page loads nothing from third parties; images in task files are
//! shown. Words such as `MC-142` and `@ada` become links if the caller knows them. The output is sanitised with an
//! allowlist of tags.

use std::fmt::Write as _;
use std::sync::LazyLock;

use comrak::arena_tree::NodeEdge;
use comrak::nodes::{AstNode, NodeCodeBlock, NodeLink, NodeValue};
use comrak::{Arena, Options, format_html, parse_document};

use crate::html::{SafeHtml, escape};
use crate::{assets, checklist};

mod formula;
mod picture;
pub(super) mod table;

/// Maximum nesting depth. A deeper text is shown as source.
const DEEPEST: usize = 100;

/// Returns the URL of a word in the text, such as `MC-142` or `@ada`.
pub type Lookup<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// Renders Markdown and links the words that `find` knows.
pub fn render(text: &str, find: &Lookup<'_>) -> SafeHtml {
    drawn(text, find, Form::Text)
}

/// Like [`render`], for the only text of a page: footnotes have links, whose ids would not be unique elsewhere.
pub fn article(text: &str, find: &Lookup<'_>) -> SafeHtml {
    drawn(text, find, Form::Article)
}

/// Like [`render`], with clickable checklist items. Each item is a submit button of the surrounding form, with a
/// value for [`checklist::Tick`] in the field `tick`.
pub fn with_ticks(text: &str, find: &Lookup<'_>) -> SafeHtml {
    drawn(text, find, Form::Ticks)
}

/// What a rendered text is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Text,
    Article,
    Ticks,
}

fn drawn(text: &str, find: &Lookup<'_>, form: Form) -> SafeHtml {
    let arena = Arena::new();
    let mut options = options(text);
    let pressed = form == Form::Ticks;
    options.extension.math_dollars = true;
    // Footnotes move to the end, which would change the order of checklist items.
    options.extension.footnotes = !pressed;
    let root = parse_document(&arena, text, &options);
    if is_too_deep(root) {
        return SafeHtml::vouched(format!("<pre>{}</pre>", escape(text)));
    }
    let boxes = if pressed { buttons(root, text) } else { Vec::new() };
    show_html(&arena, root);
    root.descendants().collect::<Vec<_>>().into_iter().for_each(rework);
    picture::draw(root);
    table::size(&arena, root, text);
    formula::draw(&arena, root);
    for node in outside_links(root) {
        link_words(&arena, node, find);
    }
    let mut html = String::with_capacity(text.len() * 2);
    if format_html(root, &options, &mut html).is_err() {
        return SafeHtml::default();
    }
    let clean = match form {
        Form::Article => ARTICLE.clean(&with_notes(html, true)),
        Form::Text | Form::Ticks => CLEANER.clean(&with_notes(html, false)),
    };
    SafeHtml::vouched(framed(&clean.to_string(), boxes))
}

/// Sets footnotes apart by a rule. Without links, it drops those back: ids are not unique on a page with several texts.
fn with_notes(html: String, linked: bool) -> String {
    const NOTES: &str = "<section class=\"footnotes\" data-footnotes>";
    const BACK: &str = "<a href=\"#fnref-";
    if !html.contains(NOTES) {
        return html;
    }
    // Tags in the text itself are escaped.
    let html = html.replace(NOTES, "<hr /><div class=\"notes\">").replace("</section>", "</div>");
    if linked {
        return html;
    }
    let mut parts = html.split(BACK);
    let mut out = parts.next().unwrap_or_default().trim_end().to_owned();
    for part in parts {
        out.push_str(part.split_once("</a>").map_or(part, |(_, rest)| rest));
    }
    out
}

/// A button for each checklist item, in order; empty for an item that cannot be ticked.
fn buttons<'a>(root: &'a AstNode<'a>, text: &str) -> Vec<String> {
    let items = checklist::of(root, text);
    let known: Vec<_> = items.iter().flatten().cloned().collect();
    let mut ticks = checklist::ticks(text, &known).into_iter();
    let mut button = |(n, item): (usize, &Option<checklist::Item>)| match item {
        Some(item) => ticks.next().map_or_else(String::new, |tick| {
            format!(
                "<button class=\"tick\" id=\"tick-{n}\" role=\"checkbox\" aria-checked=\"{}\" \
                 name=\"tick\" value=\"{tick}\" aria-label=\"{}\"></button>",
                item.ticked,
                escape(&item.words)
            )
        }),
        None => String::new(),
    };
    items.iter().enumerate().map(&mut button).collect()
}

/// Wraps each code block in a frame with a copy button, and replaces checkboxes by buttons. The input is sanitised
/// already.
fn framed(html: &str, boxes: Vec<String>) -> String {
    if !html.contains("<pre") && boxes.is_empty() {
        return html.to_owned();
    }
    let mut boxes = boxes.into_iter();
    let mut out = String::with_capacity(html.len() + 512);
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        let (before, tag) = rest.split_at(at);
        let (tag, after) = tag.split_at(end_of(tag));
        out.push_str(before);
        if tag.starts_with("<pre") {
            out.push_str("<div class=\"code\">");
        }
        let pressed = tag.starts_with("<input").then(|| boxes.next()).flatten();
        out.push_str(pressed.as_deref().filter(|button| !button.is_empty()).unwrap_or(tag));
        if tag == "</pre>" {
            // ok: writing to a `String` does not fail.
            let _ = write!(
                out,
                "<button class=\"btn\" type=\"button\" data-icon data-kind=\"ghost\" data-size=\"s\" \
                 data-copy-code aria-label=\"Copy code\" title=\"Copy code\"><svg class=\"i\" \
                 data-size=\"s\" aria-hidden=\"true\"><use href=\"{}#i-copy\"/></svg></button></div>",
                assets::sprite()
            );
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

/// End of a tag: the first `>` outside quotes.
fn end_of(tag: &str) -> usize {
    let mut quoted = false;
    for (at, sign) in tag.char_indices() {
        match sign {
            '"' => quoted = !quoted,
            '>' if !quoted => return at + 1,
            _ => {}
        }
    }
    tag.len()
}

/// Renders Markdown without linked words.
pub fn plain(text: &str) -> SafeHtml {
    render(text, &|_| None)
}

/// Adds an id to each heading of rendered HTML. `name` derives the id from the heading's text.
pub fn anchored(html: &SafeHtml, name: impl Fn(&str) -> String) -> SafeHtml {
    let mut out = String::with_capacity(html.as_str().len() + 256);
    let mut rest = html.as_str();
    while let Some(at) = rest.find("<h") {
        let (before, tag) = rest.split_at(at);
        out.push_str(before);
        let level = tag.as_bytes().get(2).copied().filter(u8::is_ascii_digit);
        let (Some(level), end) = (level, end_of(tag)) else {
            out.push_str("<h");
            rest = &tag[2..];
            continue;
        };
        let close = format!("</h{}>", char::from(level));
        let inner = tag[end..].split(&close).next().unwrap_or_default();
        let words = name(&words_of(inner));
        // ok: writing to a `String` does not fail.
        let _ = write!(out, "{} id=\"{}\">", &tag[..end - 1], escape(&words));
        rest = &tag[end..];
    }
    out.push_str(rest);
    SafeHtml::vouched(out)
}

/// The text between tags.
fn words_of(html: &str) -> String {
    let mut words = String::new();
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        words.push_str(&rest[..at]);
        rest = &rest[at + end_of(&rest[at..])..];
    }
    words.push_str(rest);
    let signs = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")];
    signs.iter().fold(words, |words, (code, sign)| words.replace(code, sign))
}

/// The text of Markdown without markup, cut after `max` characters, for one line.
pub fn excerpt(text: &str, max: usize) -> String {
    let arena = Arena::new();
    let mut options = options(text);
    options.extension.footnotes = true;
    options.extension.math_dollars = true;
    let root = parse_document(&arena, text, &options);
    let mut words = String::new();
    for node in root.descendants() {
        let data = node.data.borrow();
        match &data.value {
            NodeValue::Text(piece) => words.push_str(in_line(node, piece)),
            NodeValue::HtmlInline(tag) => words.push_str(tag),
            NodeValue::Math(math) => words.push_str(&formula::words(node, math)),
            NodeValue::Code(code) => words.push_str(&code.literal),
            NodeValue::CodeBlock(code) => words.extend([" ", code.literal.as_str()]),
            NodeValue::HtmlBlock(html) => words.extend([" ", html.literal.as_str()]),
            NodeValue::SoftBreak | NodeValue::LineBreak => words.push(' '),
            value if value.block() => words.push(' '),
            _ => {}
        }
        if max * 4 < words.len() {
            break;
        }
    }
    // A passage may begin within a table, whose bars and rules are then text.
    let is_frame = |word: &&str| {
        let has = |part| word.contains(part);
        word.chars().all(|c| "|-:".contains(c))
            && (has("|") || has("---") || has("-:") || has(":-"))
    };
    let words = words.split_whitespace().filter(|word| !is_frame(word));
    let words = words.collect::<Vec<_>>().join(" ");
    match words.char_indices().nth(max) {
        Some((cut, _)) => format!("{}…", words[..cut].trim_end()),
        None => words,
    }
}

/// A text of an excerpt: that of a picture has no width.
fn in_line<'a, 't>(node: &'a AstNode<'a>, words: &'t str) -> &'t str {
    let is_picture = |parent: &'a AstNode<'a>| {
        node.next_sibling().is_none() && matches!(parent.data.borrow().value, NodeValue::Image(_))
    };
    if node.parent().is_some_and(is_picture) { picture::sized(words).0 } else { words }
}

/// The delimiter if the text starts with front matter, that is lines of fields. Other text between two rules is no
/// front matter.
pub(super) fn front_matter(text: &str) -> Option<String> {
    const RULE: &str = "---";
    let mut lines = text.lines().map(str::trim_end);
    if lines.next() != Some(RULE) {
        return None;
    }
    let first = lines.next().unwrap_or_default();
    let (field, _) = first.split_once(':')?;
    let is_field = |sign: char| sign.is_alphanumeric() || matches!(sign, '_' | '-');
    if field.is_empty() || !field.chars().all(is_field) {
        return None;
    }
    let end = lines.find(|line| line.is_empty() || *line == RULE);
    end.filter(|end| *end == RULE).map(str::to_owned)
}

pub(super) fn options(text: &str) -> Options<'static> {
    let mut options = Options::default();
    options.extension.front_matter_delimiter = front_matter(text);
    options.extension.table = true;
    options.extension.tasklist = true;
    options.extension.strikethrough = true;
    options.extension.autolink = true;
    options.render.hardbreaks = true;
    options
}

static CLEANER: LazyLock<ammonia::Builder<'static>> = LazyLock::new(|| cleaner(false));
static ARTICLE: LazyLock<ammonia::Builder<'static>> = LazyLock::new(|| cleaner(true));

/// The allowlist; `linked` for a text whose footnotes have links.
fn cleaner(linked: bool) -> ammonia::Builder<'static> {
    let mut cleaner = ammonia::Builder::default();
    cleaner
        .add_tags(["input"])
        .add_tags(formula::TAGS)
        .add_tag_attributes("input", ["type", "checked", "disabled"])
        .set_tag_attribute_value("input", "class", "tick")
        .set_tag_attribute_value("input", "aria-label", "Item")
        // Wide tables and code blocks scroll sideways, so they must be focusable by keyboard.
        .set_tag_attribute_value("table", "tabindex", "0")
        .add_tag_attributes("col", ["width"])
        .set_tag_attribute_value("pre", "tabindex", "0")
        // Markers of lists and quotes are placed by text direction; `base.css` handles paragraphs.
        .set_tag_attribute_value("ul", "dir", "auto")
        .set_tag_attribute_value("ol", "dir", "auto")
        .set_tag_attribute_value("blockquote", "dir", "auto")
        .add_allowed_classes("a", ["at", "ref"])
        .add_allowed_classes("div", ["notes"])
        .add_allowed_classes("span", ["formula", "formula-inline"])
        .add_tag_attributes("span", ["tabindex"])
        .add_tag_attributes("math", ["display"])
        .set_tag_attribute_value("img", "loading", "lazy")
        .set_tag_attribute_value("img", "decoding", "async")
        .attribute_filter(move |tag, attribute, value| {
            if formula::is_length(tag, attribute) {
                return formula::limited(value);
            }
            let foreign = tag == "img" && attribute == "src" && !lies_here(value);
            let is_note = !linked && tag == "a" && attribute == "href" && value.starts_with("#fn-");
            (!foreign && !is_note).then_some(value.into())
        })
        .rm_generic_attributes(["title", "lang"])
        .add_generic_attributes(formula::GENERAL)
        .url_schemes(["http", "https", "mailto"].into())
        .link_rel(Some("noopener noreferrer nofollow"));
    for (tag, attributes) in formula::ATTRIBUTES {
        cleaner.add_tag_attributes(tag, attributes.iter().copied());
    }
    for tag in ["mtable", "mtr", "mtd"] {
        cleaner.add_allowed_classes(tag, formula::CLASSES);
    }
    if linked {
        // Ids come from footnotes alone: tags in the text are escaped.
        cleaner.add_tag_attributes("a", ["id", "aria-label"]).add_tag_attributes("li", ["id"]);
    }
    cleaner
}

/// Whether a URL is the content of a task file: `/w/<workspace>/files/<id>/content`.
fn lies_here(url: &str) -> bool {
    let Some((place, rest)) = url.strip_prefix("/w/").and_then(|rest| rest.split_once('/')) else {
        return false;
    };
    let plain = |text: &str| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    let file = match rest.split_once('/') {
        Some(("files", file)) => file.strip_suffix("/content"),
        Some(("knowledge", file)) => file.strip_suffix("/file"),
        _ => None,
    };
    plain(place) && file.is_some_and(plain)
}

/// Converts HTML to text: an inline tag stays in its line, a block becomes a paragraph of its lines.
fn show_html<'a>(arena: &'a Arena<'a>, root: &'a AstNode<'a>) {
    let nodes: Vec<_> = root.descendants().collect();
    for node in nodes {
        let value = &mut node.data.borrow_mut().value;
        match value {
            NodeValue::FrontMatter(words) => {
                let literal = format!("{}\n", words.trim_end());
                *value = NodeValue::CodeBlock(Box::new(NodeCodeBlock {
                    literal,
                    ..NodeCodeBlock::default()
                }));
            }
            NodeValue::HtmlInline(tag) => *value = NodeValue::Text(std::mem::take(tag).into()),
            NodeValue::HtmlBlock(html) => {
                let html = std::mem::take(&mut html.literal);
                *value = NodeValue::Paragraph;
                for (n, line) in html.trim_end().lines().enumerate() {
                    if 0 < n {
                        node.append(arena.alloc(NodeValue::LineBreak.into()));
                    }
                    node.append(leaf(arena, line));
                }
            }
            _ => {}
        }
    }
}

/// Moves headings down and turns external images into links.
fn rework<'a>(node: &'a AstNode<'a>) {
    let value = &mut node.data.borrow_mut().value;
    match value {
        NodeValue::Heading(heading) => heading.level = (heading.level + 1).min(6),
        NodeValue::Image(link) if !lies_here(&link.url) => {
            *value = NodeValue::Link(link.clone());
            picture::drop_width(node);
        }
        _ => {}
    }
}

/// Whether the nesting exceeds any reasonable depth. Rendering time grows with the depth.
fn is_too_deep<'a>(root: &'a AstNode<'a>) -> bool {
    let mut depth = 0_usize;
    root.traverse().any(|edge| {
        match edge {
            NodeEdge::Start(_) => depth += 1,
            NodeEdge::End(_) => depth -= 1,
        }
        DEEPEST < depth
    })
}

/// Text nodes outside links.
fn outside_links<'a>(root: &'a AstNode<'a>) -> Vec<&'a AstNode<'a>> {
    let (mut found, mut links) = (Vec::new(), 0_usize);
    for edge in root.traverse() {
        let (node, begins) = match edge {
            NodeEdge::Start(node) => (node, true),
            NodeEdge::End(node) => (node, false),
        };
        match &node.data.borrow().value {
            NodeValue::Link(_) if begins => links += 1,
            NodeValue::Link(_) => links -= 1,
            NodeValue::Text(_) if begins && links == 0 => found.push(node),
            _ => {}
        }
    }
    found
}

/// Splits a text node at the words that `find` knows.
fn link_words<'a>(arena: &'a Arena<'a>, node: &'a AstNode<'a>, find: &Lookup<'_>) {
    let NodeValue::Text(text) = node.data.borrow().value.clone() else { return };
    let mut done = 0;
    for (start, end) in words(&text) {
        let word = &text[start..end];
        let Some(url) = find(word) else { continue };
        if done < start {
            node.insert_before(leaf(arena, &text[done..start]));
        }
        let link = NodeLink { url, title: String::new() };
        let link = arena.alloc(NodeValue::Link(Box::new(link)).into());
        link.append(leaf(arena, word));
        node.insert_before(link);
        done = end;
    }
    if 0 < done {
        match done < text.len() {
            true => node.data.borrow_mut().value = NodeValue::Text(text[done..].to_owned().into()),
            false => node.detach(),
        }
    }
}

fn leaf<'a>(arena: &'a Arena<'a>, text: &str) -> &'a AstNode<'a> {
    arena.alloc(NodeValue::Text(text.to_owned().into()).into())
}

/// Byte ranges of possible references: `@slug`, or capitals, a hyphen and digits.
fn words(text: &str) -> Vec<(usize, usize)> {
    let is_word = |c: char| c.is_alphanumeric() || c == '-' || c == '_' || c == '@' || c == '.';
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(start) = text[from..].find(is_word).map(|i| from + i) {
        let end = text[start..].find(|c| !is_word(c)).map_or(text.len(), |i| start + i);
        let word = text[start..end].trim_end_matches(['.', '-', '_']);
        if is_mention(word) || is_number(word) {
            found.push((start, start + word.len()));
        }
        from = end;
    }
    found
}

fn is_mention(word: &str) -> bool {
    let name = word.strip_prefix('@').unwrap_or_default();
    let ok = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| ok(c.to_ascii_lowercase()))
}

fn is_number(word: &str) -> bool {
    let Some((prefix, digits)) = word.split_once('-') else { return false };
    (1..=8).contains(&prefix.len())
        && prefix.starts_with(|c: char| c.is_ascii_uppercase())
        && prefix.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit())
        && (1..=9).contains(&digits.len())
        && digits.chars().all(|c| c.is_ascii_digit())
}

#[cfg(test)]
mod tests;
