//! Starts and drives a Chromium over two pipes, in the jail of `sandbox`.
//!
//! A [`Browser`](launch::Browser) is a profile folder and, while in use, a process tree. Its [`Page`](page::Page)s
//! navigate, return text snapshots ([`snapshot`]), act on refs of these ([`act`]), and stream pictures ([`screencast`],
//! [`live_view`]). [`Browsers`](fleet::Browsers) has one per agent and limits how many run. The driver listens on no
//! port; every call ends, by a response, a crash or a timeout; page content is escaped before anybody reads it; no
//! process outlives HQ.

pub mod transport;
mod visits;
mod reopen;
mod protocol;
pub mod setup;
pub mod launch;
pub mod doctor;
mod events;
pub mod fleet;
pub mod tabs;
pub mod downloads;
pub mod page;
pub mod pdf;
pub mod refs;
pub mod snapshot;
pub mod act;
pub mod fields;
pub mod screencast;
pub mod chooser;
pub mod emulate;
pub mod hang;
pub mod heard;
pub mod storage;
pub mod script;
pub mod live_view;
#[cfg(test)]
mod tests;

use std::io;
use std::time::Duration;

use kernel::problem::{Problem, ProblemKind};
use sandbox::SandboxError;

/// Errors of a browser, in sentences for people and models.
#[derive(Debug, thiserror::Error)]
pub enum BrowserError {
    /// The jail could not start the program.
    #[error("the browser can't be started: {0}")]
    Start(#[from] SandboxError),
    /// A folder or file of the browser cannot be created or read.
    #[error("the browser's folder can't be used: {0}; check that the disk has space")]
    Folder(#[source] io::Error),
    /// The browser was not ready in time, or ended before.
    #[error("the browser didn't start: {0}; run `hq browser doctor`")]
    NotReady(String),
    /// Too many consecutive failures.
    #[error(
        "the browser failed {0} times in a row and isn't restarted automatically; stop it to try \
         again"
    )]
    GaveUp(u32),
    /// The browser ended during a call.
    #[error("the browser has ended; the last action might have happened, so check first")]
    Ended,
    /// The process of the page crashed.
    #[error("the page has crashed; open its address again")]
    Crashed,
    #[error("the tab is closed; choose another of the open tabs")]
    TabClosed,
    #[error("there is no tab t{0}; ask for the open tabs")]
    NoTab(u32),
    #[error("{0} tabs are open, which is the limit; close one first")]
    TooManyTabs(usize),
    #[error("the page didn't answer within {} s ({method}); reload it or close the \
        tab", within.as_secs_f32())]
    TimedOut {
        /// Method of the call.
        method: &'static str,
        within: Duration,
    },
    /// The response exceeds the size limit of a message.
    #[error("the page's answer is larger than 64 MB; ask for less, for example `within` a part")]
    TooLarge,
    /// Chromium returned an error.
    #[error("the browser refused {method}: {message}")]
    Refused {
        /// Method of the call.
        method: &'static str,
        /// Chromium's message.
        message: String,
    },
    /// A response does not match the protocol.
    #[error(
        "the browser's answer to {method} isn't understood: {source}; its version may be too new"
    )]
    Unclear {
        /// Method of the call.
        method: &'static str,
        #[source]
        source: serde_json::Error,
    },
    /// Addresses of this kind are not allowed.
    #[error("{0} can't be opened; use an http or https address")]
    Address(String),
    /// The navigation failed.
    #[error("{url} didn't open: {reason}")]
    Navigation {
        url: String,
        /// Chromium's error code.
        reason: String,
    },
    /// The address has not responded yet.
    #[error(
        "{url} didn't load within {} s; the tab is still waiting for it: check again later, or go \
         elsewhere", within.as_secs_f32()
    )]
    NotCome {
        url: String,
        /// How long the call waited.
        within: Duration,
    },
    /// The page does not answer.
    #[error(
        "the page doesn't respond because its scripts or dialogs keep it busy, perhaps endlessly; \
         navigate, reload or close the tab{}{dialogs}",
        if dialogs.is_empty() { "" } else { ". It has shown:\n" }
    )]
    Hangs {
        /// Its last dialogs, one per line, escaped.
        dialogs: String,
    },
    /// An act took too long.
    #[error(
        "this took longer than {} s and was cancelled; it might have happened, so check first. If \
         the page doesn't respond, navigate, reload or close the tab", .0.as_secs_f32()
    )]
    Late(Duration),
    #[error("the tab has no previous page")]
    NoHistory,
    #[error("the tab has no next page")]
    NoFuture,
    /// The argument is no ref.
    #[error("{0:?} isn't a ref; use one from the last snapshot, such as e12")]
    NotARef(String),
    /// The part is no longer in the page.
    #[error("e{number} is no longer in the page, which has now:\n{lines}")]
    Stale {
        number: u32,
        /// Lines of a current snapshot.
        lines: String,
    },
    /// The part cannot be acted on in its current state.
    #[error("e{number} {why}")]
    NotActionable {
        number: u32,
        /// Why, and what would help.
        why: String,
    },
    #[error("{0:?} isn't a key; use names such as Enter, ArrowDown, Control+A")]
    NotAKey(String),
    /// The awaited event did not happen.
    #[error("{what} didn't happen within {} s", within.as_secs_f32())]
    NotSeen {
        /// The awaited event in words.
        what: String,
        within: Duration,
    },
    /// The caller's script failed.
    #[error("the script failed: {0}")]
    Script(String),
    /// A person is in control.
    #[error(
        "{0} is in control of this browser; no one else can use it until control is handed \
        back"
    )]
    HumanInControl(String),
    /// Somebody else is acting.
    #[error("this browser is in use; try again in a few seconds")]
    Busy,
    /// The requester is not in control.
    #[error("you aren't in control of this browser; take control first")]
    NotDriving,
    /// No page waits for files.
    #[error("the page isn't waiting for a file; click its file field first")]
    NoChooser,
    /// A script of the agent might observe typed text.
    #[error(
        "an agent script has run in t{0}; reload or close that tab before a password is entered"
    )]
    Scripted(u32),
    /// The PDF of a page cannot be read.
    #[error("this PDF can't be read as text: {0}; take a screenshot of it")]
    Pdf(String),
    /// The page may still contain a credential.
    #[error("a password was typed into this page; reload it first")]
    KnowsSecret,
    /// An argument is invalid.
    #[error("{0}")]
    Wrong(String),
    /// A credential is being typed.
    #[error("hidden: a credential is being typed; the browser is hidden until that is done")]
    Hidden,
}

