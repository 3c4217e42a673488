//! Secrets in form fields. While a field contains one, nothing of the page is shown.

use std::time::{Duration, Instant};

use url::Url;

use browser::BrowserError;
use browser::fields::FieldKind;
use browser::page::Page;
use features::agents::queries::reach;
use tool::ToolError;

use super::BrowserAction;
use super::answer::{Told, Trouble, missing};
use super::args::Action;
use crate::tools::request::named;
use crate::tools::secrets::note;

/// Interval for checking whether capture is paused.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// How long the tool waits while a person types a credential.
const TYPED: Duration = Duration::from_secs(65);
/// How long the tool waits in other cases.
const MOMENT: Duration = Duration::from_secs(1);
/// How long a form submission may take.
const SENT: Duration = Duration::from_secs(3);

impl BrowserAction<'_> {
    /// Waits until capture resumes. Unless a person is typing, actions that can submit a form with a secret continue at
    /// once.
    pub(super) async fn light(&self) -> Result<(), Trouble> {
        let begun = Instant::now();
        while self.stage.is_dark() {
            self.stage.settle(&self.browser).await;
            let is_typed = self.stage.standing().typed_by.is_some();
            if !is_typed && self.args.action.goes_on_in_the_dark() {
                return Ok(());
            }
            if (if is_typed { TYPED } else { MOMENT }) <= begun.elapsed() {
                return Err(BrowserError::Hidden.into());
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        Ok(())
    }

    /// Returns `true` if the page may be shown after an action. Waits for a possible form submission.
    pub(super) async fn is_sent(&self) -> bool {
        let sends = matches!(self.args.action, Action::Click | Action::Press | Action::Wait);
        let begun = Instant::now();
        loop {
            self.stage.settle(&self.browser).await;
            let is_dark = self.stage.is_dark();
            if !is_dark || !sends || SENT <= begun.elapsed() {
                return !is_dark;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// Fills a secret into a field for a name, a password or a code, if page and frame belong to its hosts. The model
    /// never receives the value, and the page stays hidden until the form is submitted.
    pub(super) async fn fill_secret(&self, page: &Page, key: &str) -> Result<Told, Trouble> {
        let number = self.part()?;
        let field = page.field(number).await?;
        let field = field.ok_or_else(|| missing("ref", "it isn't a text field"))?;
        if field.kind == FieldKind::Other {
            let text = "a secret can only be filled into a field for a name, a password or a code";
            return Err(ToolError::refused("denied", text).into());
        }
        let opened = self.cx.ws.read(|snap| reach::opened(snap)).map_err(ToolError::from)?;
        let keys = [key.trim().to_owned()];
        let mut given = Vec::new();
        let mut host = String::new();
        for address in [page.info()?.url, field.frame_url] {
            let unclear = |_| {
                ToolError::refused(
                    "denied",
                    "this page has no address that can \
                receive a secret",
                )
            };
            let at = Url::parse(&address).map_err(unclear)?;
            given = named(self.cx, &keys, &at, opened.has(&at))?;
            at.host_str().unwrap_or_default().clone_into(&mut host);
        }
        let value = given.first().and_then(|one| one.value.as_ref().ok());
        // ok: a value that is no text is reported as unreadable
        let value = value.and_then(|value| value.expose_text().ok());
        let gone = || {
            ToolError::refused(
                "unavailable",
                format!(
                    "{key} isn't text; a person has to enter \
                it again"
                ),
            )
        };
        let value = value.ok_or_else(gone)?;
        note(self.cx, &given, &host).await?;
        self.stage.conceal(page, number, key)?;
        page.fill(number, value).await?;
        let ours = format!(
            "done; {key} is filled in. Hidden until the form is submitted: click or press what \
             submits it"
        );
        Ok(Told { ours, ..Told::default() })
    }
}
