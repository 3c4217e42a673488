//! Markdown to HTML that may stand in a page.
//!
//! Tables, task lists, strike-through and bare links work; raw HTML is dropped; headings move one
//! level down, below the page's own; pictures from elsewhere become links, because a page loads
//! nothing from a third party; those that lie here, as files of tasks, are shown. Words such as `MC-142` and `@ada` become links if the caller knows
//! them. What comes out of the renderer is sanitised once more by a list of allowed tags.

use std::fmt::Write as _;
use std::sync::LazyLock;

use comrak::nodes::{AstNode, NodeLink, NodeValue};
use comrak::{Arena, Options, format_html, parse_document};

use crate::web::html::{SafeHtml, escape};
use crate::web::{assets, checklist};

/// Where a word in running text leads, if it names something: called with `MC-142` or `@ada`.
pub type Lookup<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// Renders Markdown and links the words that `find` knows.
pub fn render(text: &str, find: &Lookup<'_>) -> SafeHtml {
    drawn(text, find, false)
}

/// The same with items of checklists that are pressed: each is a button of the form around the text and
/// sends what [`checklist::Tick`] reads as `tick`.
pub fn with_ticks(text: &str, find: &Lookup<'_>) -> SafeHtml {
    drawn(text, find, true)
}

fn drawn(text: &str, find: &Lookup<'_>, pressed: bool) -> SafeHtml {
    let arena = Arena::new();
    let options = options();
    let root = parse_document(&arena, text, &options);
    let boxes = if pressed { buttons(root, text) } else { Vec::new() };
    let nodes: Vec<_> = root.descendants().collect();
    for node in nodes {
        rework(node);
        if !is_inside_link(node) {
            link_words(&arena, node, find);
        }
    }
    let mut html = String::with_capacity(text.len() * 2);
    if format_html(root, &options, &mut html).is_err() {
        return SafeHtml::default();
    }
    SafeHtml::vouched(framed(&CLEANER.clean(&html).to_string(), boxes))
}

/// A button for each item of a checklist, in their order; empty for one that cannot be ticked.
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

/// Puts each block of code, which is clean already, into a frame with a button that copies it, and buttons
/// in the place of the boxes of a checklist.
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
            // ok: writing into a text does not fail.
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

/// Where a tag ends: at the first `>` outside of quotes.
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

/// Renders Markdown in which no word is a link by itself.
pub fn plain(text: &str) -> SafeHtml {
    render(text, &|_| None)
}

/// The words of a Markdown text without its signs, cut after `max` characters, for one line.
pub fn excerpt(text: &str, max: usize) -> String {
    let arena = Arena::new();
    let root = parse_document(&arena, text, &options());
    let mut words = String::new();
    for node in root.descendants() {
        let data = node.data.borrow();
        match &data.value {
            NodeValue::Text(piece) => words.push_str(piece),
            NodeValue::Code(code) => words.push_str(&code.literal),
            NodeValue::CodeBlock(code) => words.push_str(&code.literal),
            NodeValue::SoftBreak | NodeValue::LineBreak => words.push(' '),
            value if value.block() => words.push(' '),
            _ => {}
        }
        if max * 4 < words.len() {
            break;
        }
    }
    let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
    match words.char_indices().nth(max) {
        Some((cut, _)) => format!("{}…", words[..cut].trim_end()),
        None => words,
    }
}

pub(super) fn options() -> Options<'static> {
    let mut options = Options::default();
    options.extension.table = true;
    options.extension.tasklist = true;
    options.extension.strikethrough = true;
    options.extension.autolink = true;
    options.render.hardbreaks = true;
    options
}

static CLEANER: LazyLock<ammonia::Builder<'static>> = LazyLock::new(|| {
    let mut cleaner = ammonia::Builder::default();
    cleaner
        .add_tags(["input"])
        .add_tag_attributes("input", ["type", "checked", "disabled"])
        .set_tag_attribute_value("input", "class", "tick")
        .set_tag_attribute_value("input", "aria-label", "Item")
        // Both scroll sideways when they are wide: the keyboard must reach them.
        .set_tag_attribute_value("table", "tabindex", "0")
        .set_tag_attribute_value("pre", "tabindex", "0")
        // Signs of items and quotes stand where their words begin; paragraphs run as `base.css` says.
        .set_tag_attribute_value("ul", "dir", "auto")
        .set_tag_attribute_value("ol", "dir", "auto")
        .set_tag_attribute_value("blockquote", "dir", "auto")
        .add_allowed_classes("a", ["at", "ref"])
        .set_tag_attribute_value("img", "loading", "lazy")
        .set_tag_attribute_value("img", "decoding", "async")
        .attribute_filter(|tag, attribute, value| {
            let foreign = tag == "img" && attribute == "src" && !lies_here(value);
            (!foreign).then_some(value.into())
        })
        .rm_generic_attributes(["title", "lang"])
        .url_schemes(["http", "https", "mailto"].into())
        .link_rel(Some("noopener noreferrer nofollow"));
    cleaner
});

/// Whether an address is that of the content of a file on a task: `/w/<workspace>/files/<id>/content`.
fn lies_here(url: &str) -> bool {
    let Some((place, file)) = url.strip_prefix("/w/").and_then(|rest| rest.split_once("/files/"))
    else {
        return false;
    };
    let plain = |text: &str| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    plain(place) && file.strip_suffix("/content").is_some_and(plain)
}

/// Moves headings down and turns pictures from elsewhere into links.
fn rework<'a>(node: &'a AstNode<'a>) {
    let value = &mut node.data.borrow_mut().value;
    match value {
        NodeValue::Heading(heading) => heading.level = (heading.level + 1).min(6),
        NodeValue::Image(link) if !lies_here(&link.url) => *value = NodeValue::Link(link.clone()),
        _ => {}
    }
}

