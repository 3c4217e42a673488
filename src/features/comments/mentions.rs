//! Finds `@names` in Markdown. A mention starts at a word boundary and is neither in code nor in a quote, which repeats
//! an earlier mention.

/// Distinct mentioned names in lower case, in order.
#[must_use]
pub fn mentions(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut fence: Option<&str> = None;
    for line in text.lines() {
        let start = line.trim_start();
        let mark = ["```", "~~~"].into_iter().find(|mark| start.starts_with(mark));
        match (fence, mark) {
            (None, Some(mark)) => fence = Some(mark),
            (Some(open), Some(mark)) if open == mark => fence = None,
            (None, None) if !start.starts_with('>') => in_line(line, &mut found),
            _ => {}
        }
    }
    found
}

fn in_line(line: &str, found: &mut Vec<String>) {
    let bytes = line.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'`' => at = after_code(bytes, at),
            b'@' if is_boundary(line, at) => {
                let name = name_at(&line[at + 1..]);
                let lower = name.to_ascii_lowercase();
                if !lower.is_empty() && !found.contains(&lower) {
                    found.push(lower);
                }
                at += 1 + name.len();
            }
            _ => at += 1,
        }
    }
}

/// Position after a code span, or after the backticks if they are not closed.
fn after_code(bytes: &[u8], at: usize) -> usize {
    let ticks = bytes[at..].iter().take_while(|b| **b == b'`').count();
    let mut next = at + ticks;
    while next < bytes.len() {
        let run = bytes[next..].iter().take_while(|b| **b == b'`').count();
        if run == ticks {
            return next + run;
        }
        next += run.max(1);
    }
    at + ticks
}

fn is_boundary(line: &str, at: usize) -> bool {
    let before = line[..at].chars().next_back();
    before.is_none_or(|c| !(c.is_alphanumeric() || "_-.@/\\".contains(c)))
}

fn name_at(rest: &str) -> &str {
    let end = rest
        .find(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_'))
        .unwrap_or(rest.len());
    rest[..end].trim_end_matches(['-', '_'])
}

#[cfg(test)]
mod tests {
    use super::mentions;

    #[test]
    fn names_are_found_once_and_in_order() {
        assert_eq!(mentions("@Ada and (@otto-2), again @ada."), ["ada", "otto-2"]);
        assert_eq!(mentions("„@ada“ **@otto**\n@juno-"), ["ada", "otto", "juno"]);
    }

    #[test]
    fn an_address_is_no_mention() {
        assert_eq!(mentions("mail mira@ada.example or x.@ada, @@ada, a/@b"), [""; 0]);
        assert_eq!(mentions("@ alone and @-"), [""; 0]);
    }

    #[test]
    fn a_quote_mentions_nobody() {
        assert_eq!(mentions("> **Mira:**\n> @ada look\n\nI ask @otto > @kit"), ["otto", "kit"]);
    }

    #[test]
    fn code_mentions_nobody() {
        assert_eq!(mentions("run `npm i @ada` and ``a ` @otto`` but @juno"), ["juno"]);
        assert_eq!(mentions("```\n@ada\n```\n@otto\n~~~\n@kit"), ["otto"]);
        assert_eq!(mentions("an open ` tick @ada"), ["ada"]);
    }
}
