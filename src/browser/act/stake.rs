//! What an act would affect, inspected before a decision about the act. Does not change the page.

use serde::Deserialize;
use url::Url;

use super::Point;
use crate::BrowserError;
use crate::page::Page;
use crate::refs::Node;
use crate::tabs::Frame;

const STAKE: &str = include_str!("stake.js");

/// Target of an act.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Aim {
    Part(u32),
    /// A position in the viewport.
    Place(Point),
    /// The focused element.
    Focus,
    /// The page as a whole.
    Page,
}

/// Kind of an act, as far as it matters for sending a form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Does<'a> {
    Click,
    /// A key with modifiers.
    Press(&'a str),
    Other,
}

/// What an act would affect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stake {
    /// Ref of the part; `None` for the page as a whole.
    pub number: Option<u32>,
    pub document: String,
    /// Address of its frame.
    pub frame_url: String,
    /// Address of the page.
    pub page_url: String,
    /// Name from the part's own words; for people, who see the page.
    pub name: String,
    /// Whether it is an input field: a click then sends nothing.
    pub is_field: bool,
    /// Whether a click starts a download.
    pub downloads: bool,
    /// What the act would send.
    pub form: Form,
}

/// Contents of the form around a part; without a form, of the fields outside of all forms.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Form {
    /// Target address; empty without a form.
    pub to: String,
    /// Whether it contains a password or a code.
    pub has_password: bool,
    /// Whether it contains a card or an account.
    pub has_payment: bool,
    /// Whether a file is chosen.
    pub has_file: bool,
    /// Names and values of filled fields; `None` for hidden values.
    pub fields: Vec<(String, Option<String>)>,
}

impl Stake {
    /// Whether an act may send the form.
    #[must_use]
    pub fn is_sent_by(&self, does: Does<'_>) -> bool {
        let Does::Press(keys) = does else { return does == Does::Click && !self.is_field };
        let key = keys.trim().to_ascii_lowercase();
        match key.rsplit('+').next().unwrap_or_default() {
            "space" | "" => !self.is_field,
            key => matches!(key, "enter" | "numpadenter" | "return"),
        }
    }

    /// The site that an act affects: that of the frame, or of the page if the frame has no address of its own.
    #[must_use]
    pub fn site(&self) -> Option<Url> {
        let of = |text: &str| Url::parse(text).ok().filter(Url::has_host); // ok: no address, no site
        of(&self.frame_url).or_else(|| of(&self.page_url)).map(|mut url| {
            url.set_path("");
            url.set_query(None);
            url.set_fragment(None);
            url
        })
    }

    /// Whether the form contains data that requires approval before it is sent.
    #[must_use]
    pub fn is_delicate(&self) -> bool {
        self.form.has_password || self.form.has_payment || self.form.has_file
    }
}

/// The result of the script.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Found {
    inner: bool,
    name: String,
    field: bool,
    download: bool,
    to: String,
    kinds: Vec<String>,
    fields: Vec<(String, Option<String>)>,
}

impl Page {
    /// Inspects what an act would affect.
    ///
    /// # Errors
    /// When the part is gone, or is an embedded page that cannot be inspected.
    pub async fn stake(&self, aim: Aim) -> Result<Stake, BrowserError> {
        let node = match aim {
            Aim::Part(number) => Some(self.node(number).await?),
            Aim::Place(at) => self.node_at(at).await?,
            Aim::Focus => self.focused().await?,
            Aim::Page => None,
        };
        let Some(node) = node else { return self.whole() };
        let (number, place) = self.with_tab(|tab| {
            let frame_url = tab.frames.get(&node.frame).map(Frame::shown_url);
            (tab.refs.number(&node), frame_url.map(|url| (url, tab.hidden.is_empty())))
        })?;
        let Some((frame_url, shows)) = place else { return Err(self.stale(number).await) };
        let answer = self.checked(number, self.call_on(&node, STAKE, Vec::new()).await).await?;
        let found: Found = serde_json::from_value(answer)
            .map_err(|source| BrowserError::Unclear { method: "Runtime.callFunctionOn", source })?;
        if found.inner {
            let why = "contains another page; use the ref of an element in that page";
            return Err(super::not_actionable(number, why));
        }
        let has = |kind: &str| found.kinds.iter().any(|one| one == kind);
        Ok(Stake {
            number: Some(number),
            document: node.loader,
            frame_url,
            page_url: self.info()?.url,
            name: found.name,
            is_field: found.field,
            downloads: found.download,
            form: Form {
                has_password: has("password"),
                has_payment: has("payment"),
                has_file: has("file"),
                to: found.to,
                // After a person typed a credential, no values are reported.
                fields: found
                    .fields
                    .into_iter()
                    .map(|(name, value)| (name, value.filter(|_| shows)))
                    .collect(),
            },
        })
    }

    /// The document of a part, if known.
    pub fn document_of(&self, number: u32) -> Result<Option<String>, BrowserError> {
        self.with_tab(|tab| tab.refs.node(number).map(|node| node.loader.clone()))
    }

    /// The document in the tab.
    pub fn document(&self) -> Result<Option<String>, BrowserError> {
        self.with_tab(|tab| tab.main().map(|frame| frame.loader.clone()))
    }

    /// The stake for the page as a whole.
    fn whole(&self) -> Result<Stake, BrowserError> {
        let page_url = self.info()?.url;
        let document = self.document()?;
        Ok(Stake {
            number: None,
            document: document.ok_or(BrowserError::TabClosed)?,
            frame_url: page_url.clone(),
            page_url,
            name: String::new(),
            is_field: false,
            downloads: false,
            form: Form::default(),
        })
    }

    /// The node at a position of the main frame, through open shadow roots.
    async fn node_at(&self, at: Point) -> Result<Option<Node>, BrowserError> {
        let script = format!(
            "(() => {{
                let root = document, found = null;
                for (;;) {{
                    const hit = root.elementFromPoint({}, {});
                    if (!hit || hit === found) return found;
                    found = hit;
                    if (!hit.shadowRoot) return found;
                    root = hit.shadowRoot;
                }}
            }})()",
            at.x, at.y
        );
        let main = self.with_tab(|tab| tab.target.clone())?;
        self.found_in(&main, &script).await
    }
}
