//! `browser_download`: copies a file that the agent's browser has downloaded into the agent's folder. It is a file tool
//! like `write`, so a crash is settled in the same way. The file counts as untrusted content.

use std::borrow::Cow;
use std::path::Path;
use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::Deserialize;

use browser::downloads::{Download, DownloadState};
use browser::launch::Browser;
use browser::snapshot::escape::Quoted;
use features::agents::queries::reach;
use features::trust::authorize::{Facts, OutgoingRequest, Reach};
use features::trust::queries::{self as trust, SiteAct};
use features::trust::sites;
use kernel::{AccessDecision, Can, TypedId as _};
use tool::{
    Aliases, Effect, FileChange, FilePlan, FileTool, Group, ToolCx, ToolError, ToolOutput,
    ToolSpec, untrusted,
};
use web::format;

use super::answer::Told;
use super::keep::{self, Keep};
use super::{BrowserAction, allowed};
use crate::tools::folder::{self, Current, MAX_FILE, blocking};

pub(crate) const NAME: &str = "browser_download";
/// Longest name of a download that is shown, in characters.
const MAX_SHOWN: usize = 120;
/// How long the tool waits for a running download.
const COMES_WITHIN: Duration = Duration::from_secs(20);
/// How long the tool waits for a download to start.
const BEGINS_WITHIN: Duration = Duration::from_secs(2);
/// Interval of checks.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

pub(crate) struct Save;

/// What `browser_download` takes.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct SaveArgs {
    /// Part of its name (the newest).
    name: Option<String>,
    /// Path in your folder (downloads/ and its name).
    pub(super) path: Option<String>,
}

impl SaveArgs {
    /// The part of the name to search for.
    pub(super) fn wanted(&self) -> &str {
        self.name.as_deref().unwrap_or_default().trim()
    }
}

impl FileTool for Save {
    type Args = SaveArgs;
    const SPEC: ToolSpec = ToolSpec {
        name: Cow::Borrowed(NAME),
        group: Group::Web,
        needs: Can::Write,
        effect: Effect::File,
        about: Cow::Borrowed("Save a file that your browser has downloaded to your folder."),
    };
    const ALIASES: Aliases = &[("file", "path"), ("file_path", "path"), ("filename", "name")];

    async fn plan(&self, cx: &ToolCx, args: SaveArgs) -> Result<FilePlan, ToolError> {
        allowed(cx)?;
        let browser = cx.ws.app.browsers.get(cx.ws.browser_of(cx.agent));
        let browser = browser.ok_or_else(|| none(""))?;
        let one = come(&browser, args.wanted()).await?;
        let (agent, now) = (cx.agent, cx.ws.app.clock.now());
        let does = Some((SiteAct::Download.word(), keep::address(&one)));
        let refused = cx.ws.read(|snap| trust::refused_in_browser(snap, agent, does, now))?;
        if let Some(why) = refused {
            return Err(ToolError::refused("denied", format!("{why}.")));
        }
        is_allowed(cx, &one)?;
        if MAX_FILE < one.bytes {
            let text = format!(
                "it has {}, and files in your folder can have at most {}; a person can get it from \
                 the Browser tab",
                format::size(one.bytes),
                format::size(MAX_FILE)
            );
            return Err(ToolError::refused("too_large", text));
        }
        let wanted = args.path.unwrap_or_else(|| place(cx, &one.name));
        let (id, root) = (untrusted::id_for(cx), cx.folder.clone());
        let from = browser.setup().downloads();
        blocking(move || {
            let came = folder::current(&folder::open(&from)?, &one.file)?.ok_or_else(|| {
                ToolError::refused("file_missing", "the download no longer exists")
            })?;
            plan(&root, came, &wanted, &id)
        })
        .await
    }
}

/// Refuses a download that started after the access check, unless it needs no approval anyway.
fn is_allowed(cx: &ToolCx, one: &Download) -> Result<(), ToolError> {
    let stage = cx.ws.app.browsers.stage(cx.ws.browser_of(cx.agent));
    let weighed = stage.and_then(|stage| stage.take_expected((cx.run.uuid(), cx.step)));
    if weighed.is_some_and(|weighed| weighed == keep::expected(one)) {
        return Ok(());
    }
    let facts = Facts::of(NAME, Effect::File, Reach::Inside, cx.ws.app.clock.now());
    let keep = Keep::of(one);
    let verdict = cx.ws.read(|snap| {
        let agents = reach::agents_of(snap, cx.agent, cx.run)?;
        keep.verdict(snap, &agents, cx.run, &facts)
    })?;
    if verdict.decision == AccessDecision::Allow {
        return Ok(());
    }
    let text = format!("this needs approval: call {NAME} again. {}", verdict.why);
    Err(ToolError::refused("ask_first", text))
}

