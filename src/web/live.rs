//! What a region of a page wants to hear about, as attributes for htmx.
//!
//! The page's one stream names changed tables and ids; a script repeats each as DOM events on
//! `<body>`: `hq:tasks:<id>` and `hq:tasks` for a record, `hq:tasks:any` and `hq:tasks` for a
//! whole table, `hq:resync` after a gap. A region that carries [`Live`] fetches itself again.

use std::fmt::{self, Display, Formatter};

use crate::html::escape;

/// How long a region waits after a change, and after each that comes meanwhile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Wait {
    /// One message may name several things, and the answer to one's own change names them once more: the short
    /// wait makes one request of them.
    #[default]
    Soon,
    /// Longer than what somebody looks at takes, shorter than changes are gathered where many follow each other.
    Later,
    /// Until nothing more comes.
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

/// Attributes of a region that renews itself: `<section id="head" {{ live }}>`.
///
/// `url` must answer with exactly this region (same id), after its usual check of rights. The
/// answer is morphed in, so focus, selection and half-typed text stay; a region in which
/// somebody is typing waits until they leave it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Live {
    url: String,
    events: Vec<String>,
    wait: Wait,
}

impl Live {
    /// A region that `url` renders.
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), events: Vec::new(), wait: Wait::Soon }
    }

    /// Renews when half a second has passed without a further change: for what is dear to make and may be late.
    #[must_use]
    pub fn debounced(mut self) -> Self {
        self.wait = Wait::Calm;
        self
    }

    /// Renews after the others: for what stands beside what somebody looks at.
    #[must_use]
    pub fn later(mut self) -> Self {
        self.wait = Wait::Later;
        self
    }

    /// Renews when any record of `table` changed.
    #[must_use]
    pub fn table(mut self, table: &str) -> Self {
        self.events.push(format!("hq:{table}"));
        self
    }

    /// Renews when any record of one of these tables changed.
    #[must_use]
    pub fn tables(self, tables: &[&str]) -> Self {
        tables.iter().fold(self, |live, table| live.table(table))
    }

    /// Renews when this record of `table` changed.
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
