//! The arguments of the browser tool.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

/// What is done. Without words of its own, so that its schema stays a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Action {
    Open,
    Navigate,
    Back,
    Forward,
    Reload,
    Tabs,
    Close,
    Snapshot,
    Screenshot,
    Click,
    Hover,
    Type,
    Fill,
    Select,
    Press,
    Scroll,
    Drag,
    Wait,
    Dialog,
    Upload,
    Evaluate,
    Batch,
}

impl Action {
    /// Returns `true` if the action relies on what the agent has seen of a page.
    pub(super) fn is_blind(self) -> bool {
        !matches!(
            self,
            Self::Open
                | Self::Navigate
                | Self::Tabs
                | Self::Snapshot
                | Self::Screenshot
                | Self::Wait
        )
    }

    /// Returns `true` for an action in a page, which may need approval.
    pub(super) fn acts(self) -> bool {
        matches!(
            self,
            Self::Click
                | Self::Type
                | Self::Fill
                | Self::Select
                | Self::Press
                | Self::Drag
                | Self::Dialog
                | Self::Upload
                | Self::Evaluate
        )
    }

    /// Returns `true` if the run's page shows a screenshot afterwards. Requested screenshots are shown anyway.
    pub(super) fn is_pictured(self) -> bool {
        !matches!(self, Self::Tabs | Self::Close | Self::Snapshot | Self::Screenshot | Self::Dialog)
    }

    /// Returns `true` if the action can submit a form that contains a secret. The actions of a batch are checked one by
    /// one.
    pub(super) fn goes_on_in_the_dark(self) -> bool {
        matches!(self, Self::Click | Self::Press | Self::Fill | Self::Wait | Self::Batch)
    }

    /// Returns `true` if the action may be in a batch. Read-only actions would end it anyway, and a script returns a
    /// value.
    pub(super) fn fits_batch(self) -> bool {
        !matches!(
            self,
            Self::Tabs
                | Self::Close
                | Self::Snapshot
                | Self::Screenshot
                | Self::Evaluate
                | Self::Batch
        )
    }

    /// Returns `true` if the whole new page is returned.
    pub(super) fn brings_a_page(self) -> bool {
        matches!(self, Self::Open | Self::Navigate | Self::Back | Self::Forward | Self::Reload)
    }

    /// A description for people.
    pub(super) fn verb(self) -> &'static str {
        match self {
            Self::Open | Self::Navigate => "open",
            Self::Back => "go back",
            Self::Forward => "go forward",
            Self::Reload => "reload the page",
            Self::Tabs => "list the tabs",
            Self::Close => "close the tab",
            Self::Snapshot => "read the page",
            Self::Screenshot => "take a screenshot",
            Self::Click => "click",
            Self::Hover => "point at",
            Self::Type => "type into",
            Self::Fill => "fill",
            Self::Select => "choose in",
            Self::Press => "press",
            Self::Scroll => "scroll",
            Self::Drag => "drag",
            Self::Wait => "wait",
            Self::Dialog => "answer a dialog",
            Self::Upload => "upload a file to",
            Self::Evaluate => "run a script",
            Self::Batch => "perform several actions",
        }
    }
}

/// What `browser` takes.
#[derive(Clone, Deserialize, JsonSchema)]
pub(crate) struct Args {
    /// open: url in a new tab. type: add text. fill: replace text. dialog: answers the page's next dialog (text; key Escape for Cancel).
    pub(super) action: Action,
    /// open, navigate; wait: part of the address.
    pub(super) url: Option<String>,
    /// Number of the tab (the last used).
    pub(super) tab: Option<u32>,
    /// An element, as e12 in a snapshot.
    #[serde(rename = "ref")]
    pub(super) part: Option<String>,
    /// drag: where to.
    pub(super) to_ref: Option<String>,
    /// type, fill, dialog; wait: text to appear; evaluate: the script.
    pub(super) text: Option<String>,
    /// fill: KEY of a secret instead of text.
    pub(super) secret: Option<String>,
    /// select: words or values. upload: paths in your folder, or task:NAME.
    pub(super) options: Option<Vec<String>>,
    /// press: Enter, ArrowDown, Control+A.
    pub(super) key: Option<String>,
    /// click without ref, scroll: pixels.
    pub(super) x: Option<f64>,
    /// As x; scroll goes 600 down.
    pub(super) y: Option<f64>,
    /// snapshot: only elements with these words.
    pub(super) find: Option<String>,
    /// snapshot: only inside this ref.
    pub(super) within: Option<String>,
    /// snapshot: only interactive elements.
    pub(super) interactive: Option<bool>,
    /// snapshot: the text as Markdown, without refs.
    pub(super) markdown: Option<bool>,
    /// screenshot: with refs and positions.
    pub(super) labels: Option<bool>,
    /// wait (10).
    pub(super) seconds: Option<u64>,
    /// batch: up to 20 such calls that don't only read, in order, until one fails, needs approval or loads a page.
    pub(super) acts: Option<Vec<Map<String, Value>>>,
}