/// The plan for writing the file.
fn plan(root: &Path, came: Current, wanted: &str, id: &str) -> Result<FilePlan, ToolError> {
    let files = folder::open(root)?;
    let path = folder::relative(&files, wanted)?;
    let Current { bytes: content, hash, .. } = came;
    let now = folder::current(&files, &path)?;
    if now.as_ref().is_some_and(|now| now.hash != hash) {
        let text = "a different file has this path; give another path";
        return Err(ToolError::refused("conflict", text));
    }
    // The file name comes from the page, so it is untrusted.
    let text = format!(
        "saved {}, hash {}, at:\n{}",
        format::size(content.len() as u64),
        folder::short(&hash),
        untrusted::wrap(id, &path)
    );
    let before = now.map(|now| now.hash);
    let change = FileChange { path, before, content: Some(content), executable: false };
    Ok(FilePlan { changes: vec![change], output: ToolOutput::text(text) })
}

impl BrowserAction<'_> {
    fn downloads_since(&self, newest: Option<&str>) -> Vec<Download> {
        let mut all = self.browser.downloads();
        let known = all.iter().rposition(|one| Some(one.file.as_str()) == newest);
        all.split_off(known.map_or(0, |at| at + 1))
    }

    /// The newest download at this moment.
    pub(super) fn newest_download(&self) -> Option<String> {
        self.browser.downloads().pop().map(|one| one.file)
    }

    /// Marks the downloads that an allowed action has started from this site, so that they need no second approval.
    pub(super) fn agree_to_downloads(&self, newest: Option<&str>, site: &OutgoingRequest) {
        for one in self.downloads_since(newest) {
            if sites::place(&keep::request_for(&one)) == sites::place(site) {
                self.stage.agree(one.file);
            }
        }
    }

    /// Names the downloads that an action has started: those newer than `newest`.
    pub(super) fn with_downloads(&self, newest: Option<&str>, mut result: Told) -> Told {
        let come = self.downloads_since(newest);
        if come.is_empty() || self.stage.is_dark() {
            return result;
        }
        result.ours = format!(
            "downloads started; {NAME} saves one to your folder, after approval if it needs \
             one\n{}",
            result.ours
        );
        result.load = Some(NAME);
        let mut lines = String::new();
        for one in come {
            lines.push_str(&format!("download {}\n", Quoted(&one.name, MAX_SHOWN)));
        }
        result.words.insert_str(0, &lines);
        if let Some(whole) = &mut result.whole {
            whole.insert_str(0, &lines);
        }
        result
    }
}

/// The default path of a download; special characters in its name are replaced.
fn place(cx: &ToolCx, name: &str) -> String {
    let folder = cx.child.as_ref().map(|child| format!("{}/", child.folder));
    format!("{}downloads/{}", folder.unwrap_or_default(), plain(name))
}

fn plain(name: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || " ._-()".contains(c);
    name.chars().map(|c| if is_plain(c) { c } else { '_' }).collect()
}

/// The newest download whose name contains `name`.
pub(super) fn newest(all: Vec<Download>, name: &str) -> Option<Download> {
    let low = name.to_lowercase();
    all.into_iter().rfind(|one| one.name.to_lowercase().contains(&low))
}

/// Waits until the newest download with this name is complete.
async fn come(browser: &Browser, name: &str) -> Result<Download, ToolError> {
    let begun = Instant::now();
    loop {
        match newest(browser.downloads(), name) {
            None if BEGINS_WITHIN <= begun.elapsed() => return Err(none(name)),
            Some(one) => match one.state {
                DownloadState::Done => return Ok(one),
                DownloadState::Running if begun.elapsed() < COMES_WITHIN => {}
                DownloadState::Running => {
                    let text = format!("{} downloaded so far; try again", format::size(one.bytes));
                    return Err(ToolError::refused("still_coming", text));
                }
                DownloadState::Failed => {
                    let text = "the download failed; start it again";
                    return Err(ToolError::refused("download_failed", text));
                }
                DownloadState::TooLarge => {
                    let text = "it was stopped because this browser's downloads would be too large in \
                         total";
                    return Err(ToolError::refused("too_large", text));
                }
            },
            None => {}
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

fn none(name: &str) -> ToolError {
    let which = if name.is_empty() { "nothing" } else { "no file with this name" };
    let text = format!("{which} has been downloaded since HQ started");
    ToolError::refused("no_download", text)
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn the_name_of_a_page_leads_nowhere_and_forges_nothing() {
        assert_eq!(plain("Offer März (2).pdf"), "Offer März (2).pdf");
        assert_eq!(plain("../a\u{202e}fdp.exe"), ".._a_fdp.exe");
        assert_eq!(plain("]\n button \"OK\""), "__ button _OK_");
    }
}
