//! What an act would be done to, looked at before it is done: for those who decide whether it is. Nothing of the page
//! changes by that.

use serde::Deserialize;
use url::Url;

use super::Point;
use crate::BrowserError;
use crate::page::Page;
use crate::refs::Node;
use crate::tabs::Frame;

const STAKE: &str = include_str!("stake.js");

/// Where an act is aimed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Aim {
    Part(u32),
    /// A place of what is in view.
    Place(Point),
    /// What has the keyboard.
    Focus,
    /// The page as a whole.
    Page,
}

/// What is done there, as far as it decides whether a form goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Does<'a> {
    Click,
    /// A key, with those that are held.
    Press(&'a str),
    /// Anything else.
    Other,
}

/// What an act would be done to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stake {
    /// The ref of the part; none for the page as a whole.
    pub number: Option<u32>,
    pub document: String,
    /// The address of its frame.
    pub frame_url: String,
    /// The address of the page.
    pub page_url: String,
    /// What the part is called, as far as its own words say; for people, who see the page.
    pub name: String,
    /// Whether it is written or chosen in: a click then sends nothing.
    pub is_field: bool,
    /// Whether a click begins a download.
    pub downloads: bool,
    /// What it would send.
    pub form: Form,
}

/// What stands in the form around a part; without a form, in the page outside of all forms.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Form {
    /// Where it goes; empty without a form.
    pub to: String,
    /// Whether a password or a code stands in it.
    pub has_password: bool,
    /// Whether a card or an account stands in it.
    pub has_payment: bool,
    /// Whether a file is chosen in it.
    pub has_file: bool,
    /// What the fields that are filled are called and what stands in them; nothing where that stays unseen.
    pub fields: Vec<(String, Option<String>)>,
}

impl Stake {
    /// Whether an act may send what stands in the form.
    #[must_use]
    pub fn is_sent_by(&self, does: Does<'_>) -> bool {
        let Does::Press(keys) = does else { return does == Does::Click && !self.is_field };
        let key = keys.trim().to_ascii_lowercase();
        match key.rsplit('+').next().unwrap_or_default() {
            "space" | "" => !self.is_field,
            key => matches!(key, "enter" | "numpadenter" | "return"),
        }
    }

    /// The site that an act reaches: that of the frame, or where that has no address of its own, that of the page.
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

    /// Whether something stands in the form that people are asked for before it is sent.
    #[must_use]
    pub fn is_delicate(&self) -> bool {
        self.form.has_password || self.form.has_payment || self.form.has_file
    }
}

/// The same in the words of the script.
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
    /// What an act there would be done to.
    ///
    /// # Errors
    /// When the part is gone, or another page in this one, of which nothing can be told from here.
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
            let why = "holds another page; name the part in that page by its own ref";
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
                // Where people have typed a credential nothing of a form is told.
                fields: found
                    .fields
                    .into_iter()
                    .map(|(name, value)| (name, value.filter(|_| shows)))
                    .collect(),
            },
        })
    }

    /// The document that a part is in, as far as it is known.
    pub fn document_of(&self, number: u32) -> Result<Option<String>, BrowserError> {
        self.with_tab(|tab| tab.refs.node(number).map(|node| node.loader.clone()))
    }

    /// The document that the tab shows.
    pub fn document(&self) -> Result<Option<String>, BrowserError> {
        self.with_tab(|tab| tab.main().map(|frame| frame.loader.clone()))
    }

    /// The page as a whole.
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

    /// What lies at a place of the main frame, through open shadow roots.
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
