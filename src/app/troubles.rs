//! Problems of hosts: those that a host reports with its heartbeats, and copied folders. In memory only: hosts report
//! them again after a restart.

use kernel::Timestamp;

/// Clock offset in milliseconds above which a clock is wrong.
const OFF: i64 = 5_000;
/// Clock offset in milliseconds below which a wrong clock counts as right again.
const AGREES: i64 = 3_000;
/// A delayed heartbeat makes a clock look slow, so this many heartbeats in a row must show the offset.
const LATE: u32 = 2;
/// Number of heartbeats in a row without progress after which unsent writes count as stalled.
const STALLED: u32 = 2;

/// Report in a host's heartbeat.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Offset of the host's clock to the primary's in milliseconds; positive if the host is ahead.
    pub clock_ms: Option<i64>,
    /// Whether the host's disk is too full to save replicated data.
    pub disk_full: bool,
    /// Any other reason why the host cannot work; empty if there is none.
    pub stuck: String,
    /// Number of run writes that wait to be sent.
    pub unsent: u64,
    /// Time and reason of the last outage.
    pub broke: Option<(Timestamp, String)>,
}

impl Report {
    /// The amount of unsent changes as text; empty if there are none.
    #[must_use]
    pub fn waits(&self) -> String {
        match self.unsent {
            0 => String::new(),
            1 => "1 change waits to be sent".to_owned(),
            many => format!("{many} changes wait to be sent"),
        }
    }
}

/// A problem of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    DiskFull,
    /// Offset of the host's clock in milliseconds; positive if the host is ahead.
    Clock(i64),
    /// Reason reported by the host.
    Stuck(String),
    /// Number of unsent writes; none gets through.
    Unsent(u64),
    /// The folder was copied: several machines have the same key, and all are held.
    Copied,
}

impl Trouble {
    /// Name on the wire.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::DiskFull => "disk_full",
            Self::Clock(_) => "clock",
            Self::Stuck(_) => "stuck",
            Self::Unsent(_) => "unsent",
            Self::Copied => "copied",
        }
    }

    /// Sentence for people; `label` is the name of the host.
    #[must_use]
    pub fn describe(&self, label: &str) -> String {
        match self {
            Self::DiskFull => {
                format!("The disk of {label} is full. It is waiting, and nothing is lost.")
            }
            Self::Clock(ms) => {
                let way = if 0 < *ms { "ahead" } else { "behind" };
                format!("The clock of {label} is {} {way}.", span(ms.unsigned_abs()))
            }
            Self::Stuck(words) => {
                format!("{label} reports: {}.", words.trim_end_matches(['.', ' ']))
            }
            Self::Unsent(1) => format!("1 change on {label} is waiting to be sent."),
            Self::Unsent(many) => format!("{many} changes on {label} are waiting to be sent."),
            Self::Copied => {
                format!(
                    "Two machines run as {label} because its folder was copied. Both are paused \
                     until you choose one."
                )
            }
        }
    }

    /// What people can do about the problem.
    #[must_use]
    pub fn help(&self) -> &'static str {
        match self {
            Self::DiskFull => "Free some space there; work then continues.",
            Self::Clock(_) => "Turn on network time there: timedatectl set-ntp true.",
            Self::Stuck(_) => "Run `hq replica doctor` there.",
            Self::Unsent(_) => {
                "Runs made them while the connection was lost, and sending them fails. Run `hq \
                 replica doctor` there."
            }
            Self::Copied => "Choose one on the gateway’s page. The other loses access permanently.",
        }
    }
}

/// Formats a duration in whole units.
fn span(ms: u64) -> String {
    let secs = ms / 1_000;
    let (n, one, many) = match secs {
        0..120 => (secs, "second", "seconds"),
        120..7_200 => (secs / 60, "minute", "minutes"),
        7_200..172_800 => (secs / 3_600, "hour", "hours"),
        _ => (secs / 86_400, "day", "days"),
    };
    format!("{n} {}", if n == 1 { one } else { many })
}

/// Notification due after a heartbeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// Nothing new.
    Same,
    /// A new problem. Contains all current problems, new ones first.
    Began(Vec<Trouble>),
    /// The last problem has ended.
    Over,
}

/// State of one host.
#[derive(Debug, Default)]
pub(crate) struct Known {
    report: Report,
    /// Heartbeats in a row that made the clock look slow.
    late: u32,
    is_off: bool,
    /// Heartbeats in a row without progress of unsent writes.
    stalled: u32,
    /// Names of the problems that people were notified of; `None` before the first heartbeat after a start of HQ.
    notified: Option<Vec<&'static str>>,
}

impl Known {
    /// Stores a report and returns the notification due.
    pub(crate) fn hear(&mut self, report: Report) -> News {
        let (off, limit) =
            (report.clock_ms.unwrap_or_default(), if self.is_off { AGREES } else { OFF });
        self.late = if off < -limit { self.late.saturating_add(1) } else { 0 };
        self.is_off = limit < off || LATE <= self.late;
        let waited = 0 < self.report.unsent && self.report.unsent <= report.unsent;
        self.stalled = if waited { self.stalled.saturating_add(1) } else { 0 };
        self.report = report;
        self.news()
    }

