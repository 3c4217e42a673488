//! Goes to another page: by an address, in a tab of its own or not, back, forward, anew. What comes is told as a whole.

use browser::BrowserError;
use browser::hang;
use browser::page::{Opened, Page};
use kernel::TypedId as _;

use super::Hand;
use super::answer::{Told, Trouble, missing};

impl Hand<'_> {
    pub(super) async fn open(&self) -> Result<Told, Trouble> {
        // Before a tab is made for nothing.
        self.wanted_url()?;
        let page = self.browser.open_blank().await?;
        page.acts_for(self.cx.run.uuid());
        let told = hang::in_time(hang::ACT_WITHIN, self.go(&page)).await;
        match told {
            Ok(told) => {
                self.note(&page);
                Ok(told)
            }
            // Its address may come yet.
            Err(error @ Trouble::Browser(BrowserError::NotCome { .. })) => {
                self.note(&page);
                Err(error)
            }
            Err(error) => {
                // ok: an empty tab is in nobody's way
                page.close().await.ok();
                Err(error)
            }
        }
    }

    fn wanted_url(&self) -> Result<&str, Trouble> {
        let url = self.url.as_deref();
        url.ok_or_else(|| missing("url", "say which address to open").into())
    }

    pub(super) async fn go(&self, page: &Page) -> Result<Told, Trouble> {
        let dialogs = page.dialog_count()?;
        let opened = page.navigate(self.wanted_url()?).await?;
        self.came(page, opened, dialogs).await
    }

    /// A page that has come, as it is, with the dialogs that came with it.
    pub(super) async fn came(
        &self,
        page: &Page,
        opened: Opened,
        dialogs: u64,
    ) -> Result<Told, Trouble> {
        let mut ours = format!("in t{}", page.number());
        if opened.is_download {
            ours.push_str(": a file that is downloaded");
            return Ok(Told { ours, ..Told::default() });
        }
        if opened.status != 0 {
            ours.push_str(&format!(", status {}", opened.status));
        }
        if !opened.is_loaded {
            ours.push_str(", still loading");
            page.ready().await?;
        }
        let mut told = self.look(page, ours).await?;
        let shown: String =
            page.dialogs_since(dialogs)?.into_iter().map(|line| line + "\n").collect();
        told.words.insert_str(0, &shown);
        if let Some(whole) = &mut told.whole {
            whole.insert_str(0, &shown);
        }
        Ok(told)
    }
}
