//! Reads a page: its elements as lines, its text as Markdown, screenshots with element positions, and dialogs.

use url::Url;

use browser::BrowserError;
use browser::act::Shot;
use browser::page::Page;
use browser::refs;
use browser::snapshot::escape::{self, Quoted};
use browser::snapshot::{MAX_TEXT, Want};
use browser::tabs::DialogAnswer;
use kernel::TypedId as _;
use net::readable::{self, Form, Source};
use tool::{Picture, ToolError, document};

use super::answer::{Told, Trouble};
use super::args::Action;
use super::{BrowserAction, MAX_NAME};
use crate::tools::folder::blocking;

/// Most characters of text that are read.
const MOST: usize = 200_000;

impl BrowserAction<'_> {
    /// What a page shows, in the requested form.
    pub(super) async fn read_page(&self, page: &Page, ours: String) -> Result<Told, Trouble> {
        let args = &self.args;
        if let Some(result) = self.pdf(page, &ours).await? {
            return Ok(result);
        }
        if args.action == Action::Snapshot && args.markdown == Some(true) {
            return self.markdown(page).await;
        }
        let want = match args.action {
            Action::Snapshot => Want {
                interactive: args.interactive.unwrap_or(false),
                depth: None,
                within: args.within.as_deref().map(refs::parse).transpose()?,
                find: args.find.clone(),
            },
            _ => Want::default(),
        };
        let seen = page.snapshot(&want).await?;
        Ok(Told { ours, words: seen.text, whole: Some(seen.whole), ..Told::default() })
    }

    /// A screenshot for the model.
    pub(super) async fn picture(&self, page: &Page) -> Result<Told, Trouble> {
        let around = self.args.part.as_deref().map(refs::parse).transpose()?;
        let data = page.screenshot(Shot { around, ..Shot::default() }).await?;
        let picture = Picture { media_type: "image/jpeg".to_owned(), data };
        let mut words = self.listed(vec![page.info()?]);
        if self.args.labels == Some(true) {
            words.push('\n');
            words.push_str(&self.labels(page).await?);
        }
        let ours = "screenshot of".to_owned();
        Ok(Told { ours, words, picture: Some(picture), ..Told::default() })
    }

    /// Sets the answer to the next dialog, and lists the dialogs so far.
    pub(super) fn dialog(&self, page: &Page) -> Result<Told, Trouble> {
        let (answer, says) = match self.args.key.as_deref() {
            Some("Escape") => (DialogAnswer::Dismiss, "Cancel"),
            _ => (DialogAnswer::Accept(self.args.text.clone().unwrap_or_default()), "OK"),
        };
        page.answer_next_dialog(self.cx.run.uuid(), answer)?;
        let mut words = String::new();
        for dialog in page.dialogs()? {
            let (kind, message) = (escape::plain(&dialog.kind, 20), Quoted(&dialog.message, 300));
            let how = if dialog.accepted { "OK" } else { "Cancel" };
            words.push_str(&format!("{kind} {message}, answered with {how}\n"));
        }
        let ours = format!("the page's next dialog will be answered with {says}");
        Ok(Told { ours, words, ..Told::default() })
    }

    /// The readable text of a page with secrets masked. Fails if capture was paused meanwhile.
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

    /// The text of a PDF in the tab, with secrets masked; `None` for any other page. The PDF viewer has no elements.
    /// Fails if capture was paused meanwhile.
    pub(super) async fn pdf(&self, page: &Page, ours: &str) -> Result<Option<Told>, Trouble> {
        let light = self.stage.light();
        // ok: a page that does not answer is handled like other pages
        if self.stage.is_dark() || !page.shows_pdf().await.unwrap_or(false) {
            return Ok(None);
        }
        let info = page.info()?;
        let bytes = match page.pdf_bytes().await {
            Ok(bytes) => bytes,
            Err(error @ (BrowserError::Pdf(_) | BrowserError::KnowsSecret)) => {
                let ours = format!("{ours}: {error}");
                return Ok(Some(Told { ours, words: self.listed(vec![info]), ..Told::default() }));
            }
            Err(error) => return Err(error.into()),
        };
        self.stage.settle(&self.browser).await;
        if self.stage.is_dark() || self.stage.light() != light {
            return Err(BrowserError::Hidden.into());
        }
        let find = self.args.find.clone().filter(|_| self.args.action == Action::Snapshot);
        let read = blocking(move || Ok(pdf_text(&bytes, find.as_deref()))).await?;
        let head = self.listed(vec![info]);
        let (says, text) = match read {
            Ok((what, text)) => (format!("{ours}: the text of a {what}, without refs"), text),
            Err(why) => (
                format!("{ours}: a PDF without readable text: {why}; take a screenshot"),
                String::new(),
            ),
        };
        let whole = self.cx.ws.app.redactor.text(&format!("{head}\n{text}")).into_owned();
        let words = whole[..whole.floor_char_boundary(MAX_TEXT)].to_owned();
        Ok(Some(Told { ours: says, words, whole: Some(whole), ..Told::default() }))
    }

    /// A line for each visible element that can be acted on: its ref and position.
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

/// Description and text of a PDF, or only its lines that contain `find`. Blocking.
fn pdf_text(bytes: &[u8], find: Option<&str>) -> Result<(String, String), &'static str> {
    let read = document::words(bytes, MOST)?;
    if read.text.trim().is_empty() {
        return Err("it only has images");
    }
    let text = match find.map(str::to_lowercase) {
        None => read.text.clone(),
        Some(find) => {
            let has = |line: &&str| line.to_lowercase().contains(&find);
            read.text.lines().filter(has).collect::<Vec<_>>().join("\n")
        }
    };
    Ok((read.describe(), escape::prose(&text)))
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
