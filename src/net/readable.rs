//! Converts a server's response to text for a model: decodes characters, extracts the readable part of a page as
//! Markdown or plain text, keeps other text unchanged, and rejects the rest with a clear error.
//!
//! Takes up to some hundred milliseconds for a large page: call it from a blocking task.

use encoding_rs::Encoding;
use htmd::HtmlToMarkdown;
use htmd::options::{BulletListMarker, HrStyle, Options};
use url::Url;

use kernel::problem::{Problem, ProblemKind};
use sheet::encoding::{self, Hint};

use super::html::clean::{self, Part};
use super::html::scan::{Scanner, Tag, Token, unescape};
use super::html::text;

/// Number of bytes searched for an encoding declaration.
const HEAD: usize = 4096;
/// Number of bytes inspected to detect the type of data.
const SNIFF: usize = 1024;

/// Output format of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// Markdown with headings, links, lists and tables.
    Markdown,
    /// Plain text.
    Text,
}

/// How the text was obtained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extractor {
    /// From a part of a page.
    Page(Part),
    /// Plain text, unchanged.
    Plain,
    /// Markdown as the server sent it.
    Markdown,
    /// Extracted from a document.
    Document,
}

impl Extractor {
    /// Stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Extractor::Page(Part::Main) => "main",
            Extractor::Page(Part::Article) => "article",
            Extractor::Page(Part::Body) => "body",
            Extractor::Page(Part::Everything) => "everything",
            Extractor::Plain => "plain",
            Extractor::Markdown => "markdown",
            Extractor::Document => "document",
        }
    }
}

/// Input of the conversion.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// Decompressed response body.
    pub body: &'a [u8],
    /// Content type header.
    pub content_type: Option<&'a str>,
    /// URL of the response, to resolve relative links.
    pub url: &'a Url,
}

/// The extracted text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Readable {
    pub title: Option<String>,
    /// The text, cut at the limit.
    pub text: String,
    /// Number of characters before the cut.
    pub chars: usize,
    /// Whether the text was cut.
    pub truncated: bool,
    pub extractor: Extractor,
}

/// Why there is no text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// An image, an archive, a program or similar.
    #[error("the address returned {content_type}, which isn't text; fetch a page or a text file")]
    NotText {
        /// Declared content type.
        content_type: String,
    },
    /// The converter failed.
    #[error("the page can't be converted; fetch it as plain text")]
    Unconvertible,
}

impl Problem for ReadError {
    fn code(&self) -> &'static str {
        match self {
            Self::NotText { .. } => "not_text",
            Self::Unconvertible => "page_unconvertible",
        }
    }

    fn kind(&self) -> ProblemKind {
        ProblemKind::Upstream
    }
}

/// Converts a source to text of at most `max_chars` characters.
pub fn read(source: Source<'_>, form: Form, max_chars: usize) -> Result<Readable, ReadError> {
    let kind = kind_of(source)?;
    let decoded = decode(source.body, source.content_type, kind);
    let (title, text, extractor) = match kind {
        Kind::Text if is_markdown(&essence(source.content_type)) => {
            (None, decoded, Extractor::Markdown)
        }
        Kind::Text => (None, decoded, Extractor::Plain),
        Kind::Page => {
            let cleaned = clean::clean(&decoded, source.url);
            let text = match form {
                Form::Text => text::plain(&cleaned),
                Form::Markdown => markdown(&cleaned.html)?,
            };
            (cleaned.title, text, Extractor::Page(cleaned.part))
        }
    };
    Ok(Readable::of(title, &text, extractor, max_chars))
}

/// The address of the Markdown version that a page declares in its head, if it has the same origin. Only the first such
/// link counts.
#[must_use]
pub fn markdown_link(source: Source<'_>) -> Option<Url> {
    if kind_of(source).ok()? != Kind::Page {
        return None;
    }
    let page = decode(source.body, source.content_type, Kind::Page);
    let target = Scanner::new(&page)
        .take_while(|token| !matches!(token, Token::Open(tag) if tag.name == "body"))
        .find_map(|token| match token {
            Token::Open(tag) if is_markdown_link(&tag) => tag.get("href").map(unescape),
            _ => None,
        })?;
    let mut target = source.url.join(target.trim()).ok()?;
    target.set_fragment(None);
    let mut own = source.url.clone();
    own.set_fragment(None);
    (target.origin() == own.origin() && target != own).then_some(target)
}

fn is_markdown_link(tag: &Tag<'_>) -> bool {
    let rel = tag.get("rel").unwrap_or_default();
    tag.name == "link"
        && rel.split_ascii_whitespace().any(|word| word.eq_ignore_ascii_case("alternate"))
        && is_markdown(&essence(tag.get("type")))
}

