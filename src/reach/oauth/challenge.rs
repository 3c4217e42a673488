//! The `WWW-Authenticate` header of a refusal (RFC 9110, RFC 6750, RFC 9728).

use mcp::client::McpError;

/// Longest value of a parameter that is kept.
const MAX_VALUE: usize = 2_000;

/// The sign-in that a server requires.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Challenge {
    /// Address of the server's metadata; empty if it names none.
    pub metadata: String,
    /// Separated by spaces.
    pub scopes: String,
    /// The sign-in is valid but lacks rights.
    pub is_step_up: bool,
}

impl Challenge {
    /// The challenge of a refusal; `None` for other errors.
    pub fn of(error: &McpError) -> Option<Self> {
        match error {
            McpError::Before(error) => Self::of(error),
            McpError::Unauthorized { www_authenticate } => {
                let header = www_authenticate.as_deref().unwrap_or_default();
                Some(Self { is_step_up: false, ..Self::parse(header) })
            }
            McpError::Forbidden { www_authenticate } => {
                let header = www_authenticate.as_deref().unwrap_or_default();
                Some(Self::parse(header)).filter(|challenge| challenge.is_step_up)
            }
            _ => None,
        }
    }

    fn parse(header: &str) -> Self {
        let mut challenge = Self::default();
        let mut is_bearer = false;
        for part in parts(header) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let (scheme, name) = match name.trim().rsplit_once(char::is_whitespace) {
                Some((scheme, name)) => (Some(scheme), name),
                None if value.is_empty() => (Some(name), ""),
                None => (None, name.trim()),
            };
            if let Some(scheme) = scheme {
                is_bearer = scheme.trim().eq_ignore_ascii_case("bearer");
            }
            let value = unquoted(value.trim());
            if !is_bearer || MAX_VALUE < value.len() || value.chars().any(char::is_control) {
                continue;
            }
            match name.to_ascii_lowercase().as_str() {
                "resource_metadata" => challenge.metadata = value,
                "scope" => challenge.scopes = value,
                "error" => challenge.is_step_up = value == "insufficient_scope",
                _ => {}
            }
        }
        challenge
    }
}

/// The parts between commas outside of quotes.
fn parts(header: &str) -> Vec<&str> {
    let (mut parts, mut from, mut is_quoted, mut is_escaped) = (Vec::new(), 0, false, false);
    for (at, sign) in header.char_indices() {
        match sign {
            _ if is_escaped => is_escaped = false,
            '\\' if is_quoted => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => {
                parts.push(header[from..at].trim());
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(header[from..].trim());
    parts.retain(|part| !part.is_empty());
    parts
}

fn unquoted(value: &str) -> String {
    let Some(inner) = value.strip_prefix('"').and_then(|text| text.strip_suffix('"')) else {
        return value.to_owned();
    };
    let (mut out, mut is_escaped) = (String::new(), false);
    for sign in inner.chars() {
        match sign {
            '\\' if !is_escaped => is_escaped = true,
            sign => {
                out.push(sign);
                is_escaped = false;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use mcp::client::McpError;

    use super::Challenge;

    #[test]
    fn the_bearer_challenge_is_found_among_others() {
        let header = r#"Basic realm="a, b", Bearer realm="x \"y\", z", error="insufficient_scope",
            scope="files:read files:write", resource_metadata="https://a.example/meta", Negotiate"#;
        let challenge = Challenge::parse(header);
        assert_eq!(challenge.metadata, "https://a.example/meta");
        assert_eq!(challenge.scopes, "files:read files:write");
        assert!(challenge.is_step_up);
        assert_eq!(Challenge::parse("Bearer"), Challenge::default());
        assert_eq!(Challenge::parse("bearer scope=a").scopes, "a");
        assert_eq!(Challenge::parse("Digest scope=a"), Challenge::default());
        assert_eq!(Challenge::parse(""), Challenge::default());
    }

    #[test]
    fn only_refusals_for_lack_of_rights_are_challenges() {
        let forbidden =
            |header: &str| McpError::Forbidden { www_authenticate: Some(header.into()) };
        assert!(Challenge::of(&forbidden("Bearer error=\"insufficient_scope\"")).is_some());
        assert!(Challenge::of(&forbidden("Bearer realm=\"x\"")).is_none());
        let before = McpError::Before(Box::new(McpError::Unauthorized { www_authenticate: None }));
        assert_eq!(Challenge::of(&before), Some(Challenge::default()));
    }
}
