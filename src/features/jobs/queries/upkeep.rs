//! HQ's own background work: backups, index rebuilds, store checks. Kept only in memory; after a restart it starts on
//! its own or must be requested again.

use app::Ws;
use kernel::Timestamp;
use kernel::text::capitalized;

/// A piece of background work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upkeep {
    /// Stable word: `backups`, `search_index`, or the name of the work in Health.
    pub kind: String,
    pub title: String,
    /// Progress in words, may be empty.
    pub detail: String,
    /// Start, if known.
    pub since: Option<Timestamp>,
    /// Progress in percent, if known.
    pub percent: Option<u8>,
}

/// Current background work of the workspace and of HQ.
#[must_use]
pub fn upkeep(ws: &Ws) -> Vec<Upkeep> {
    let mut all = Vec::new();
    if let Some(busy) = ws.app.backups.busy() {
        let progress = busy.meter.progress();
        all.push(Upkeep {
            kind: "backups".to_owned(),
            title: capitalized(busy.what),
            detail: progress.phase.label().to_owned(),
            since: Some(busy.since),
            percent: (0 < progress.total).then_some(progress.percent),
        });
    }
    if let Some(records) = ws.finding.building() {
        all.push(Upkeep {
            kind: "search_index".to_owned(),
            title: "Rebuilding the search index".to_owned(),
            detail: format!("{records} records so far"),
            since: None,
            percent: None,
        });
    }
    for (kind, state) in ws.app.jobs.under_way(&ws.slug) {
        let share = (state.done.min(state.total) * 100).checked_div(state.total);
        all.push(Upkeep {
            kind: kind.to_owned(),
            title: title(kind),
            detail: capitalized(&state.what),
            since: Some(state.began),
            percent: share.and_then(|share| u8::try_from(share).ok()),
        });
    }
    all
}

fn title(kind: &str) -> String {
    match kind {
        "verify" => "Verifying the history".to_owned(),
        "verify_blobs" => "Verifying all files".to_owned(),
        "doctor" => "Checking the store".to_owned(),
        "check" => "Checking the store’s file".to_owned(),
        "compact" => "Compacting the store".to_owned(),
        "stats" => "Counting stored records".to_owned(),
        "export" => "Exporting the workspace".to_owned(),
        other => capitalized(&other.replace('_', " ")),
    }
}

#[cfg(test)]
mod tests {
    use super::title;

    #[test]
    fn work_has_words_for_people() {
        assert_eq!(title("verify"), "Verifying the history");
        assert_eq!(title("some_work"), "Some work");
    }
}
