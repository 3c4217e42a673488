//! What the tool answers: the words of HQ, and behind marks those of pages.

use browser::BrowserError;
use browser::live_view::Handed;
use browser::snapshot::escape::{self, Quoted};
use browser::tabs::TabInfo;
use kernel::Problem;
use tool::{Picture, ToolCx, ToolError, ToolOutput, untrusted};

/// Room for the words around what a page says, in bytes.
const WORDS: usize = 512;
/// The longest title and address of a tab that are told, in characters.
const MAX_TITLE: usize = 200;
const MAX_URL: usize = 300;

/// What stands before the lines of a page in which a part is no longer.
const NOW: &str = ", which has now:";

/// Why an act gave nothing.
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

/// What an act has to tell.
#[derive(Default)]
pub(super) struct Told {
    /// The words of HQ.
    pub(super) ours: String,
    /// The words of the page.
    pub(super) words: String,
    /// All of them, where that is more.
    pub(super) whole: Option<String>,
    pub(super) picture: Option<Picture>,
    /// A tool that is of use from now on.
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
            ours.push_str(&format!("; path \"{}\" has all of it", cx.result_name()));
        }
        let text = match shown {
            "" => ours,
            shown => format!("{ours}\n{}", untrusted::wrap(&id, shown)),
        };
        let load = load.map(str::to_owned).into_iter().collect();
        ToolOutput { whole: kept, picture, load, ..ToolOutput::text(text) }
    }
}

/// An error of the browser in the words of HQ, and in those of the page.
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
    /// Why, in the words of HQ, and in those of the page.
    pub(super) fn told(&self) -> (String, String) {
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

/// An error of the browser as the model reads it. Words of the page stand between marks in it, too.
pub(super) fn refusal(cx: &ToolCx, error: &BrowserError) -> ToolOutput {
    let (ours, words) = halves(error);
    let told = format!("Error({}): {ours}", error.code());
    ToolOutput::error(match words.as_str() {
        "" => told,
        words => format!("{}\n{}", told.trim_end(), untrusted::wrap(&untrusted::id_for(cx), words)),
    })
}

/// The same while a credential is typed: nothing of the page is told.
pub(super) fn hidden(error: &BrowserError) -> ToolOutput {
    let words = match error {
        BrowserError::Hidden => error.to_string(),
        _ => "no more is told of it while a credential is typed".to_owned(),
    };
    ToolOutput::error(format!("Error({}): {words}", error.code()))
}

/// What happened to the browser meanwhile stands in front.
pub(super) fn with_news(output: ToolOutput, news: &[String]) -> ToolOutput {
    if news.is_empty() {
        return output;
    }
    let text = format!("{}\n{}", news.join("\n"), output.text);
    ToolOutput { text, ..output }
}

/// What whoever had the wheel has left, in words.
pub(super) fn left_by(handed: &Handed) -> String {
    match handed.note.as_str() {
        "" => format!("{} had the wheel of this browser meanwhile", handed.name),
        note => format!("{} had the wheel of this browser meanwhile and says: {note}", handed.name),
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

/// A line for each tab.
pub(super) fn listed(tabs: &[TabInfo]) -> String {
    let line = |tab: &TabInfo| {
        let (title, url) = (Quoted(&tab.title, MAX_TITLE), escape::plain(&tab.url, MAX_URL));
        let crashed = if tab.has_crashed { " crashed" } else { "" };
        format!("t{} {title} {url}{crashed}", tab.number)
    };
    tabs.iter().map(line).collect::<Vec<_>>().join("\n")
}
