//! Program output as a terminal shows it: colours and overwritten lines. Other control sequences are removed.

use crate::html::{SafeHtml, escape};

/// Style of text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Ink {
    colour: &'static str,
    bold: bool,
}

/// The text without control sequences.
#[must_use]
pub fn plain(text: &str) -> String {
    pieces(text).into_iter().map(|(_, text)| text).collect()
}

/// The text with colours, for `ui::terminal`.
#[must_use]
pub fn html(text: &str) -> SafeHtml {
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    for (ink, text) in pieces(text) {
        if ink == Ink::default() {
            out.push_str(&escape(&text));
            continue;
        }
        out.push_str("<span");
        if !ink.colour.is_empty() {
            out.push_str(" data-ink=\"");
            out.push_str(ink.colour);
            out.push('"');
        }
        if ink.bold {
            out.push_str(" data-bold");
        }
        out.push('>');
        out.push_str(&escape(&text));
        out.push_str("</span>");
    }
    SafeHtml::vouched(out)
}

/// Runs of text with the same style. A line that was overwritten is shown in its final state.
fn pieces(text: &str) -> Vec<(Ink, String)> {
    let mut all: Vec<(Ink, String)> = Vec::new();
    let mut ink = Ink::default();
    for line in text.split_inclusive('\n') {
        let (line, end) = line.strip_suffix('\n').map_or((line, ""), |line| (line, "\n"));
        let line = line.strip_suffix('\r').unwrap_or(line);
        let line = line.rsplit('\r').find(|part| !part.is_empty()).unwrap_or_default();
        draw(line, &mut ink, &mut all);
        add(ink, end, &mut all);
    }
    all
}

fn add(ink: Ink, text: &str, all: &mut Vec<(Ink, String)>) {
    match all.last_mut().filter(|(last, _)| *last == ink) {
        Some((_, before)) => before.push_str(text),
        None if text.is_empty() => {}
        None => all.push((ink, text.to_owned())),
    }
}

fn draw(line: &str, ink: &mut Ink, all: &mut Vec<(Ink, String)>) {
    let mut rest = line;
    while let Some((before, sign)) = rest.split_once('\u{1b}') {
        add(*ink, &letters(before), all);
        rest = after(sign, ink);
    }
    add(*ink, &letters(rest), all);
}

fn letters(text: &str) -> String {
    text.chars().filter(|c| *c == '\t' || !c.is_control()).collect()
}

/// Processes the escape sequence at the start of `sign` and returns the rest.
fn after<'t>(sign: &'t str, ink: &mut Ink) -> &'t str {
    if let Some(body) = sign.strip_prefix('[') {
        let end = body.find(|c: char| ('@'..='~').contains(&c));
        let Some((codes, rest)) = end.map(|end| body.split_at(end)) else { return "" };
        if rest.starts_with('m') {
            colour(codes, ink);
        }
        return rest.get(1..).unwrap_or_default();
    }
    if let Some(body) = sign.strip_prefix(']') {
        // A title or link ends at the bell, or at the next escape.
        return body.split_once('\u{7}').map_or("", |(_, rest)| rest);
    }
    let mut chars = sign.chars();
    chars.next();
    chars.as_str()
}

fn colour(codes: &str, ink: &mut Ink) {
    let mut codes = codes.split([';', ':']).map(|code| code.parse::<u8>().unwrap_or(0));
    while let Some(code) = codes.next() {
        match code {
            0 => *ink = Ink::default(),
            1 => ink.bold = true,
            22 => ink.bold = false,
            2 | 30 | 90 => ink.colour = "dim",
            31 | 91 => ink.colour = "red",
            32 | 92 => ink.colour = "green",
            33 | 93 => ink.colour = "yellow",
            34 | 94 => ink.colour = "blue",
            35 | 95 => ink.colour = "magenta",
            36 | 96 => ink.colour = "cyan",
            37 | 39 | 97 => ink.colour = "",
            // Indexed and RGB colours are ignored: they would be unreadable in one of the two themes.
            38 | 48 => {
                let skip = if codes.next() == Some(5) { 1 } else { 3 };
                codes.by_ref().take(skip).for_each(drop);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{html, plain};

    #[test]
    fn colours_are_shown_and_all_other_signs_are_left_out() {
        let text = "\u{1b}[1;32mok\u{1b}[0m <b>\u{1b}[2K\u{1b}]0;title\u{7}\u{1b}(Bdone\u{8}\n";
        assert_eq!(plain(text), "ok <b>Bdone\n");
        let shown = "<span data-ink=\"green\" data-bold>ok</span> &lt;b&gt;Bdone\n";
        assert_eq!(html(text).as_str(), shown);
        assert_eq!(plain("\u{1b}[38;5;208mwarm\u{1b}[m \u{1b}[31"), "warm ");
    }

    #[test]
    fn a_line_that_is_written_over_is_shown_as_it_was_in_the_end() {
        assert_eq!(plain("10 %\r50 %\r100 %\r\nready\r\n"), "100 %\nready\n");
        assert_eq!(plain("a\n\nb"), "a\n\nb");
    }
}
