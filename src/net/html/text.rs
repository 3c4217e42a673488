//! Converts cleaned HTML to plain text: blocks on separate lines, white space as rendered.

use super::clean::Cleaned;
use super::scan::{Scanner, Token, unescape};

/// The text of a cleaned page.
pub fn plain(cleaned: &Cleaned) -> String {
    let mut writer = Writer::default();
    for token in Scanner::new(&cleaned.html) {
        match token {
            Token::Text(text) => writer.text(&unescape(text)),
            Token::Open(tag) => writer.start(&tag.name),
            Token::Close(name) => writer.end(&name),
            Token::Raw(..) => {}
        }
    }
    writer.out.truncate(writer.out.trim_end().len());
    writer.out
}

#[derive(Default)]
struct Writer {
    out: String,
    preformatted: usize,
    /// Pending white space. Written only if more text follows on the line.
    space: bool,
}

impl Writer {
    fn text(&mut self, text: &str) {
        if self.preformatted != 0 {
            self.out.push_str(text);
            return;
        }
        for c in text.chars() {
            if c.is_whitespace() {
                self.space = true;
                continue;
            }
            if std::mem::take(&mut self.space)
                && !self.out.is_empty()
                && !self.out.ends_with(['\n', ' ', '\t'])
            {
                self.out.push(' ');
            }
            self.out.push(c);
        }
    }

    fn start(&mut self, name: &str) {
        match name {
            "br" => self.line(1),
            "li" => {
                self.line(1);
                self.out.push_str("- ");
            }
            "td" | "th" => {
                if !self.out.ends_with('\n') && !self.out.is_empty() {
                    self.out.push('\t');
                }
                self.space = false;
            }
            "tr" | "div" | "ul" | "ol" => self.line(1),
            "p" | "pre" | "table" | "blockquote" | "hr" => self.line(2),
            _ if is_heading(name) => self.line(2),
            _ => {}
        }
        self.preformatted += usize::from(name == "pre");
    }

    fn end(&mut self, name: &str) {
        self.preformatted -= usize::from(name == "pre");
        match name {
            "li" | "tr" | "div" | "ul" | "ol" | "caption" => self.line(1),
            "p" | "pre" | "table" | "blockquote" => self.line(2),
            _ if is_heading(name) => self.line(2),
            _ => {}
        }
    }

    /// Ends the line with `count` line ends.
    fn line(&mut self, count: usize) {
        self.space = false;
        if self.preformatted != 0 {
            self.out.push('\n');
            return;
        }
        // A paragraph within a list item stays on the line of its bullet.
        if self.out.is_empty() || self.out.ends_with("\n- ") || self.out == "- " {
            return;
        }
        let kept = self.out.trim_end_matches([' ', '\t']).len();
        self.out.truncate(kept);
        let there = self.out.len() - self.out.trim_end_matches('\n').len();
        self.out.push_str(&"\n".repeat(count.saturating_sub(there)));
    }
}

fn is_heading(name: &str) -> bool {
    matches!(name, "h1" | "h2" | "h3" | "h4" | "h5" | "h6")
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;
    use crate::html::clean::clean;

    fn text(page: &str) -> String {
        plain(&clean(page, &Url::parse("https://example.com/").unwrap()))
    }

    #[test]
    fn blocks_stand_on_lines_of_their_own() {
        for (page, expected) in [
            (
                "<h1>Title</h1>\n<p>One\n  two</p><p>Three<br>four</p>",
                "Title\n\nOne two\n\nThree\nfour",
            ),
            ("<ul><li>a</li><li><p>b</p></li></ul>c", "- a\n- b\n\nc"),
            (
                "<table><tr><th>a</th><th>b</th></tr><tr><td>1</td><td>2</td></tr></table>",
                "a\tb\n1\t2",
            ),
            ("<pre>a\n  b &lt;c&gt;\n\n\nd</pre>e", "a\n  b <c>\n\n\nd\n\ne"),
            ("a <b> b </b> c<i>d</i>", "a b cd"),
            ("<div><div><div>x</div></div></div><div>y</div>", "x\ny"),
            ("caf&eacute; &amp; <a href=/x>link</a>", "café & link"),
            ("", ""),
        ] {
            assert_eq!(text(page), expected, "{page}");
        }
    }
}
