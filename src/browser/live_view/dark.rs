//! Paused capture: while a credential is typed, only the person who types sees the browser.
//!
//! Capture pauses before the first character reaches the page. It resumes when every written field is gone or empty, or
//! a minute after the last character; remaining text is deleted first, so that nothing is left to see.

use std::time::{Duration, Instant};

use tokio::time::timeout;
use uuid::Uuid;

use super::{Stage, State};
use crate::BrowserError;
use crate::fields::FieldKind;
use crate::launch::Browser;
use crate::page::Page;
use crate::tabs::TabInfo;

/// Maximum pause after the last character.
const LONGEST: Duration = Duration::from_mins(1);
/// How long the fields must be empty before capture resumes, because a picture may still be on its way.
const CALM: Duration = Duration::from_millis(200);

/// How long a page may take to report whether a field is empty, and to empty it.
const LOOKS_WITHIN: Duration = Duration::from_secs(1);
const CLEARS_WITHIN: Duration = Duration::from_secs(3);

/// Why capture is paused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// A person types into a field for a password or a code.
    Typed,
    /// A person has hidden the browser.
    Asked,
    /// A secret of this name was filled in.
    Secret(String),
}

pub(super) struct Dark {
    pub(super) why: Why,
    /// Who types; `None` when a secret was filled in.
    pub(super) by: Option<Uuid>,
    /// Tab and ref of the written fields.
    fields: Vec<(u32, u32)>,
    last: Instant,
    /// Since when all fields are empty.
    clear: Option<Instant>,
}

impl Stage {
    /// Whether capture is paused.
    #[must_use]
    pub fn is_dark(&self) -> bool {
        self.state.lock().dark.is_some()
    }

    /// Number of times that capture was paused or resumed. A picture with an older number must not be shown.
    #[must_use]
    pub fn light(&self) -> u64 {
        self.state.lock().light
    }

    /// Pauses capture on request.
    ///
    /// # Errors
    /// When `who` is not in control.
    pub fn hide(&self, browser: &Browser, who: Uuid) -> Result<(), BrowserError> {
        self.steer(who)?;
        self.change(|state| {
            browser.pause_capture();
            state.darken(Why::Asked, Some(who));
        });
        Ok(())
    }

    /// Ends a pause on request; fields with a credential stay hidden.
    pub fn unhide(&self, who: Uuid) {
        self.change(|state| {
            if let Some(dark) = state.dark.as_mut().filter(|dark| dark.by == Some(who))
                && dark.why == Why::Asked
            {
                dark.why = Why::Typed;
            }
        });
    }

    /// Pauses capture because a secret is about to be filled into a part of a tab.
    pub fn conceal(&self, page: &Page, number: u32, key: &str) -> Result<(), BrowserError> {
        page.no_script_looks_on()?;
        page.hide_value(number)?;
        self.change(|state| {
            page.pause_capture();
            let dark = state.darken(Why::Secret(key.to_owned()), None);
            dark.note((page.number(), number));
        });
        Ok(())
    }

    /// Tab and ref of fields with a secret that is not yet sent; empty while a person types.
    #[must_use]
    pub fn filled(&self) -> Vec<(u32, u32)> {
        let state = self.state.lock();
        let dark = state.dark.as_ref().filter(|dark| dark.by.is_none());
        dark.map(|dark| dark.fields.clone()).unwrap_or_default()
    }

    /// Pauses capture if the focused field takes a credential.
    pub(super) async fn guard(&self, page: &Page, who: Uuid) -> Result<(), BrowserError> {
        let Some(field) = page.focused_field().await? else { return Ok(()) };
        let place = (page.number(), field.number);
        let is_known = {
            let mut state = self.state.lock();
            let dark = state.dark.as_mut().filter(|dark| dark.by == Some(who));
            dark.is_some_and(|dark| {
                if dark.why == Why::Asked {
                    dark.last = Instant::now();
                }
                dark.fields.contains(&place)
            })
        };
        if !is_known && !matches!(field.kind, FieldKind::Password | FieldKind::Code) {
            return Ok(());
        }
        self.conceal_for(page, field.number, who)
    }

