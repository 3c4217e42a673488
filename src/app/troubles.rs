//! What is wrong with hosts: what each says with its beats, and that two have one key. Kept in memory alone: each says it
//! again.

use kernel::Timestamp;

/// A clock that is off by more than this, in milliseconds, is trouble ...
const OFF: i64 = 5_000;
/// ... until it is off by no more than this.
const AGREES: i64 = 3_000;
/// A beat that was held up on its way makes a clock look behind: so many in a row have to say so.
const LATE: u32 = 2;
/// After so many beats in a row with which no fewer writes wait than before, they do not get through.
const STALLED: u32 = 2;

/// What a host says of itself with a beat.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// How far its clock is ahead of home's, in milliseconds; none where it does not say.
    pub clock_ms: Option<i64>,
    /// Whether its disk is too full to save what it is sent.
    pub disk_full: bool,
    /// Any other reason why it cannot work; empty if there is none.
    pub stuck: String,
    /// So many writes of runs wait to be sent.
    pub unsent: u64,
    /// When it last had no link, and why.
    pub broke: Option<(Timestamp, String)>,
}

impl Report {
    /// How much waits to be sent, in words; nothing where nothing does.
    #[must_use]
    pub fn waits(&self) -> String {
        match self.unsent {
            0 => String::new(),
            1 => "1 change waits to be sent".to_owned(),
            many => format!("{many} changes wait to be sent"),
        }
    }
}

/// Something that is wrong with a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Its disk takes nothing more.
    DiskFull,
    /// Its clock is ahead of home's by so many milliseconds, or behind.
    Clock(i64),
    /// It says itself what keeps it from its work.
    Stuck(String),
    /// So many writes wait to be sent, and none gets through.
    Unsent(u64),
    /// Its folder was copied: two machines have its key, and all of them are held.
    Copied,
}

impl Trouble {
    /// The word on the wire.
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

    /// A sentence for people about the host of this name.
    #[must_use]
    pub fn describe(&self, label: &str) -> String {
        match self {
            Self::DiskFull => {
                format!("The disk of {label} is full. It waits and misses nothing.")
            }
            Self::Clock(ms) => {
                let way = if 0 < *ms { "ahead" } else { "behind" };
                format!("The clock of {label} is {} {way}.", span(ms.unsigned_abs()))
            }
            Self::Stuck(words) => {
                format!("{label} reports: {}.", words.trim_end_matches(['.', ' ']))
            }
            Self::Unsent(1) => format!("1 change waits on {label} to be sent."),
            Self::Unsent(many) => format!("{many} changes wait on {label} to be sent."),
            Self::Copied => {
                format!(
                    "Two machines run as {label}: its folder was copied. Both are held until one is chosen."
                )
            }
        }
    }

    /// What people can do about it.
    #[must_use]
    pub fn help(&self) -> &'static str {
        match self {
            Self::DiskFull => "Free some space there; work then continues.",
            Self::Clock(_) => "Let the network set the clock there: timedatectl set-ntp true.",
            Self::Stuck(_) => "Run `hq replica doctor` there.",
            Self::Unsent(_) => {
                "Runs made them while the line was cut, and they do not get through. Run `hq replica doctor` there."
            }
            Self::Copied => {
                "Choose one on the page of the gateway. The other is turned away for good."
            }
        }
    }
}

/// A length of time in whole units.
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

/// What people are to be told after a beat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// Nothing that they were not told.
    Same,
    /// Something is wrong that was not before. All that is wrong, the new first.
    Began(Vec<Trouble>),
    /// Nothing is wrong any more.
    Over,
}

/// What is known of one host.
#[derive(Debug, Default)]
pub(crate) struct Known {
    report: Report,
    /// So many beats in a row made its clock look behind.
    late: u32,
    is_off: bool,
    /// So many beats in a row of its writes that wait none got through.
    stalled: u32,
    /// The troubles that people were notified of; none before the first beat after a start of HQ.
    told: Option<Vec<&'static str>>,
}

impl Known {
    /// It says how it is; gives what people are to be told.
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
        let told = self.told.as_deref();
        let is_new = |one: &Trouble| !told.unwrap_or_default().contains(&one.word());
        match (all.iter().any(is_new), all.is_empty(), told) {
            (true, ..) => {
                all.sort_by_key(|one| !is_new(one));
                News::Began(all)
            }
            // What was told before home was started may be over.
            (_, true, None | Some([_, ..])) => News::Over,
            _ => News::Same,
        }
    }

    /// People were told what is new.
    pub(crate) fn are_told(&mut self) {
        self.told = Some(self.troubles().iter().map(Trouble::word).collect());
    }

    /// What is wrong with it.
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
            (Trouble::DiskFull, "The disk of GPU box is full. It waits and misses nothing."),
            (Trouble::Clock(720_000), "The clock of GPU box is 12 minutes ahead."),
            (Trouble::Clock(-6_000), "The clock of GPU box is 6 seconds behind."),
            (Trouble::Clock(-86_400_000 * 3), "The clock of GPU box is 3 days behind."),
            (Trouble::Stuck("no room. ".to_owned()), "GPU box reports: no room."),
            (Trouble::Unsent(1), "1 change waits on GPU box to be sent."),
            (Trouble::Unsent(38), "38 changes wait on GPU box to be sent."),
            (
                Trouble::Copied,
                "Two machines run as GPU box: its folder was copied. Both are held until one is chosen.",
            ),
        ];
        for (trouble, told) in table {
            assert_eq!(trouble.describe("GPU box"), told);
        }
        assert_eq!(unsent(38).waits(), "38 changes wait to be sent");
        assert_eq!(unsent(0).waits(), "");
    }

    #[test]
    fn a_trouble_is_told_when_it_begins_and_when_all_is_over() {
        let mut known = Known::default();
        let full = || Report { disk_full: true, ..Report::default() };
        assert_eq!(known.hear(full()), News::Began(vec![Trouble::DiskFull]));
        // Until people were told: the store may have refused.
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
        // Home was started while something was wrong that is over.
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
