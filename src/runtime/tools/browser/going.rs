//! Navigation: by address, in a new tab or not, back, forward, reload. The new page is returned as a whole.

use browser::BrowserError;
use browser::hang;
use browser::page::{Opened, Page};
use kernel::TypedId as _;

use super::BrowserAction;
use super::answer::{Told, Trouble, missing};

impl BrowserAction<'_> {
    pub(super) async fn open(&self) -> Result<Told, Trouble> {
        // Check the address before opening a tab.
        self.wanted_url()?;
        let page = self.browser.open_blank().await?;
        page.acts_for(self.cx.run.uuid());
        let result = hang::in_time(hang::ACT_WITHIN, self.go(&page)).await;
        match result {
            Ok(result) => {
                self.note(&page);
                Ok(result)
            }
            // The page may still load.
            Err(error @ Trouble::Browser(BrowserError::NotCome { .. } | BrowserError::Late(_))) => {
                self.note(&page);
                Err(error)
            }
            Err(error) => {
                // ok: a leftover empty tab is harmless
                page.close().await.ok();
                Err(error)
            }
        }
    }

    fn wanted_url(&self) -> Result<&str, Trouble> {
        let url = self.url.as_deref();
        url.ok_or_else(|| missing("url", "give the address to open").into())
    }

    pub(super) async fn go(&self, page: &Page) -> Result<Told, Trouble> {
        let dialogs = page.dialog_count()?;
        let opened = page.navigate(self.wanted_url()?).await?;
        self.came(page, opened, dialogs).await
    }

    /// Describes a loaded page, including the dialogs it opened.
    pub(super) async fn came(
        &self,
        page: &Page,
        opened: Opened,
        dialogs: u64,
    ) -> Result<Told, Trouble> {
        let mut ours = format!("in t{}", page.number());
        if opened.is_download {
            ours.push_str(": a file download");
            return Ok(Told { ours, ..Told::default() });
        }
        if opened.status != 0 {
            ours.push_str(&format!(", status {}", opened.status));
        }
        if !opened.is_loaded {
            ours.push_str(", still loading");
            page.ready().await?;
        }
        let mut result = self.read_page(page, ours).await?;
        let shown: String =
            page.dialogs_since(dialogs)?.into_iter().map(|line| line + "\n").collect();
        result.words.insert_str(0, &shown);
        if let Some(whole) = &mut result.whole {
            whole.insert_str(0, &shown);
        }
        Ok(result)
    }
}
