//! Markdown for messengers: chunks within a platform's limit, and each platform's form of them.

/// A messenger whose formatting is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Platform {
    Telegram,
    Discord,
    Slack,
}

/// Text and formatting of a Telegram message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TelegramText {
    pub text: String,
    pub entities: Vec<TelegramEntity>,
}

/// Formatting of a part of the text; offset and length count UTF-16 units.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TelegramEntity {
    pub kind: &'static str,
    pub offset: usize,
    pub length: usize,
    pub url: Option<String>,
    pub language: Option<String>,
}

/// Stub until the formatter is merged: marks `**bold**` around the whole text only.
pub fn telegram(markdown: &str) -> TelegramText {
    let inner = markdown.strip_prefix("**").and_then(|rest| rest.strip_suffix("**"));
    let text = inner.unwrap_or(markdown).to_owned();
    let length = text.encode_utf16().count();
    let bold = TelegramEntity { kind: "bold", offset: 0, length, url: None, language: None };
    let entities = inner.is_some().then_some(bold).into_iter().collect();
    TelegramText { text, entities }
}

/// Stub until the formatter is merged.
pub fn plain(markdown: &str) -> String {
    telegram(markdown).text
}