impl Problem for BrowserError {
    fn code(&self) -> &'static str {
        match self {
            Self::Start(_) => "browser_start_failed",
            Self::Folder(_) => "browser_folder_failed",
            Self::NotReady(_) => "browser_not_ready",
            Self::GaveUp(_) => "browser_gave_up",
            Self::Ended => "browser_ended",
            Self::Crashed => "page_crashed",
            Self::TabClosed => "tab_closed",
            Self::NoTab(_) => "no_such_tab",
            Self::TooManyTabs(_) => "too_many_tabs",
            Self::TimedOut { .. } => "page_timed_out",
            Self::TooLarge => "page_too_large",
            Self::Refused { .. } => "browser_refused",
            Self::Unclear { .. } => "browser_unclear",
            Self::Address(_) => "address_refused",
            Self::Navigation { .. } => "navigation_failed",
            Self::NotCome { .. } => "not_come",
            Self::Hangs { .. } => "page_hangs",
            Self::Late(_) => "page_timed_out",
            Self::NoHistory | Self::NoFuture => "no_history",
            Self::NotARef(_) => "not_a_ref",
            Self::Stale { .. } => "stale_ref",
            Self::NotActionable { .. } => "not_actionable",
            Self::NotAKey(_) => "not_a_key",
            Self::NotSeen { .. } => "not_seen",
            Self::Script(_) => "script_failed",
            Self::HumanInControl(_) => "human_in_control",
            Self::Busy => "browser_busy",
            Self::NotDriving => "not_driving",
            Self::NoChooser => "no_chooser",
            Self::Scripted(_) => "script_in_page",
            Self::Pdf(_) => "pdf_unreadable",
            Self::KnowsSecret => "credential_in_page",
            Self::Wrong(_) => "invalid",
            Self::Hidden => "hidden",
        }
    }

    fn kind(&self) -> ProblemKind {
        match self {
            Self::NoTab(_) => ProblemKind::NotFound,
            Self::TabClosed | Self::Stale { .. } => ProblemKind::Gone,
            Self::NoHistory
            | Self::NoFuture
            | Self::NotActionable { .. }
            | Self::NotSeen { .. }
            | Self::HumanInControl(_)
            | Self::Busy
            | Self::NotDriving
            | Self::NoChooser
            | Self::Scripted(_)
            | Self::KnowsSecret
            | Self::Hidden => ProblemKind::Conflict,
            Self::TooManyTabs(_) => ProblemKind::Limited,
            Self::TooLarge => ProblemKind::TooLarge,
            Self::Address(_)
            | Self::NotARef(_)
            | Self::NotAKey(_)
            | Self::Script(_)
            | Self::Wrong(_) => ProblemKind::Invalid,
            Self::Navigation { .. }
            | Self::NotCome { .. }
            | Self::Hangs { .. }
            | Self::Late(_)
            | Self::Crashed
            | Self::Pdf(_)
            | Self::TimedOut { .. }
            | Self::Refused { .. }
            | Self::Unclear { .. } => ProblemKind::Upstream,
            Self::NotReady(_) | Self::GaveUp(_) | Self::Ended => ProblemKind::Unavailable,
            Self::Start(problem) => problem.kind(),
            Self::Folder(_) => ProblemKind::Internal,
        }
    }
}
