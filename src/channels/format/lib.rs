//! Markdown for messengers: chunks within a platform's limit, and each platform's form of them.

mod document;
mod split;
mod table;
mod write;

#[cfg(test)]
mod tests;

use write::Form;

/// A messenger whose formatting is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Platform {
    Telegram,
    Discord,
    Slack,
    /// A bridge, which gets the Markdown itself.
    Bridge,
}

impl Platform {
    /// Maximum length of a rendered text: UTF-16 units on Telegram, characters elsewhere.
    pub fn limit(self) -> usize {
        match self {
            Platform::Telegram | Platform::Bridge => 4000,
            Platform::Discord => 1900,
            Platform::Slack => 3500,
        }
    }
}

/// Text with entities as the Bot API expects them. Offsets and lengths are in UTF-16 units; nothing is escaped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TelegramText {
    pub text: String,
    pub entities: Vec<TelegramEntity>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TelegramEntity {
    pub kind: &'static str,
    pub offset: usize,
    pub length: usize,
    pub url: Option<String>,
    pub language: Option<String>,
}

/// Splits Markdown into parts that each render within the limit. Splits between blocks first, then lines, then words. A
/// code block that is cut continues in a new fence of the same language. Text without content gives no parts.
pub fn chunks(markdown: &str, platform: Platform) -> Vec<String> {
    split::chunks(markdown, platform)
}

/// Renders Markdown as text with entities.
pub fn telegram(markdown: &str) -> TelegramText {
    let written = write::all(&document::parse(markdown), Form::Telegram);
    TelegramText { text: written.out, entities: written.entities }
}

/// Renders Markdown in Discord's dialect. Mentions notify nobody, and links have no previews.
pub fn discord(markdown: &str) -> String {
    write::all(&document::parse(markdown), Form::Discord).out
}

/// Renders Markdown as Slack's mrkdwn. Mentions notify nobody.
pub fn slack(markdown: &str) -> String {
    write::all(&document::parse(markdown), Form::Slack).out
}

/// Relative targets of links and images in Markdown, each once: paths of files.
pub fn paths(markdown: &str) -> Vec<String> {
    document::paths(markdown)
}

/// The text without formatting. It is raw: a platform that interprets it may find marks or mentions in it.
pub fn plain(markdown: &str) -> String {
    telegram(markdown).text
}
