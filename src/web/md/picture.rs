//! Pictures with a caption and a width: `![Plan|50%](address "Caption")`.
//!
//! The title of a picture that is a paragraph of its own is its caption. A number at the end of the alternative text,
//! behind a bar, is the width in pixels or percent, as in Obsidian; programs that do not know it show it as text.

use std::fmt::Write as _;

use comrak::nodes::{AstNode, NodeValue};

use crate::blocks::words;
use crate::html::escape;

/// Maximum width in pixels.
const WIDEST: u32 = 4_000;

/// Draws the captions and widths of the pictures in a text. The result is sanitised with the rest of the text.
pub(super) fn draw<'a>(root: &'a AstNode<'a>) {
    for node in root.descendants().collect::<Vec<_>>() {
        let (url, title) = match &node.data.borrow().value {
            NodeValue::Image(link) => (link.url.clone(), link.title.clone()),
            _ => continue,
        };
        let words = words(node);
        let (alt, width) = sized(&words);
        let paragraph =
            node.parent().filter(|&parent| is_alone(parent) && !title.trim().is_empty());
        if paragraph.is_none() && width.is_none() {
            continue;
        }
        let mut html = format!("<img src=\"{}\" alt=\"{}\"", escape(&url), escape(alt));
        if let Some(width) = width {
            // ok: writing to a `String` does not fail.
            let _ = write!(html, " width=\"{width}\"");
        }
        html.push('>');
        let drawn = match paragraph {
            Some(_) => {
                format!("<figure>{html}<figcaption>{}</figcaption></figure>\n", escape(&title))
            }
            None => html,
        };
        let place = paragraph.unwrap_or(node);
        for child in place.children().collect::<Vec<_>>() {
            child.detach();
        }
        place.data.borrow_mut().value = NodeValue::Raw(drawn);
    }
}

/// Removes the width from the text of a picture that is shown as a link.
pub(super) fn drop_width<'a>(picture: &'a AstNode<'a>) {
    let Some(last) = picture.last_child() else { return };
    if let NodeValue::Text(words) = &mut last.data.borrow_mut().value {
        *words = sized(words).0.to_owned().into();
    }
}

/// The alternative text without the width, and the width.
pub(super) fn sized(words: &str) -> (&str, Option<&str>) {
    let Some((alt, width)) = words.rsplit_once('|') else { return (words, None) };
    let (digits, most) = match width.strip_suffix('%') {
        Some(digits) => (digits, 100),
        None => (width, WIDEST),
    };
    let is_number = digits.bytes().all(|sign| sign.is_ascii_digit());
    let fits = digits.parse::<u32>().is_ok_and(|number| (1..=most).contains(&number));
    if is_number && fits { (alt.trim_end(), Some(width)) } else { (words, None) }
}

fn is_alone<'a>(paragraph: &'a AstNode<'a>) -> bool {
    matches!(paragraph.data.borrow().value, NodeValue::Paragraph)
        && paragraph.children().count() == 1
}

#[cfg(test)]
mod tests {
    use super::super::{excerpt, plain};
    use super::sized;

    #[test]
    fn a_picture_has_its_caption_and_its_width() {
        let here = "/w/marlow/files/0190-ab/content";
        let html = plain(&format!("![A plan|50%]({here} \"The <b>first</b> floor\")"));
        let html = html.as_str();
        assert!(html.starts_with("<figure><img"), "{html}");
        assert!(html.contains("alt=\"A plan\"") && html.contains("width=\"50%\""), "{html}");
        assert!(
            html.contains("<figcaption>The &lt;b&gt;first&lt;/b&gt; floor</figcaption></figure>"),
            "{html}"
        );
        // Within words it has no caption, and elsewhere it is a link.
        let within = plain(&format!("See ![A plan|120]({here} \"Caption\") there."));
        assert!(within.as_str().contains("width=\"120\""), "{within}");
        assert!(!within.as_str().contains("<figure"), "{within}");
        let away = plain("![A plan|50%](https://e.example/p.png \"Caption\")");
        assert!(away.as_str().contains(">A plan</a>"), "{away}");
        assert_eq!(excerpt(&format!("![A plan|50%]({here}) and"), 80), "A plan and");
    }

    #[test]
    fn a_width_is_a_number_behind_a_bar() {
        assert_eq!(sized("A plan|300"), ("A plan", Some("300")));
        assert_eq!(sized("|5%"), ("", Some("5%")));
        for other in ["A plan", "A|b", "A|0", "A|101%", "A|", "A|+5", "A|99999", "A|5px"] {
            assert_eq!(sized(other), (other, None));
        }
    }
}
