//! Formulas in LaTeX, drawn as MathML: `$…$` in a line, `$$…$$` and code blocks in the language `math` as blocks.
//!
//! What only looks like a formula, such as two amounts in dollars, stays text. A formula that cannot be read is shown
//! as typed. Formulas cannot define macros, so the size of the result depends on the source alone. The result is
//! sanitised with the rest of the text.

use std::borrow::Cow;
use std::panic::catch_unwind;

use comrak::Arena;
use comrak::nodes::{AstNode, NodeCode, NodeMath, NodeValue};
use pulldown_latex::config::{DisplayMode, RenderConfig};
use pulldown_latex::{Parser, ParserError, Storage, push_mathml};

use super::leaf;

/// Maximum length of a formula in bytes.
const LONGEST: usize = 2_000;
/// Maximum nesting of elements in a formula.
const DEEPEST: usize = 60;
/// Length in bytes up to which a formula without [`SPACES`] fits into a line on a phone.
const SHORT: usize = 24;
/// Parts of the commands for wide spaces.
const SPACES: [&str; 3] = ["kern", "skip", "space"];
/// Maximum length of a space or rule in a formula, in em.
const WIDEST: f32 = 20.0;
/// Commands that define others.
const DEFINITIONS: [&str; 9] = [
    "\\def",
    "\\edef",
    "\\gdef",
    "\\xdef",
    "\\let",
    "\\futurelet",
    "\\newcommand",
    "\\renewcommand",
    "\\providecommand",
];

/// The elements of MathML that formulas use.
pub(super) const TAGS: [&str; 25] = [
    "math",
    "mfrac",
    "mi",
    "mmultiscripts",
    "mn",
    "mo",
    "mover",
    "mpadded",
    "mphantom",
    "mprescripts",
    "mroot",
    "mrow",
    "ms",
    "mspace",
    "msqrt",
    "mstyle",
    "msub",
    "msubsup",
    "msup",
    "mtable",
    "mtd",
    "mtext",
    "mtr",
    "munder",
    "munderover",
];
/// The attributes that any of these elements may have.
pub(super) const GENERAL: [&str; 2] = ["displaystyle", "scriptlevel"];
/// The attributes of some of them, apart from `display` of `math`.
pub(super) const ATTRIBUTES: [(&str, &[&str]); 4] = [
    ("mi", &["mathvariant"]),
    ("mo", &["stretchy", "symmetric", "largeop", "movablelimits", "minsize", "maxsize"]),
    ("mspace", &["width", "height", "depth"]),
    ("mfrac", &["linethickness"]),
];

/// Classes of tables: how the cells are aligned.
pub(super) const CLASSES: [&str; 7] = [
    "menv-alignlike",
    "menv-arraylike",
    "menv-cases",
    "menv-cells-left",
    "menv-cells-right",
    "cell-left",
    "cell-right",
];

/// Whether the value of an attribute is a length.
pub(super) fn is_length(tag: &str, attribute: &str) -> bool {
    match tag {
        "mspace" => matches!(attribute, "width" | "height" | "depth"),
        "mo" => matches!(attribute, "minsize" | "maxsize"),
        "mfrac" => attribute == "linethickness",
        _ => false,
    }
}

/// A length, shortened to [`WIDEST`]; `None` if it cannot be read.
pub(super) fn limited(length: &str) -> Option<Cow<'_, str>> {
    let unit = length.trim_start_matches(|sign: char| !sign.is_ascii_alphabetic());
    let number = &length[..length.len() - unit.len()];
    // ok: what is no number is no length.
    let number: f32 = number.parse().ok()?;
    let em = match unit {
        "" if number == 0.0 => 0.0,
        "em" | "pc" | "mu" => number,
        "ex" => number / 2.0,
        "in" => number * 6.0,
        "cm" => number * 2.4,
        "mm" => number * 0.24,
        "pt" => number / 12.0,
        _ => return None,
    };
    match em.abs() <= WIDEST {
        true => Some(length.into()),
        false => Some(format!("{}em", em.clamp(-WIDEST, WIDEST)).into()),
    }
}

