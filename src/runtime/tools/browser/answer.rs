//! Results of the browser tool: HQ's own text, and text of pages marked as untrusted.

use browser::BrowserError;
use browser::live_view::Handed;
use browser::snapshot::escape::{self, Quoted};
use browser::tabs::TabInfo;
use kernel::Problem;
use tool::{Picture, ToolCx, ToolError, ToolOutput, untrusted};

/// Reserve for text around page content, in bytes.
const WORDS: usize = 512;
/// Longest title and address of a tab, in characters.
const MAX_TITLE: usize = 200;
const MAX_URL: usize = 300;

/// Precedes the lines of a page that no longer has the requested element.
const NOW: &str = ", which has now:";

/// Why an action failed.
pub(super) enum Trouble {
    Refused(ToolError),
    Browser(BrowserError),
}

impl From<ToolError> for Trouble {
    fn from(error: ToolError) -> Self {
        Self::Refused(error)
    }
}

impl From<BrowserError> for Trouble {
    fn from(error: BrowserError) -> Self {
        Self::Browser(error)
    }
}

/// The result of an action.
#[derive(Default)]
pub(super) struct Told {
    /// HQ's own text.
    pub(super) ours: String,
    /// Text of the page.
    pub(super) words: String,
    /// The whole text of the page, if it is longer.
    pub(super) whole: Option<String>,
    pub(super) picture: Option<Picture>,
    /// A tool that is useful from now on.
    pub(super) load: Option<&'static str>,
}

impl Told {
    pub(super) fn output(self, cx: &ToolCx) -> ToolOutput {
        let Self { mut ours, words, whole, picture, load } = self;
        let id = untrusted::id_for(cx);
        let room = cx.max_result.saturating_sub(WORDS + ours.len());
        let shown = &words[..words.floor_char_boundary(room)];
        let whole = whole.filter(|whole| *whole != words);
        let whole = whole.or_else(|| (shown.len() < words.len()).then(|| words.clone()));
        let kept = whole.map(|whole| format!("{ours}\n{}", untrusted::wrap(&id, &whole)));
        if kept.is_some() {
            ours.push_str(&format!("; path \"{}\" has the full text", cx.result_name()));
        }
        let text = match shown {
            "" => ours,
            shown => format!("{ours}\n{}", untrusted::wrap(&id, shown)),
        };
        let load = load.map(str::to_owned).into_iter().collect();
        ToolOutput { whole: kept, picture, load, ..ToolOutput::text(text) }
    }
}

/// Splits an error of the browser into HQ's own text and text of the page.
fn halves(error: &BrowserError) -> (String, String) {
    match error {
        BrowserError::Stale { number, lines } => {
            (format!("e{number} is no longer in the page{NOW}"), lines.clone())
        }
        BrowserError::Hangs { dialogs } => {
            let ours = BrowserError::Hangs { dialogs: String::new() }.to_string();
            (ours, dialogs.clone())
        }
        BrowserError::NotActionable { .. }
        | BrowserError::Navigation { .. }
        | BrowserError::NotCome { .. }
        | BrowserError::Refused { .. }
        | BrowserError::NotReady(_)
        | BrowserError::Script(_)
        | BrowserError::Unclear { .. } => (String::new(), error.to_string()),
        error => (error.to_string(), String::new()),
    }
}

impl Trouble {
    /// The reason, split into HQ's own text and text of the page.
    pub(super) fn describe(&self) -> (String, String) {
        match self {
            Self::Refused(
                ToolError::Refused { code, message } | ToolError::Failed { code, message },
            ) => (format!("({code}) {message}"), String::new()),
            Self::Browser(error) => {
                let (ours, words) = halves(error);
                let ours = ours.trim_end_matches(NOW);
                (format!("({}) {ours}", error.code()).trim_end().to_owned(), words)
            }
        }
    }
}

/// An error of the browser for the model, with text of the page marked as untrusted.
pub(super) fn refusal(cx: &ToolCx, error: &BrowserError) -> ToolOutput {
    let (ours, words) = halves(error);
    let text = format!("Error({}): {ours}", error.code());
    ToolOutput::error(match words.as_str() {
        "" => text,
        words => format!("{}\n{}", text.trim_end(), untrusted::wrap(&untrusted::id_for(cx), words)),
    })
}

/// The same while a credential is typed: without any text of the page.
pub(super) fn hidden(error: &BrowserError) -> ToolOutput {
    let words = match error {
        BrowserError::Hidden => error.to_string(),
        _ => "details are hidden while a credential is typed".to_owned(),
    };
    ToolOutput::error(format!("Error({}): {words}", error.code()))
}

/// Puts the browser's news before the result.
pub(super) fn with_news(output: ToolOutput, news: &[String]) -> ToolOutput {
    if news.is_empty() {
        return output;
    }
    let text = format!("{}\n{}", news.join("\n"), output.text);
    ToolOutput { text, ..output }
}

/// Describes what a person in control has left.
pub(super) fn left_by(handed: &Handed) -> String {
    match handed.note.as_str() {
        "" => format!("{} took control of this browser", handed.name),
        note => format!("{} took control of this browser and left a note: {note}", handed.name),
    }
}

pub(super) fn missing(name: &str, why: &str) -> ToolError {
    ToolError::refused("invalid_args", format!("{name}: {why}"))
}

pub(super) fn count(tabs: &[TabInfo]) -> String {
    match tabs.len() {
        0 => "no tab is open".to_owned(),
        1 => "one tab is open:".to_owned(),
        count => format!("{count} tabs are open:"),
    }
}

/// One line per tab.
pub(super) fn listed(tabs: &[TabInfo]) -> String {
    let line = |tab: &TabInfo| {
        let (title, url) = (Quoted(&tab.title, MAX_TITLE), escape::plain(&tab.url, MAX_URL));
        let crashed = if tab.has_crashed { " crashed" } else { "" };
        format!("t{} {title} {url}{crashed}", tab.number)
    };
    tabs.iter().map(line).collect::<Vec<_>>().join("\n")
}
