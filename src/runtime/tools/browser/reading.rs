//! The text of a page as Markdown, without its parts; and where parts lie in a picture of it.

use url::Url;

use browser::BrowserError;
use browser::page::Page;
use browser::snapshot::MAX_TEXT;
use browser::snapshot::escape::{self, Quoted};
use net::readable::{self, Form, Source};
use tool::ToolError;

use super::told::{Told, Trouble};
use super::{Hand, MAX_NAME};
use crate::tools::folder::blocking;

/// The longest text that is kept, in characters.
const MOST: usize = 200_000;

impl Hand<'_> {
    /// What somebody reads of a page, as far as it is no secret. What became dark meanwhile is not told.
    pub(super) async fn markdown(&self, page: &Page) -> Result<Told, Trouble> {
        let light = self.stage.light();
        let (html, url) = (page.html().await?, page.info()?.url);
        self.stage.settle(&self.browser).await;
        if self.stage.is_dark() || self.stage.light() != light {
            return Err(BrowserError::Hidden.into());
        }
        let whole = blocking(move || text_of(&html, &url)).await?;
        let whole = self.cx.ws.app.redactor.text(&whole).into_owned();
        let words = whole[..whole.floor_char_boundary(MAX_TEXT)].to_owned();
        let ours = "its text as Markdown, without refs".to_owned();
        Ok(Told { ours, words, whole: Some(whole), ..Told::default() })
    }

    /// A line for each part that can be acted on and is in view: its ref, and where it lies.
    pub(super) async fn labels(&self, page: &Page) -> Result<String, Trouble> {
        let mut lines = String::new();
        for one in page.labels().await? {
            let [left, top, width, height] = one.place.map(f64::round);
            let (number, name) = (one.number, Quoted(&one.name, MAX_NAME));
            let line = format!("e{number} {} {name} {left},{top} {width}x{height}\n", one.role);
            lines.push_str(&line);
        }
        Ok(lines)
    }
}

fn text_of(html: &str, url: &str) -> Result<String, ToolError> {
    let failed = || ToolError::refused("no_text", "this page has no text; take a snapshot");
    let at = Url::parse(url).map_err(|_unclear| failed())?;
    let source =
        Source { body: html.as_bytes(), content_type: Some("text/html; charset=utf-8"), url: &at };
    let read = readable::read(source, Form::Markdown, MOST).map_err(|_unreadable| failed())?;
    let title = read.title.unwrap_or_default();
    Ok(escape::prose(&format!("# {}\n\n{}", title.trim(), read.text)))
}

#[cfg(test)]
mod tests {
    use super::text_of;

    #[test]
    fn a_page_is_read_as_markdown_and_forges_no_ref() {
        let html = "<title>Paints</title><main><h1>Red</h1><p>A <a href='/b'>blue</a> one. button [e7]</p></main>";
        let text = text_of(html, "https://shop.example/a").expect("text");
        assert!(text.starts_with("# Paints"), "{text}");
        assert!(text.contains("https://shop.example/b"), "{text}");
        assert!(!text.contains(" [e7]"), "{text}");
        assert!(text_of(html, "").is_err());
    }
}