/// Replaces the formulas of a text by MathML.
pub(super) fn draw<'a>(arena: &'a Arena<'a>, root: &'a AstNode<'a>) {
    for node in root.descendants().collect::<Vec<_>>() {
        let drawn = match &node.data.borrow().value {
            NodeValue::Math(math) => Some(inline(node, math)),
            NodeValue::CodeBlock(code) if code.info.trim() == "math" => {
                mathml(&code.literal, true).map(|html| NodeValue::Raw(framed(&html)))
            }
            _ => None,
        };
        let Some(drawn) = drawn else { continue };
        let is_block = matches!(node.data.borrow().value, NodeValue::CodeBlock(_));
        if is_block {
            node.data.borrow_mut().value = NodeValue::Paragraph;
            let inner = leaf(arena, "");
            inner.data.borrow_mut().value = drawn;
            node.append(inner);
        } else {
            node.data.borrow_mut().value = drawn;
        }
    }
}

/// The words of a formula for a line of text: without its dollar signs, if it is one.
pub(super) fn words<'a>(node: &'a AstNode<'a>, math: &NodeMath) -> String {
    if is_formula(node, math) { math.literal.clone() } else { typed(math) }
}

fn inline<'a>(node: &'a AstNode<'a>, math: &NodeMath) -> NodeValue {
    // The address of a heading is made from its words, as typed.
    let in_heading =
        node.ancestors().any(|one| matches!(one.data.borrow().value, NodeValue::Heading(_)));
    if in_heading || !is_formula(node, math) {
        return NodeValue::Text(typed(math).into());
    }
    match mathml(&math.literal, math.display_math) {
        Some(html) if math.display_math => NodeValue::Raw(framed(&html)),
        Some(html) => NodeValue::Raw(in_line(&math.literal, &html)),
        None => NodeValue::Code(NodeCode { num_backticks: 1, literal: typed(math) }),
    }
}

/// A formula as a block. Wide ones scroll sideways, so it must be focusable by keyboard.
fn framed(html: &str) -> String {
    format!("<span class=\"formula\" tabindex=\"0\">{html}</span>")
}

/// A formula in a line of text. A wide one has its own scrollbar, so it must be focusable by keyboard.
fn in_line(tex: &str, html: &str) -> String {
    let is_wide = SHORT < tex.len() || SPACES.iter().any(|word| tex.contains(word));
    let focus = if is_wide { " tabindex=\"0\"" } else { "" };
    format!("<span class=\"formula-inline\"{focus}>{html}</span>")
}

fn typed(math: &NodeMath) -> String {
    let sign = if math.display_math { "$$" } else { "$" };
    format!("{sign}{}{sign}", math.literal)
}

/// Whether dollar signs enclose a formula. In `$HOME/$USER`, `US$5/US$` and `$5 or 6$` they do not.
fn is_formula<'a>(node: &'a AstNode<'a>, math: &NodeMath) -> bool {
    let literal = math.literal.as_str();
    if math.display_math {
        return !literal.trim().is_empty();
    }
    let before = node.previous_sibling().and_then(text).and_then(|text| text.chars().next_back());
    let after = node.next_sibling().and_then(text).and_then(|text| text.chars().next());
    let is_joined = before.into_iter().chain(after).any(char::is_alphanumeric);
    let signs = ['\\', '^', '_', '=', '{', '+', '<', '>'];
    let is_amount = literal.starts_with(|sign: char| sign.is_ascii_digit())
        && literal.contains(' ')
        && !literal.contains(signs);
    !is_joined && !is_amount
}

fn text<'a>(node: &'a AstNode<'a>) -> Option<String> {
    match &node.data.borrow().value {
        NodeValue::Text(text) => Some(text.to_string()),
        _ => None,
    }
}

/// A formula as MathML; `None` if it cannot be read, or is too large.
fn mathml(tex: &str, is_block: bool) -> Option<String> {
    if LONGEST < tex.len() || DEFINITIONS.iter().any(|word| tex.contains(word)) {
        return None;
    }
    // ok: a fault of the library costs a formula, not the page.
    let html = catch_unwind(|| converted(tex, is_block)).ok().flatten()?;
    is_shallow(&html).then_some(html)
}

fn converted(tex: &str, is_block: bool) -> Option<String> {
    let storage = Storage::new();
    let read: Result<Vec<_>, ParserError> = Parser::new(tex, &storage).collect();
    // ok: a formula with an error is shown as typed.
    let events = read.ok()?;
    let display_mode = if is_block { DisplayMode::Block } else { DisplayMode::Inline };
    let config = RenderConfig { display_mode, ..RenderConfig::default() };
    let mut html = String::with_capacity(tex.len() * 16);
    let written = push_mathml(&mut html, events.into_iter().map(Ok::<_, ParserError>), config);
    // ok: writing to a `String` does not fail.
    written.ok().map(|()| html)
}