fn is_inside_link<'a>(node: &'a AstNode<'a>) -> bool {
    node.ancestors().any(|above| matches!(above.data.borrow().value, NodeValue::Link(_)))
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

/// Places of words that may name something: `@slug`, or capitals, a hyphen and digits.
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
mod tests {
    use super::{excerpt, plain, render, with_ticks};

    #[test]
    fn known_words_become_links_and_code_stays_as_it_is() {
        let find = |word: &str| match word {
            "MC-142" => Some("/w/a/tasks/MC-142".to_owned()),
            "@ada" => Some("/w/a/agents/ada".to_owned()),
            _ => None,
        };
        let html = render("See MC-142, `MC-142` and @ada. Not MC-9 or mail@ada.example.", &find);
        assert_eq!(html.as_str().matches("<a href=\"/w/a/tasks/MC-142\"").count(), 1);
        assert_eq!(html.as_str().matches("<a href=\"/w/a/agents/ada\"").count(), 1);
        assert!(html.as_str().contains("<code>MC-142</code>"));
        assert!(html.as_str().contains("</a>, <code>"), "{html}");
        assert!(html.as_str().contains("</a>. Not MC-9"), "{html}");
    }

    #[test]
    fn a_block_of_code_has_a_button_and_words_that_look_like_one_have_none() {
        let html =
            plain("```sh\nls </pre> <pre>\n```\n\nsay `<pre>` [x](<http://a.example/</pre>>)");
        let html = html.as_str();
        assert_eq!(html.matches("data-copy-code").count(), 1, "{html}");
        assert!(html.contains("<div class=\"code\"><pre"), "{html}");
        assert!(html.contains("ls &lt;/pre&gt; &lt;pre&gt;\n</code></pre><button"), "{html}");
        // A sign inside an attribute ends nothing.
        let odd = "<pre tabindex=\"0\">a</pre><a href=\"</pre>\">b</a>";
        let odd = super::framed(odd, Vec::new());
        assert!(odd.ends_with("</div><a href=\"</pre>\">b</a>"), "{odd}");
    }

    #[test]
    fn lists_and_quotes_run_as_their_words_do() {
        let html = plain("- مراجعة\n\n1. one\n\n> עוד\n");
        for tag in ["ul", "ol", "blockquote"] {
            assert!(html.as_str().contains(&format!("<{tag} dir=\"auto\">")), "{html}");
        }
    }

    #[test]
    fn a_word_inside_a_link_is_not_linked_again() {
        let html = render("[MC-1 is here](https://x.example)", &|_| Some("/t".into()));
        assert!(!html.as_str().contains("/t"));
    }

    #[test]
    fn scripts_handlers_styles_and_odd_links_do_not_survive() {
        let bad = "<script>x</script>\n\n<b onclick=1 style=\"color:red\">b</b> [a](javascript:x) \
                   \n\n<div hx-get=\"/x\">c</div> <img src=x onerror=y>\n\n![p](https://e.example/p.png)";
        let html = plain(bad);
        for word in ["<script", "onclick", "style", "javascript:", "hx-get", "onerror", "<img"] {
            assert!(!html.as_str().contains(word), "{word} survived in {html}");
        }
        assert!(html.as_str().contains("https://e.example/p.png"), "the picture is a link");
    }

    #[test]
    fn headings_stand_below_the_page_heading_and_boxes_can_be_read() {
        let html = plain("# One\n\n- [x] done\n- [ ] open\n\n|a|b|\n|-|-|\n|1|2|\n");
        assert!(html.as_str().contains("<h2>One</h2>"));
        assert!(html.as_str().contains("checked"));
        assert!(html.as_str().contains("class=\"tick\""));
        assert!(html.as_str().contains("<td>1</td>"));
    }

    #[test]
    fn items_of_a_checklist_are_buttons_where_they_can_be_pressed() {
        let text = "- [x] done\n- [ ] a < \"b\"\n\n```\n- [ ] code\n```\n\n<input type=checkbox>";
        let html = with_ticks(text, &|_| None);
        let html = html.as_str();
        assert_eq!(html.matches("role=\"checkbox\"").count(), 2, "{html}");
        assert!(html.contains("aria-checked=\"true\"") && !html.contains("<input"), "{html}");
        assert!(html.contains("aria-label=\"a &lt; &quot;b&quot;\""), "{html}");
        assert!(!plain(text).as_str().contains("<button class=\"tick\""));
    }

    #[test]
    fn pictures_that_lie_here_are_shown() {
        let here = "/w/marlow/files/0190-ab/content";
        let html = plain(&format!("![A plan]({here})"));
        assert!(html.as_str().contains("<img"), "{html}");
        assert!(html.as_str().contains(&format!("src=\"{here}\"")), "{html}");
        assert!(html.as_str().contains("alt=\"A plan\""), "{html}");
        for other in ["//w/m/files/1/content", "/w/m/files/1", "/w/../x/files/1/content", "/logout"]
        {
            let html = plain(&format!("![A plan]({other})"));
            assert!(!html.as_str().contains("<img"), "{html}");
        }
    }

    #[test]
    fn an_excerpt_is_one_line_of_words() {
        assert_eq!(
            excerpt("# Title\n\nSome *bold* `code`\n\n- item", 80),
            "Title Some bold code item"
        );
        assert_eq!(excerpt("äöü and more", 3), "äöü…");
        assert_eq!(excerpt("", 3), "");
    }
}