impl Readable {
    /// A text of at most `max_chars` characters.
    pub fn of(
        title: Option<String>,
        text: &str,
        extractor: Extractor,
        max_chars: usize,
    ) -> Readable {
        let text = text.trim();
        let (chars, shown) = (text.chars().count(), cut(text, max_chars));
        let truncated = shown.len() < text.len();
        Readable { title, text: shown.to_owned(), chars, truncated, extractor }
    }
}

fn markdown(html: &str) -> Result<String, ReadError> {
    let options = Options {
        hr_style: HrStyle::Dashes,
        bullet_list_marker: BulletListMarker::Dash,
        ul_bullet_spacing: 1,
        ol_number_spacing: 1,
        ..Options::default()
    };
    let converter = HtmlToMarkdown::builder().options(options).build();
    converter.convert(html).or(Err(ReadError::Unconvertible))
}

/// The first `max_chars` characters. Cuts at a line end if one is near.
fn cut(text: &str, max_chars: usize) -> &str {
    let Some((end, _)) = text.char_indices().nth(max_chars) else { return text };
    let whole = &text[..end];
    match whole.rfind('\n') {
        Some(line) if end - end / 10 <= line => &whole[..line],
        Some(_) | None => whole,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Page,
    Text,
}

fn kind_of(source: Source<'_>) -> Result<Kind, ReadError> {
    let media = essence(source.content_type);
    let refused = || ReadError::NotText {
        content_type: if media.is_empty() {
            "data without a type".to_owned()
        } else {
            media.clone()
        },
    };
    let looks_binary = is_binary(source.body);
    match media.as_str() {
        "text/html" | "application/xhtml+xml" if !looks_binary => Ok(Kind::Page),
        "" | "application/octet-stream" | "binary/octet-stream" if !looks_binary => {
            Ok(if is_page(source.body) { Kind::Page } else { Kind::Text })
        }
        // Some servers declare an error page or an unconverted page as Markdown.
        other if is_markdown(other) && !looks_binary && is_page(source.body) => Ok(Kind::Page),
        other if is_text(other) && !looks_binary => Ok(Kind::Text),
        _ => Err(refused()),
    }
}

/// The media type without parameters, in lower case.
fn essence(content_type: Option<&str>) -> String {
    let media = content_type.unwrap_or_default().split(';').next().unwrap_or_default();
    media.trim().to_ascii_lowercase()
}

fn is_markdown(essence: &str) -> bool {
    ["text/markdown", "text/x-markdown"].contains(&essence)
}

fn is_text(essence: &str) -> bool {
    const TEXTS: [&str; 14] = [
        "application/json",
        "application/ld+json",
        "application/xml",
        "application/javascript",
        "application/x-javascript",
        "application/ecmascript",
        "application/yaml",
        "application/x-yaml",
        "application/toml",
        "application/x-ndjson",
        "application/jsonl",
        "application/sql",
        "application/graphql",
        "application/x-sh",
    ];
    essence.starts_with("text/")
        || essence.ends_with("+json")
        || essence.ends_with("+xml")
        || TEXTS.contains(&essence)
}

/// Text has few control characters, and zero bytes only in UTF-16.
fn is_binary(body: &[u8]) -> bool {
    !encoding::is_text(&body[..body.len().min(SNIFF)])
}

/// Whether a body begins like an HTML page.
pub(super) fn is_page(body: &[u8]) -> bool {
    let head = String::from_utf8_lossy(&body[..body.len().min(SNIFF)]).to_ascii_lowercase();
    let head = head.trim_start_matches('\u{feff}').trim_start();
    ["<!doctype html", "<html", "<head", "<body"].iter().any(|start| head.starts_with(start))
}

/// Decodes a body by its byte order mark, the header, the page's own declaration, or detection, in this order. A header
/// that does not fit is ignored.
fn decode(body: &[u8], content_type: Option<&str>, kind: Kind) -> String {
    let declared = content_type.and_then(|declared| label_after(declared.as_bytes()));
    if let Some(declared) = declared.filter(|_| Encoding::for_bom(body).is_none())
        && let Some(text) = declared.decode_without_bom_handling_and_without_replacement(body)
    {
        return text.into_owned();
    }
    let named = match kind {
        Kind::Page => label_after(&body[..body.len().min(HEAD)]),
        Kind::Text => None,
    };
    let hint = Hint { named: named.map(Encoding::name), is_cut: true, ..Hint::default() };
    match encoding::decode(body, hint) {
        Ok(decoded) => decoded.text,
        // Undecodable characters are shown as replacement characters rather than guessed.
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    }
}

/// The encoding named after the first `charset=` (or `encoding=`, as in XML).
fn label_after(bytes: &[u8]) -> Option<&'static Encoding> {
    let text = String::from_utf8_lossy(bytes).to_ascii_lowercase();
    ["charset", "encoding"].into_iter().find_map(|word| {
        text.match_indices(word).find_map(|(at, _)| {
            let rest = text[at + word.len()..].trim_start().strip_prefix('=')?;
            let rest = rest.trim_start().trim_start_matches(['"', '\'']);
            let end = rest.find(|c: char| c.is_ascii_whitespace() || "\"';>?/".contains(c));
            Encoding::for_label(&rest.as_bytes()[..end.unwrap_or(rest.len())])
        })
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert, proptest};

    use super::*;

    proptest! {
        #[test]
        fn any_page_is_read_and_cut_between_two_characters(
            text in "([ -~]|[äßİ京あ한אبก]|\u{a0}|\u{2003}|\u{3000}|\u{2028}|\u{301}|\u{200d}|\u{1f469}|\u{202e}|\n|\t|\u{c}|[.!?。#<>&;@`*_|/-]){0,300}",
            max in 0_usize..200,
        ) {
            prop_assert!(cut(&text, max).chars().count() <= max);
            drop(crate::html::scan::unescape(&text));
            let url: Url = "https://example.com/".parse().expect("an address");
            for kind in ["text/html", "text/plain", "application/json"] {
                let page = source(text.as_bytes(), Some(kind), &url);
                for form in [Form::Markdown, Form::Text] {
                    // ok: unreadable input is refused; the call must not panic
                    let _ = read(page, form, max);
                }
            }
        }
    }

    fn source<'a>(body: &'a [u8], content_type: Option<&'a str>, url: &'a Url) -> Source<'a> {
        Source { body, content_type, url }
    }

    fn read_as(body: &[u8], content_type: Option<&str>) -> Result<Readable, ReadError> {
        let url = Url::parse("https://example.com/dir/page").unwrap();
        read(source(body, content_type, &url), Form::Markdown, 20_000)
    }

    fn markdown_of(page: &str) -> String {
        read_as(page.as_bytes(), Some("text/html; charset=utf-8")).unwrap().text
    }

    #[test]
    fn a_page_becomes_markdown() {
        let page = "<!doctype html><title>T</title><nav>skip</nav><h1>Head</h1><p>One <b>bold</b> and \
            <a href='/x'>a link</a>.</p><ul><li>a</li><li>b<ul><li>c</li></ul></li></ul>\
            <ol><li>x</li><li>y</li></ol><pre><code>let a = 1;\nlet b = 2;</code></pre>\
            <blockquote>said</blockquote><hr>\
            <table><tr><th>k</th><th>v</th></tr><tr><td>1</td><td>2</td></tr></table>";
        let text = markdown_of(page);
        for part in [
            "# Head\n\n",
            "One **bold** and [a link](https://example.com/x).",
            "- a\n- b",
            "1. x\n2. y",
            "```\nlet a = 1;\nlet b = 2;\n```",
            "> said",
            "- - -",
        ] {
            assert!(text.contains(part), "{part:?} is missing in\n{text}");
        }
        assert!(!text.contains("skip"));
        assert!(text.lines().any(|line| line.starts_with('|') && line.contains('k')), "{text}");
    }

    #[test]
    fn a_page_can_be_had_as_plain_text() {
        let url = Url::parse("https://example.com/").unwrap();
        let page = b"<title>T</title><h1>Head</h1><p>One <b>bold</b></p>";
        let found = read(source(page, Some("text/html"), &url), Form::Text, 100).unwrap();
        assert_eq!(found.text, "Head\n\nOne bold");
        assert_eq!(found.title.as_deref(), Some("T"));
        assert_eq!((found.chars, found.truncated, found.extractor.as_str()), (14, false, "body"));
    }

    #[test]
    fn other_texts_stay_as_they_are() {
        for (kind, body) in [
            ("application/json", "{\"a\": \"<b>\"}"),
            ("text/plain; charset=utf-8", "a < b\n\n\n\tc"),
            ("TEXT/MARKDOWN", "# x\n<p>y</p>"),
            ("application/problem+json", "{}"),
            ("application/rss+xml", "<rss/>"),
            ("text/csv", "a,b"),
        ] {
            let found = read_as(body.as_bytes(), Some(kind)).unwrap();
            let expected = if kind == "TEXT/MARKDOWN" { "markdown" } else { "plain" };
            assert_eq!((found.text.as_str(), found.extractor.as_str()), (body, expected), "{kind}");
        }
    }

    #[test]
    fn what_is_no_text_is_named() {
        for (kind, body, shown) in [
            (Some("image/png"), b"\x89PNG\r\n\x1a\n".as_slice(), "image/png"),
            (Some("application/pdf"), b"%PDF-1.7", "application/pdf"),
            (Some("application/zip; x=y"), b"PK\x03\x04", "application/zip"),
            (
                Some("application/octet-stream"),
                b"\x7fELF\x02\x01\x01\0\0",
                "application/octet-stream",
            ),
            (Some("text/html"), b"\0\x01\x02\x03", "text/html"),
            (None, b"\x1f\x8b\x08\x00\x00", "data without a type"),
        ] {
            let error = read_as(body, kind).unwrap_err();
            assert_eq!(error, ReadError::NotText { content_type: shown.into() });
        }
    }

    #[test]
    fn without_a_type_the_content_decides() {
        assert_eq!(read_as(b" <!DOCTYPE HTML><p>x", None).unwrap().extractor.as_str(), "body");
        assert_eq!(read_as(b"just words", None).unwrap().extractor, Extractor::Plain);
        assert_eq!(read_as(b"", None).unwrap().text, "");
        assert_eq!(read_as(b"words", Some("application/octet-stream")).unwrap().text, "words");
    }

    #[test]
    fn characters_are_read_as_they_were_meant() {
        let utf16: Vec<u8> =
            [0xfeff].into_iter().chain("Grüße".encode_utf16()).flat_map(u16::to_le_bytes).collect();
        for (body, kind, expected) in [
            ("Grüße".as_bytes(), "text/plain", "Grüße"),
            (b"Gr\xfc\xdfe", "text/plain", "Grüße"),
            (b"\xef\xbb\xbfGr\xc3\xbc\xc3\x9fe", "text/plain; charset=iso-8859-1", "Grüße"),
            (b"\x83n\x83\x8d\x81[", "text/plain; charset=Shift_JIS", "ハロー"),
            (b"\xcf\xf0\xe8\xe2\xe5\xf2", "text/plain; charset=\"windows-1251\"", "Привет"),
            (b"<meta charset=windows-1251><p>\xcf\xf0\xe8\xe2\xe5\xf2", "text/html", "Привет"),
            (
                b"<meta http-equiv=x content='text/html; charset=koi8-r'><p>\xf0\xd2",
                "text/html",
                "Пр",
            ),
            (
                b"<?xml version='1.0' encoding='windows-1251'?><html><p>\xcf",
                "application/xhtml+xml",
                "П",
            ),
            (
                "<meta charset=utf-8><p>Имя и город".as_bytes(),
                "text/html; charset=us-ascii-or-so",
                "Имя и город",
            ),
            (b"caf\xe9 cr\xe8me", "text/plain; charset=utf-8", "café crème"),
            (b"\xcf\xf0\xe8\xe2\xe5\xf2, \xec\xe8\xf0", "text/plain", "Привет, мир"),
            (b"<p>\xcf\xf0\xe8\xe2\xe5\xf2, \xec\xe8\xf0", "text/html", "Привет, мир"),
            (b"G\0r\0\xfc\0\xdf\0e\0,\0 \0H\0Q\0", "text/plain", "Grüße, HQ"),
            (b"<meta charset=utf-16><p>\xc3\xbc", "text/html", "ü"),
            (b"<meta charset=nonsense><p>\xc3\xbc", "text/html", "ü"),
            (b"cut in the middle \xc3\xbc\xc3", "text/plain", "cut in the middle ü"),
            (&utf16, "text/plain", "Grüße"),
        ] {
            assert_eq!(read_as(body, Some(kind)).unwrap().text, expected, "{kind}");
        }
    }

    #[test]
    fn long_texts_are_cut_and_say_so() {
        let url = Url::parse("https://example.com/").unwrap();
        let body = "ä".repeat(50) + "\n" + &"b".repeat(50);
        let cut_at = |most| {
            let found = read(source(body.as_bytes(), Some("text/plain"), &url), Form::Text, most);
            let found = found.unwrap();
            (found.text.chars().count(), found.chars, found.truncated)
        };
        assert_eq!(cut_at(101), (101, 101, false));
        assert_eq!(cut_at(100), (100, 101, true));
        assert_eq!(cut_at(53), (50, 101, true));
        assert_eq!(cut_at(10), (10, 101, true));
        assert_eq!(cut_at(0), (0, 101, true));
    }

    #[test]
    fn hostile_pages_are_converted_in_bounded_depth() {
        for page in [
            "<div><b><i>x".repeat(10_000),
            "<ul><li>x".repeat(10_000),
            "<blockquote>x".repeat(10_000),
        ] {
            let found = read_as(page.as_bytes(), Some("text/html")).unwrap();
            assert!(found.truncated || !found.text.is_empty());
        }
    }
}