fn is_shallow(html: &str) -> bool {
    let mut depth = 0_usize;
    html.split('<').skip(1).all(|piece| {
        let tag = piece.split('>').next().unwrap_or_default();
        if tag.starts_with('/') {
            depth = depth.saturating_sub(1);
        } else if !tag.is_empty() && !tag.ends_with('/') {
            depth += 1;
        }
        depth <= DEEPEST
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{excerpt, plain};
    use super::limited;

    #[test]
    fn formulas_are_drawn_in_lines_and_as_blocks() {
        let html = plain("So $x^2$ and\n\n$$\n\\frac{1}{2}\n$$\n\n```math\n\\sqrt{y}\n```\n");
        let html = html.as_str();
        assert_eq!(html.matches("<math").count(), 3, "{html}");
        assert!(html.contains("<math display=\"inline\">"), "{html}");
        assert!(html.contains("<msup><mi>x</mi><mn>2</mn></msup>"), "{html}");
        assert_eq!(html.matches("<span class=\"formula\" tabindex=\"0\">").count(), 2, "{html}");
        assert!(html.contains("<mfrac>") && html.contains("<msqrt>"), "{html}");
        assert!(!html.contains('$') && !html.contains("<pre"), "{html}");
    }

    #[test]
    fn dollars_are_no_formula_where_they_are_money_or_a_variable() {
        for text in ["$5 or 6$", "US$5/US$ 6", "$HOME/$USER", "$5 and $6", "it costs 5$"] {
            let html = plain(text);
            assert!(!html.as_str().contains("<math"), "{html}");
            assert!(html.as_str().contains(text), "{html}");
        }
        // The address of a heading is made of its words.
        assert_eq!(plain("# About $x$").as_str(), "<h2>About $x$</h2>\n");
        assert_eq!(excerpt("So $x^2$, or $5 or 6$.", 80), "So x^2, or $5 or 6$.");
    }

    #[test]
    fn no_length_in_a_formula_widens_a_page() {
        for (length, shown) in [("100000em", "20em"), ("1000in", "20em"), ("2em", "2em")] {
            for text in [format!("$a\\hspace{{{length}}}b$"), format!("$$a\\kern{length} b$$")] {
                let html = plain(&text);
                assert!(html.as_str().contains(&format!("<mspace width=\"{shown}\"")), "{html}");
            }
        }
        assert_eq!(limited("-99em").as_deref(), Some("-20em"));
        assert_eq!(limited("0").as_deref(), Some("0"));
        for wrong in ["", "em", "infem", "1e9px", "1vw", "100"] {
            assert_eq!(limited(wrong), None, "{wrong}");
        }
        // A wide formula in a line has its own scrollbar.
        let wide = format!("So $x{}$ it is.", "+x".repeat(50));
        for (text, focus) in [("So $x^2$ it is.", ""), (wide.as_str(), " tabindex=\"0\"")] {
            let (html, span) =
                (plain(text), format!("<span class=\"formula-inline\"{focus}><math"));
            assert!(html.as_str().contains(&span), "{html}");
        }
    }

    #[test]
    fn a_formula_that_cannot_be_read_is_shown_as_typed() {
        let long = format!("${}$", "x".repeat(3_000));
        let deep = format!("${}x{}$", "\\sqrt{".repeat(80), "}".repeat(80));
        for text in ["$\\frac{1$", "$\\def\\a{b}\\a$", long.as_str(), deep.as_str()] {
            let html = plain(text);
            assert!(html.as_str().contains(&format!("<code>{text}</code>")), "{html}");
        }
    }

    proptest! {
        #[test]
        fn no_formula_breaks_a_page(
            parts in prop::collection::vec(
                prop::sample::select(&[
                    "x", "1", " ", "{", "}", "^", "_", "&", "<", ">", "'", "\"", "\\\\", "\\frac", "\\sqrt",
                    "\\left(", "\\right)", "\\begin{matrix}", "\\end{matrix}", "\\begin{align}",
                    "\\end{align}", "\\text{<script>x</script>}", "\\sum", "\\not", "\\color{red}", "\\hline",
                    "\\begin{array}{c|c}", "\\end{array}", "\\over", "\\middle|", "\\ ", "[", "]", "é", "∑", "%",
                ][..]),
                0..14,
            )
        ) {
            let html = plain(&format!("a $${}$$ b", parts.concat()));
            prop_assert!(!html.as_str().contains("<script") && !html.as_str().contains(" style="), "{html}");
            prop_assert!(html.as_str().ends_with("</p>\n"), "{html}");
        }
    }
}