    /// Pauses capture for everybody except `who`, who is about to type into a credential field.
    pub fn conceal_for(&self, page: &Page, number: u32, who: Uuid) -> Result<(), BrowserError> {
        page.no_script_looks_on()?;
        page.hide_value(number)?;
        self.change(|state| {
            page.pause_capture();
            state.darken(Why::Typed, Some(who)).note((page.number(), number));
        });
        Ok(())
    }

    /// Resumes capture if the pause is over.
    pub async fn settle(&self, browser: &Browser) {
        let Ok(_one) = self.settling.try_lock() else { return };
        let Some((fields, was_typed, is_late, is_asked)) =
            self.state.lock().dark.as_ref().map(|dark| {
                let is_late = LONGEST <= dark.last.elapsed();
                (dark.fields.clone(), dark.by.is_some(), is_late, dark.why == Why::Asked)
            })
        else {
            return;
        };
        let mut held = is_asked;
        for (tab, number) in fields {
            let Some(page) = browser.open_page(tab) else { continue };
            let is_held =
                holds(&page, number).await || (was_typed && has_focus(&page, number).await);
            if is_held && is_late {
                clear(&page, number).await;
            }
            held |= is_held;
        }
        if !held || is_late {
            // Console lines and requests recorded during the pause are dropped.
            browser.forget_heard();
        }
        let is_over = {
            let mut state = self.state.lock();
            let is_over = state.settle(held, is_late);
            // Under the same lock, so that a new pause waits for it.
            if is_over {
                browser.resume_capture();
            }
            is_over
        };
        if is_over {
            self.change(|_| {});
        }
    }

    /// The tabs as shown to `who`: without titles and addresses during a pause, except for the person who types.
    #[must_use]
    pub fn withhold(&self, who: Option<Uuid>, mut tabs: Vec<TabInfo>) -> Vec<TabInfo> {
        let sees = |dark: &Dark| dark.by.is_some() && dark.by == who;
        if self.state.lock().dark.as_ref().is_some_and(|dark| !sees(dark)) {
            for tab in &mut tabs {
                tab.title.clear();
                tab.url.clear();
            }
        }
        tabs
    }
}

impl State {
    fn darken(&mut self, why: Why, by: Option<Uuid>) -> &mut Dark {
        let was = self.dark.take();
        if was.as_ref().is_none_or(|dark| dark.by != by) {
            self.light += 1;
        }
        let fields = was.as_ref().map(|dark| dark.fields.clone()).unwrap_or_default();
        // A requested pause stays until the person ends it.
        let why = match was {
            Some(Dark { why: Why::Asked, .. }) => Why::Asked,
            _ => why,
        };
        self.dark.insert(Dark { why, by, fields, last: Instant::now(), clear: None })
    }

    /// Ends the pause when all fields are empty. Returns whether it ended.
    fn settle(&mut self, held: bool, is_late: bool) -> bool {
        let Some(dark) = self.dark.as_mut() else { return false };
        if held && !is_late {
            dark.clear = None;
            return false;
        }
        let since = *dark.clear.get_or_insert_with(Instant::now);
        let is_over = CALM <= since.elapsed();
        if is_over {
            self.dark = None;
            self.light += 1;
        }
        is_over
    }
}

impl Dark {
    fn note(&mut self, place: (u32, u32)) {
        if !self.fields.contains(&place) {
            self.fields.push(place);
        }
    }
}

/// Whether a field may still contain text; `true` if unknown.
async fn holds(page: &Page, number: u32) -> bool {
    match timeout(LOOKS_WITHIN, page.field(number)).await {
        Ok(Ok(field)) => field.is_some_and(|field| !field.is_empty),
        Ok(Err(BrowserError::TabClosed | BrowserError::Ended | BrowserError::Crashed)) => false,
        Ok(Err(_)) | Err(_) => true,
    }
}

async fn has_focus(page: &Page, number: u32) -> bool {
    // ok: without an answer, `holds` has returned `true`
    let field = timeout(LOOKS_WITHIN, page.focused_field()).await;
    let field = field.ok().and_then(Result::ok).flatten();
    field.is_some_and(|field| field.number == number)
}

/// Empties a field; if that fails, leaves the page.
async fn clear(page: &Page, number: u32) {
    let done = timeout(CLEARS_WITHIN, page.fill(number, "")).await;
    if !matches!(done, Ok(Ok(()))) || holds(page, number).await {
        // ok: a page that cannot be left has crashed
        page.navigate("about:blank").await.ok();
    }
}
