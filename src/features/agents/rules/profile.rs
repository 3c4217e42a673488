//! Validation of an agent's role, domains and capabilities.

use super::AgentError;

/// Maximum length of a role, domain or capability in characters.
pub const MAX_WORDS: usize = 80;
/// Maximum number of domains, and of capabilities.
pub const MAX_LINES: usize = 12;

/// Validates a role, which may be empty.
///
/// # Errors
/// If it is too long or has more than one line.
pub fn good_role(role: &str) -> Result<String, AgentError> {
    good_words(role).ok_or(AgentError::BadRole)
}

/// Validates domains and removes duplicates.
///
/// # Errors
/// If there are too many or one is too long.
pub fn good_domains(domains: &[String]) -> Result<Vec<String>, AgentError> {
    good_lines(domains).ok_or(AgentError::BadDomains)
}

/// Validates capabilities and removes duplicates.
///
/// # Errors
/// If there are too many or one is too long.
pub fn good_capabilities(capabilities: &[String]) -> Result<Vec<String>, AgentError> {
    good_lines(capabilities).ok_or(AgentError::BadCapabilities)
}

/// Parses a list separated by commas or line breaks.
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
        // A comma would split the entry when it is edited as a list.
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
