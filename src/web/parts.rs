//! Small views that template macros render: faces, tones, dots, tabs, choices.
//!
//! Features fill them, so that every person, agent and state looks the same on every page.

/// Meaning of a colour. Record states have their own colours; tones are for everything else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tone {
    /// No meaning.
    #[default]
    Neutral,
    /// Done, healthy.
    Ok,
    /// Work in progress, a hint.
    Info,
    /// Needs attention soon.
    Warn,
    /// Failed, overdue, destructive.
    Danger,
    /// Clickable or selected.
    Brand,
}

impl Tone {
    /// The value of `data-tone`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Neutral => "neutral",
            Self::Ok => "ok",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Danger => "danger",
            Self::Brand => "brand",
        }
    }

    /// Icon of a message with this tone.
    pub fn icon(self) -> &'static str {
        match self {
            Self::Ok => "check",
            Self::Warn | Self::Danger => "warn",
            Self::Neutral | Self::Info | Self::Brand => "info",
        }
    }
}

/// Icon of a tone given by name, for macros.
pub fn tone_icon(word: &str) -> &'static str {
    match word {
        "ok" => Tone::Ok.icon(),
        "warn" | "danger" => Tone::Warn.icon(),
        _ => Tone::Info.icon(),
    }
}

impl std::fmt::Display for Tone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl askama::filters::HtmlSafe for Tone {}

/// Shape of a face.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FaceKind {
    /// A circle.
    Person,
    /// A rounded square.
    Agent,
    /// A dashed circle: unassigned.
    #[default]
    Nobody,
}

/// Avatar of a person, an agent or nobody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Face {
    /// Shape.
    pub kind: FaceKind,
    /// Initials or an emoji.
    pub mark: String,
    /// Full name.
    pub name: String,
    /// One of the eight series colours, 1 to 8.
    pub colour: u8,
    /// Whether a run is active; draws the ring.
    pub live: bool,
}

impl Face {
    /// A person's face. Initials and colour are derived from the name.
    pub fn person(name: &str) -> Self {
        Self {
            kind: FaceKind::Person,
            mark: initials(name),
            name: name.to_owned(),
            colour: colour_of(name),
            live: false,
        }
    }

    /// An agent's face with its emoji. `seed` (slug or id) determines the colour, so that the colour survives a
    /// rename.
    pub fn agent(name: &str, emoji: &str, seed: &str) -> Self {
        let mark = if emoji.is_empty() { initials(name) } else { emoji.to_owned() };
        Self {
            kind: FaceKind::Agent,
            mark,
            name: name.to_owned(),
            colour: colour_of(seed),
            live: false,
        }
    }

    /// The face of an unassigned slot.
    pub fn nobody() -> Self {
        Self { name: "No one".to_owned(), ..Self::default() }
    }

    /// Sets whether the face has the activity ring.
    #[must_use]
    pub fn working(mut self, live: Working) -> Self {
        self.live = live == Working::Yes;
        self
    }

    /// The value of `data-kind`; empty for people.
    pub fn kind_word(&self) -> &'static str {
        match self.kind {
            FaceKind::Person => "person",
            FaceKind::Agent => "agent",
            FaceKind::Nobody => "none",
        }
    }

    /// Tooltip: the name and whether work is in progress.
    pub fn hint(&self) -> String {
        match self.live {
            true => format!("{}, working now", self.name),
            false => self.name.clone(),
        }
    }
}

/// Whether a person or agent is working now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Working {
    /// A run has an active step.
    Yes,
    /// No run has an active step.
    No,
}

impl From<bool> for Working {
    fn from(live: bool) -> Self {
        if live { Self::Yes } else { Self::No }
    }
}

/// A colour from 1 to 8, stable per seed. The hash is FNV-1a.
pub fn colour_of(seed: &str) -> u8 {
    let mut hash: u32 = 0x811c_9dc5;
    for byte in seed.bytes() {
        hash = (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    }
    u8::try_from((hash >> 7) % 8).map_or(1, |c| c + 1)
}

/// First letters of the first and the last word, in upper case.
pub fn initials(name: &str) -> String {
    let mut words = name.split_whitespace().filter_map(|w| w.chars().find(|c| c.is_alphanumeric()));
    let first = words.next();
    let last = words.next_back();
    first.into_iter().chain(last).flat_map(char::to_uppercase).collect()
}

/// A state with its coloured dot: `working`, `ready`, `paused`, `error`, …
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dot {
    /// A state name defined in `static/css/tokens.css`.
    pub state: String,
    /// Visible label.
    pub label: String,
}

impl Dot {
    /// A dot for `state` with the visible text `label`.
    pub fn new(state: impl Into<String>, label: impl Into<String>) -> Self {
        Self { state: state.into(), label: label.into() }
    }
}

/// A state as people see it: one value for all pages, made by one function for each kind of record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShownState {
    /// A state name defined in `static/css/tokens.css`, which gives it its colour. The API's word where it has one.
    pub word: &'static str,
    /// Visible label.
    pub label: String,
    /// Icon name.
    pub icon: &'static str,
}

impl ShownState {
    /// A state with its word, label and icon.
    pub fn new(word: &'static str, label: impl Into<String>, icon: &'static str) -> Self {
        Self { word, label: label.into(), icon }
    }
}