    fn news(&self) -> News {
        let mut all = self.troubles();
        let notified = self.notified.as_deref();
        let is_new = |one: &Trouble| !notified.unwrap_or_default().contains(&one.word());
        match (all.iter().any(is_new), all.is_empty(), notified) {
            (true, ..) => {
                all.sort_by_key(|one| !is_new(one));
                News::Began(all)
            }
            // A problem notified before the last restart may have ended.
            (_, true, None | Some([_, ..])) => News::Over,
            _ => News::Same,
        }
    }

    /// Marks the current problems as notified.
    pub(crate) fn are_told(&mut self) {
        self.notified = Some(self.troubles().iter().map(Trouble::word).collect());
    }

    pub(crate) fn troubles(&self) -> Vec<Trouble> {
        let report = &self.report;
        let mut all = Vec::new();
        if report.disk_full {
            all.push(Trouble::DiskFull);
        }
        if let Some(ms) = report.clock_ms.filter(|_| self.is_off) {
            all.push(Trouble::Clock(ms));
        }
        if !report.stuck.is_empty() {
            all.push(Trouble::Stuck(report.stuck.clone()));
        }
        if STALLED <= self.stalled {
            all.push(Trouble::Unsent(report.unsent));
        }
        all
    }

    pub(crate) fn report(&self) -> &Report {
        &self.report
    }
}

#[cfg(test)]
mod tests {
    use super::{Known, News, Report, Trouble};

    fn clock(ms: i64) -> Report {
        Report { clock_ms: Some(ms), ..Report::default() }
    }

    fn unsent(unsent: u64) -> Report {
        Report { unsent, ..Report::default() }
    }

    #[test]
    fn what_is_wrong_is_told_in_plain_words() {
        let table = [
            (Trouble::DiskFull, "The disk of GPU box is full. It is waiting, and nothing is lost."),
            (Trouble::Clock(720_000), "The clock of GPU box is 12 minutes ahead."),
            (Trouble::Clock(-6_000), "The clock of GPU box is 6 seconds behind."),
            (Trouble::Clock(-86_400_000 * 3), "The clock of GPU box is 3 days behind."),
            (Trouble::Stuck("no room. ".to_owned()), "GPU box reports: no room."),
            (Trouble::Unsent(1), "1 change on GPU box is waiting to be sent."),
            (Trouble::Unsent(38), "38 changes on GPU box are waiting to be sent."),
            (
                Trouble::Copied,
                "Two machines run as GPU box because its folder was copied. Both are paused until \
                 you choose one.",
            ),
        ];
        for (trouble, expected) in table {
            assert_eq!(trouble.describe("GPU box"), expected);
        }
        assert_eq!(unsent(38).waits(), "38 changes wait to be sent");
        assert_eq!(unsent(0).waits(), "");
    }

    #[test]
    fn a_trouble_is_told_when_it_begins_and_when_all_is_over() {
        let mut known = Known::default();
        let full = || Report { disk_full: true, ..Report::default() };
        assert_eq!(known.hear(full()), News::Began(vec![Trouble::DiskFull]));
        // The news repeat until people were told: the notification may have failed.
        assert_eq!(known.hear(full()), News::Began(vec![Trouble::DiskFull]));
        known.are_told();
        assert_eq!(known.hear(full()), News::Same);
        let both = Report { clock_ms: Some(9_000), ..full() };
        let all = vec![Trouble::Clock(9_000), Trouble::DiskFull];
        assert_eq!(known.hear(both), News::Began(all), "the new first");
        known.are_told();
        assert_eq!(known.hear(full()), News::Same, "something is wrong still");
        known.are_told();
        assert_eq!(known.hear(Report::default()), News::Over);
        known.are_told();
        assert_eq!(known.hear(Report::default()), News::Same);
        assert_eq!(known.hear(full()), News::Began(vec![Trouble::DiskFull]), "a new trouble");
        // A problem ended while the primary was down.
        assert_eq!(Known::default().hear(Report::default()), News::Over);
    }

    #[test]
    fn a_clock_is_off_by_more_than_five_seconds_and_no_beat_that_is_late_makes_it_so() {
        let mut known = Known::default();
        known.are_told();
        assert_eq!(known.hear(clock(5_000)), News::Same);
        assert_eq!(known.hear(clock(-60_000)), News::Same, "the beat may have been held up");
        assert_eq!(known.hear(clock(-100)), News::Same);
        known.hear(clock(-6_000));
        assert_eq!(known.hear(clock(-6_100)), News::Began(vec![Trouble::Clock(-6_100)]));
        known.are_told();
        assert_eq!(known.hear(clock(-4_000)), News::Same, "it does not come and go");
        assert_eq!(known.hear(clock(-2_900)), News::Over);
        known.are_told();
        assert_eq!(known.hear(clock(5_001)), News::Began(vec![Trouble::Clock(5_001)]));
    }

    #[test]
    fn writes_that_wait_are_trouble_when_none_gets_through() {
        let mut known = Known::default();
        known.are_told();
        for waits in [0, 400, 300, 300, 299, 0, 5] {
            assert_eq!(known.hear(unsent(waits)), News::Same, "{waits}");
        }
        assert_eq!(known.hear(unsent(5)), News::Same);
        assert_eq!(known.hear(unsent(6)), News::Began(vec![Trouble::Unsent(6)]));
        known.are_told();
        assert_eq!(known.hear(unsent(2)), News::Over);
    }
}
