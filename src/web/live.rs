//! Subscriptions of page regions, as htmx attributes.
//!
//! The page's stream names changed tables and ids. A script converts each into DOM events on `<body>`:
//! `hq:tasks:<id>` and `hq:tasks` for a record, `hq:tasks:any` and `hq:tasks` for a whole table, `hq:resync` after a
//! gap. A region with [`Live`] then refetches itself.

use std::fmt::{self, Display, Formatter};

use crate::html::escape;

/// Delay between a change and the refetch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Wait {
    /// A short delay, which merges several events of one message, and those of the response to the user's own change,
    /// into one request.
    #[default]
    Soon,
    /// Longer than the refetch of the main content, shorter than the batching delay of the stream in a series of
    /// changes.
    Later,
    /// Debounced: waits for a pause in the changes.
    Calm,
}

impl Wait {
    fn word(self) -> &'static str {
        match self {
            Self::Soon => "5ms",
            Self::Later => "60ms",
            Self::Calm => "500ms",
        }
    }
}

/// Attributes of a region that refreshes itself: `<section id="head" {{ live }}>`.
///
/// `url` must return exactly this region (same id) after its usual permission check. The response is morphed in, so
/// focus, selection and typed text are preserved. A region with a focused input waits until the focus leaves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Live {
    url: String,
    events: Vec<String>,
    wait: Wait,
}

impl Live {
    /// A region rendered by `url`.
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), events: Vec::new(), wait: Wait::Soon }
    }

    /// Waits for half a second without changes. For expensive regions that may lag.
    #[must_use]
    pub fn debounced(mut self) -> Self {
        self.wait = Wait::Calm;
        self
    }

    /// Refreshes after the main content. For secondary regions.
    #[must_use]
    pub fn later(mut self) -> Self {
        self.wait = Wait::Later;
        self
    }

    /// Refreshes when any record of `table` changes.
    #[must_use]
    pub fn table(mut self, table: &str) -> Self {
        self.events.push(format!("hq:{table}"));
        self
    }

    /// Refreshes when any record of one of these tables changes.
    #[must_use]
    pub fn tables(self, tables: &[&str]) -> Self {
        tables.iter().fold(self, |live, table| live.table(table))
    }

    /// Refreshes when this record of `table` changes.
    #[must_use]
    pub fn record(mut self, table: &str, id: impl Display) -> Self {
        self.events.push(format!("hq:{table}:{id}"));
        self.events.push(format!("hq:{table}:any"));
        self
    }
}

impl Display for Live {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, r#"hx-get="{}" hx-trigger=""#, escape(&self.url))?;
        for event in &self.events {
            write!(f, "{} from:body delay:{}, ", escape(event), self.wait.word())?;
        }
        f.write_str(r#"hq:resync from:body" hx-target="this" hx-swap="outerMorph" data-region"#)
    }
}

impl askama::filters::HtmlSafe for Live {}

#[cfg(test)]
mod tests {
    use super::Live;

    #[test]
    fn a_region_hears_its_record_its_table_and_a_gap() {
        let live = Live::new("/w/a/tasks/1?part=row&x=\"").record("tasks", 1).table("inbox");
        assert_eq!(
            live.to_string(),
            "hx-get=\"/w/a/tasks/1?part=row&amp;x=&quot;\" hx-trigger=\"hq:tasks:1 from:body \
             delay:5ms, hq:tasks:any from:body delay:5ms, hq:inbox from:body delay:5ms, \
             hq:resync from:body\" hx-target=\"this\" hx-swap=\"outerMorph\" data-region"
        );
    }

    #[test]
    fn a_calm_region_waits_for_a_pause() {
        let live = Live::new("/w/a/tasks").table("tasks").debounced().to_string();
        assert!(live.contains("hq:tasks from:body delay:500ms, hq:resync from:body\""), "{live}");
    }
}