impl From<ShownState> for Dot {
    fn from(state: ShownState) -> Self {
        Self::new(state.word, state.label)
    }
}

/// A tab or a segment: a link to another view of the same thing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tab {
    /// Visible label.
    pub label: String,
    /// Link target.
    pub href: String,
    /// Icon name, or empty.
    pub icon: &'static str,
    /// Number beside the label.
    pub count: Option<u64>,
    /// What the number counts, if the label does not say it.
    pub count_label: String,
    /// Whether this view is shown.
    pub current: bool,
}

impl Tab {
    /// A tab without icon and number.
    pub fn new(label: impl Into<String>, href: impl Into<String>, current: bool) -> Self {
        Self { label: label.into(), href: href.into(), current, ..Self::default() }
    }

    /// Sets the text that explains the number.
    #[must_use]
    pub fn telling(mut self, label: impl Into<String>) -> Self {
        self.count_label = label.into();
        self
    }

    /// Sets the number; zero is not shown.
    #[must_use]
    pub fn count(mut self, count: u64) -> Self {
        self.count = (count > 0).then_some(count);
        self
    }

    /// Sets the icon.
    #[must_use]
    pub fn icon(mut self, icon: &'static str) -> Self {
        self.icon = icon;
        self
    }
}

/// An option of a `<select>`, a radio group or a menu of values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// Submitted value.
    pub value: String,
    /// Visible label.
    pub label: String,
    /// Second line, or empty.
    pub hint: String,
    /// Whether this option is selected.
    pub chosen: bool,
}

impl Choice {
    /// An option without a second line.
    pub fn new(value: impl Into<String>, label: impl Into<String>, chosen: bool) -> Self {
        Self { value: value.into(), label: label.into(), hint: String::new(), chosen }
    }

    /// The options of a vocabulary; `now` is selected.
    #[must_use]
    pub fn of_words(words: &[&'static str], labels: &[&'static str], now: &str) -> Vec<Self> {
        let all = words.iter().zip(labels);
        all.map(|(word, label)| Self::new(*word, *label, *word == now)).collect()
    }

    /// Sets the second line.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }
}

/// A segment of a stacked bar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// Start, in thousandths of the whole.
    pub at: u32,
    /// Width, in thousandths of the whole.
    pub width: u32,
    /// Colour.
    pub tone: Tone,
}

/// Layout of a stacked bar. Parts of zero are omitted.
pub fn shares(parts: &[(u64, Tone)]) -> Vec<Share> {
    let whole: u64 = parts.iter().map(|(n, _)| n).sum();
    let mut before = 0_u64;
    let mut out = Vec::with_capacity(parts.len());
    for &(n, tone) in parts.iter().filter(|(n, _)| 0 < *n) {
        let at = before * 1000 / whole;
        before += n;
        let end = before * 1000 / whole;
        let place = |v: u64| u32::try_from(v).unwrap_or(1000);
        out.push(Share { at: place(at), width: place(end - at), tone });
    }
    out
}

/// `part` in percent of `whole`, from 0 to 100; 0 if `whole` is 0.
pub fn percent(part: u64, whole: u64) -> u8 {
    if whole == 0 {
        return 0;
    }
    u8::try_from(part.min(whole).saturating_mul(100) / whole).unwrap_or(100)
}

#[cfg(test)]
mod tests {
    use super::{Face, Share, Tone, Working, colour_of, initials, percent, shares};

    #[test]
    fn initials_take_the_first_and_the_last_word() {
        assert_eq!(initials("Mira Lindqvist"), "ML");
        assert_eq!(initials("ada"), "A");
        assert_eq!(initials("Anna von der Heide"), "AH");
        assert_eq!(initials("  (öl) "), "Ö");
        assert_eq!(initials(""), "");
    }

    #[test]
    fn a_seed_keeps_its_colour_and_stays_in_range() {
        assert_eq!(colour_of("ada"), colour_of("ada"));
        for n in 0..200 {
            assert!((1..=8).contains(&colour_of(&n.to_string())));
        }
    }

    #[test]
    fn a_working_face_says_so() {
        let face = Face::agent("Ada", "🔭", "ada").working(Working::Yes);
        assert_eq!(face.hint(), "Ada, working now");
        assert_eq!(Face::agent("Ada", "", "ada").mark, "A");
        assert_eq!(Face::nobody().kind_word(), "none");
    }

    #[test]
    fn shares_fill_the_bar_and_leave_out_nothing_but_zero() {
        let bar = shares(&[(1, Tone::Info), (0, Tone::Warn), (2, Tone::Ok)]);
        assert_eq!(bar[0], Share { at: 0, width: 333, tone: Tone::Info });
        assert_eq!(bar[1].at + bar[1].width, 1000);
        assert_eq!(bar.len(), 2);
        assert!(shares(&[(0, Tone::Ok)]).is_empty());
    }

    #[test]
    fn a_percentage_never_passes_a_hundred() {
        assert_eq!(percent(1, 3), 33);
        assert_eq!(percent(9, 3), 100);
        assert_eq!(percent(1, 0), 0);
    }
}
