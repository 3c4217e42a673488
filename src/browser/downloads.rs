//! Downloads of pages, into one folder, with a limit on their total size.

use crate::protocol::{DownloadBegins, DownloadProgress};

/// Maximum number of listed downloads; the oldest finished one is dropped.
const KEPT: usize = 100;

/// Maximum characters of an address.
const MAX_URL: usize = 2_000;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Download {
    /// File name in the downloads folder.
    pub file: String,
    /// Name suggested by the page, without folders.
    pub name: String,
    /// Source address.
    pub url: String,
    /// The tab of the page; `None` if it was already closed.
    pub tab: Option<u32>,
    /// Bytes received.
    pub bytes: u64,
    pub state: DownloadState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DownloadState {
    Running,
    Done,
    /// The download was interrupted.
    Failed,
    /// Cancelled, because the total size would exceed the limit.
    TooLarge,
}

/// All downloads of a browser.
pub(crate) struct Downloads {
    list: Vec<Download>,
    limit: u64,
    /// Bytes of downloads that are no longer listed, and of those before the start.
    before: u64,
}

impl Downloads {
    pub(crate) fn new(limit: u64, before: u64) -> Self {
        Self { list: Vec::new(), limit, before }
    }

    /// Adds the downloads of the previous process, whose bytes are already counted.
    pub(crate) fn with(mut self, kept: Vec<Download>) -> Self {
        let bytes: u64 = kept.iter().map(|one| one.bytes).sum();
        self.before = self.before.saturating_sub(bytes);
        self.list = kept;
        self
    }

    pub(crate) fn list(&self) -> &[Download] {
        &self.list
    }

    pub(crate) fn begin(&mut self, begins: DownloadBegins, tab: Option<u32>) {
        if self.list.len() == KEPT
            && let Some(at) = self.list.iter().position(|one| one.state != DownloadState::Running)
        {
            self.before += self.list.remove(at).bytes;
        }
        self.list.push(Download {
            name: file_name(&begins.suggested_filename),
            file: begins.guid,
            url: begins.url.chars().take(MAX_URL).collect(),
            tab,
            bytes: 0,
            state: DownloadState::Running,
        });
    }

    /// Updates the progress of a download; returns whether it must be cancelled.
    pub(crate) fn progress(&mut self, progress: &DownloadProgress) -> bool {
        let Some(at) = self.list.iter().position(|one| one.file == progress.guid) else {
            return true; // its start was not reported
        };
        // Chromium sends floating-point numbers; neither is negative.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bytes")]
        let [received, total] = [progress.received_bytes, progress.total_bytes].map(|n| n as u64);
        self.list[at].bytes = received;
        let all: u64 = self.list.iter().map(|one| one.bytes).sum();
        let expected = self.before + all + total.saturating_sub(received);
        let one = &mut self.list[at];
        one.state = match (progress.state.as_str(), one.state) {
            (_, DownloadState::TooLarge) => DownloadState::TooLarge,
            (_, _) if self.limit < expected => DownloadState::TooLarge,
            ("completed", _) => DownloadState::Done,
            ("canceled", _) => DownloadState::Failed,
            (_, state) => state,
        };
        one.state == DownloadState::TooLarge && progress.state == "inProgress"
    }
}

/// The last path component of a suggested name, without invalid characters.
fn file_name(suggested: &str) -> String {
    let last = suggested.rsplit(['/', '\\']).next().unwrap_or_default();
    let name: String = last.chars().filter(|c| !c.is_control()).take(120).collect();
    match name.trim_matches(['.', ' ']) {
        "" => "download".to_owned(),
        name => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begins(guid: &str, name: &str) -> DownloadBegins {
        DownloadBegins {
            frame_id: String::new(),
            guid: guid.to_owned(),
            url: "http://a.test/f".to_owned(),
            suggested_filename: name.to_owned(),
        }
    }

    fn at(guid: &str, received: f64, total: f64, state: &str) -> DownloadProgress {
        DownloadProgress {
            guid: guid.to_owned(),
            total_bytes: total,
            received_bytes: received,
            state: state.to_owned(),
        }
    }

    #[test]
    fn a_name_from_a_page_leads_to_no_other_folder() {
        for (name, kept) in
            [("a.pdf", "a.pdf"), ("../../x", "x"), ("..", "download"), ("c:\\y\n", "y")]
        {
            assert_eq!(file_name(name), kept);
        }
    }

    #[test]
    fn the_limit_counts_all_downloads_together_and_what_was_announced() {
        let mut downloads = Downloads::new(100, 10);
        downloads.begin(begins("1", "a"), Some(1));
        assert!(!downloads.progress(&at("1", 60.0, 60.0, "completed")));
        downloads.begin(begins("2", "b"), None);
        assert!(!downloads.progress(&at("2", 10.0, 30.0, "inProgress")));
        assert!(downloads.progress(&at("2", 10.0, 31.0, "inProgress")));
        assert!(!downloads.progress(&at("2", 10.0, 31.0, "canceled")));
        assert_eq!(downloads.list()[1].state, DownloadState::TooLarge);

        // Downloads of the previous browser count once.
        let kept = downloads.list()[..1].to_vec();
        let mut anew = Downloads::new(100, 60).with(kept);
        anew.begin(begins("3", "c"), None);
        assert!(!anew.progress(&at("3", 40.0, 40.0, "inProgress")));
        assert!(anew.progress(&at("3", 40.0, 41.0, "inProgress")));
    }
}
