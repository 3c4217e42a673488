//! What an agent is said to be and to do, and which version of its template it has.

use super::AgentError;

/// The longest role, domain and capability, in characters.
pub const MAX_WORDS: usize = 80;
/// The most domains, and the most capabilities.
pub const MAX_LINES: usize = 12;

/// A role that an agent may have; it may be empty.
///
/// # Errors
/// When it is too long or more than a line.
pub fn good_role(role: &str) -> Result<String, AgentError> {
    good_words(role).ok_or(AgentError::BadRole)
}

/// What an agent may answer for. What is named twice is kept once.
///
/// # Errors
/// When there are too many, or one is too long.
pub fn good_domains(domains: &[String]) -> Result<Vec<String>, AgentError> {
    good_lines(domains).ok_or(AgentError::BadDomains)
}

/// What an agent may be able to do. What is named twice is kept once.
///
/// # Errors
/// When there are too many, or one is too long.
pub fn good_capabilities(capabilities: &[String]) -> Result<Vec<String>, AgentError> {
    good_lines(capabilities).ok_or(AgentError::BadCapabilities)
}

/// A list as people write it: with commas, or one a line.
#[must_use]
pub fn listed(text: &str) -> Vec<String> {
    text.split([',', '\n'])
        .map(str::trim)
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

fn good_lines(lines: &[String]) -> Option<Vec<String>> {
    let mut good: Vec<String> = Vec::new();
    for line in lines {
        let line = good_words(line)?;
        // A comma would make two of it where it is edited as a list.
        if line.contains(',') {
            return None;
        }
        if !line.is_empty() && !good.contains(&line) {
            good.push(line);
        }
    }
    (good.len() <= MAX_LINES).then_some(good)
}

fn good_words(words: &str) -> Option<String> {
    let words = words.trim();
    let fits = words.chars().count() <= MAX_WORDS && !words.chars().any(char::is_control);
    fits.then(|| words.to_owned())
}

#[cfg(test)]
mod tests {
    use super::{MAX_LINES, good_domains, good_role, listed};

    #[test]
    fn a_list_is_short_and_names_each_once() {
        let words = listed("prices, rivals\nprices,,\n  rules ");
        assert_eq!(words, ["prices", "rivals", "prices", "rules"]);
        assert_eq!(good_domains(&words).unwrap(), ["prices", "rivals", "rules"]);
        let many: Vec<String> = (0..=MAX_LINES).map(|n| n.to_string()).collect();
        assert!(good_domains(&many).is_err() && good_domains(&many[1..]).is_ok());
        assert!(good_domains(&["a, b".to_owned()]).is_err());
        assert!(good_domains(&["x".repeat(81)]).is_err());
    }

    #[test]
    fn a_role_is_one_line_or_none() {
        assert_eq!(good_role(" editor ").unwrap(), "editor");
        assert_eq!(good_role("").unwrap(), "");
        assert!(good_role("a\nb").is_err());
    }
}
