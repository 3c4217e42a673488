//! Secrets in fields, and what an agent hears while one stands there: nothing of the page.

use std::time::{Duration, Instant};

use url::Url;

use browser::BrowserError;
use browser::fields::FieldKind;
use browser::page::Page;
use features::agents::queries::reach;
use tool::ToolError;

use super::Hand;
use super::answer::{Told, Trouble, missing};
use super::args::Action;
use crate::tools::request::named;
use crate::tools::secrets::note;

/// How often it is looked whether it is light.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// How long it may stay dark behind what a person has typed.
const TYPED: Duration = Duration::from_secs(65);
/// How long the end of the dark is waited for otherwise.
const MOMENT: Duration = Duration::from_secs(1);
/// How long a form may take to be sent.
const SENT: Duration = Duration::from_secs(3);

impl Hand<'_> {
    /// Waits until what has to stay unseen is no longer there. What helps a form with a secret on its way goes on.
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

    /// Whether the page may be seen behind an act. One that may send a form gets time for that.
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

    /// Fills a secret into a field for a name, a password or a code, where page and frame are on its hosts. The model
    /// never has it, and nobody sees the page until the form was sent.
    pub(super) async fn fill_secret(&self, page: &Page, key: &str) -> Result<Told, Trouble> {
        let number = self.part()?;
        let field = page.field(number).await?;
        let field = field.ok_or_else(|| missing("ref", "it is no field for text"))?;
        if field.kind == FieldKind::Other {
            let text = "a secret goes only into a field for a name, a password or a code";
            return Err(ToolError::refused("denied", text).into());
        }
        let opened = self.cx.ws.read(|snap| reach::opened(snap)).map_err(ToolError::from)?;
        let keys = [key.trim().to_owned()];
        let mut given = Vec::new();
        let mut host = String::new();
        for address in [page.info()?.url, field.frame_url] {
            let unclear = |_| ToolError::refused("denied", "this page has no address for a secret");
            let at = Url::parse(&address).map_err(unclear)?;
            given = named(self.cx, &keys, &at, opened.has(&at))?;
            at.host_str().unwrap_or_default().clone_into(&mut host);
        }
        let value = given.first().and_then(|one| one.value.as_ref().ok());
        // ok: what is no text fits no field, and is told as what cannot be read
        let value = value.and_then(|value| value.expose_text().ok());
        let gone =
            || ToolError::refused("unavailable", format!("{key} is no text; enter it again"));
        let value = value.ok_or_else(gone)?;
        note(self.cx, &given, &host).await?;
        self.stage.conceal(page, number, key)?;
        page.fill(number, value).await?;
        let ours = format!(
            "done; {key} is filled in. Hidden until the form was sent: click or press what sends it"
        );
        Ok(Told { ours, ..Told::default() })
    }
}
