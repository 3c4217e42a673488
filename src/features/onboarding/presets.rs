//! What is prepared for each kind of work: the one place where that is written down.

use super::model::Intent;
use entity::Kind;
use kernel::{Hue, StreamKind};

/// A stream that is made.
#[derive(Clone, Copy, Debug)]
pub struct StreamPreset {
    pub name: &'static str,
    /// What it holds, in one line.
    pub about: &'static str,
    pub colour: Hue,
    /// What it is made along.
    pub kind: StreamKind,
}

/// The agent that is suggested first.
#[derive(Clone, Copy, Debug)]
pub struct Hire {
    /// Its name, which may be changed.
    pub name: &'static str,
    /// The template that it is made from.
    pub template: &'static str,
    /// Its first task, with a place in brackets to be filled in.
    pub task: &'static str,
}

/// A collection that is made.
#[derive(Clone, Copy, Debug)]
pub struct CollectionPreset {
    pub name: &'static str,
    /// One emoji.
    pub icon: &'static str,
    /// What it holds, in one line.
    pub about: &'static str,
    /// Its fields behind the name: label, kind, choices.
    pub fields: &'static [(&'static str, Kind, &'static [&'static str])],
}

/// What is prepared for a kind of work.
#[derive(Clone, Copy, Debug)]
pub struct Preset {
    /// The kind of work.
    pub intent: Intent,
    /// Its word in forms and in the API, and behind it other words that mean it.
    pub words: &'static [&'static str],
    /// Its name for people.
    pub title: &'static str,
    /// What it is about, in one line.
    pub about: &'static str,
    /// Its icon.
    pub glyph: &'static str,
    /// The number of its colour.
    pub colour: u8,
    /// The streams that are made.
    pub streams: &'static [StreamPreset],
    /// The stages and fields of contacts, by the word of their set.
    pub contacts: Option<&'static str>,
    /// The collection that is made.
    pub collection: Option<&'static CollectionPreset>,
    /// The agent that is suggested.
    pub hire: Hire,
}

impl Preset {
    /// Its word in forms and in the API.
    #[must_use]
    pub fn word(&self) -> &'static str {
        self.words.first().copied().unwrap_or_default()
    }
}

const OPERATIONS: StreamPreset = StreamPreset {
    name: "Operations",
    about: "What keeps the place running",
    colour: Hue::C10,
    kind: StreamKind::Functional,
};
const MARKETING: StreamPreset = StreamPreset {
    name: "Marketing",
    about: "How customers hear of us",
    colour: Hue::C9,
    kind: StreamKind::Functional,
};
const CONTENT: StreamPreset = StreamPreset {
    name: "Content",
    about: "What we write, record and publish",
    colour: Hue::C6,
    kind: StreamKind::Functional,
};

const CALENDAR: CollectionPreset = CollectionPreset {
    name: "Content calendar",
    icon: "📅",
    about: "What is published where, and when",
    fields: &[
        ("Status", Kind::Select, &["Idea", "Drafting", "Review", "Scheduled", "Published"]),
        ("Channel", Kind::Select, &["Blog", "X", "LinkedIn", "Newsletter", "YouTube"]),
        ("Publish date", Kind::Date, &[]),
        ("Author", Kind::Text, &[]),
        ("Content", Kind::LongText, &[]),
    ],
};

/// All kinds of work in the order of their cards. The last two have none: one stands for who skips the question, one
/// for the other way to begin that the first card has.
pub const PRESETS: &[Preset] = &[
    REACH,
    Preset {
        intent: Intent::Run,
        words: &["run", "ops", "clients"],
        title: "Managing clients",
        about: "Every client’s projects, promises and papers in one place.",
        glyph: "users",
        colour: 6,
        streams: &[OPERATIONS, CONTENT],
        contacts: Some("clients"),
        collection: None,
        hire: Hire {
            name: "Chief",
            template: "chief-of-staff",
            task: "Look through our work for [client] and say what needs attention first",
        },
    },
    Preset {
        intent: Intent::Hire,
        words: &["hire", "hiring", "recruiting"],
        title: "Hiring people",
        about: "Search, sort and invite, and keep every answer friendly.",
        glyph: "user",
        colour: 5,
        streams: &[OPERATIONS],
        contacts: Some("recruiting"),
        collection: None,
        hire: Hire {
            name: "Scout",
            template: "crm-researcher",
            task: "Find three strong candidates for [the role] and sum up why they fit",
        },
    },
    Preset {
        intent: Intent::Publish,
        words: &["publish", "publishing"],
        title: "Creating content",
        about: "From idea to published, in your own voice.",
        glyph: "edit",
        colour: 3,
        streams: &[OPERATIONS, CONTENT],
        contacts: None,
        collection: Some(&CALENDAR),
        hire: Hire {
            name: "Ghost",
            template: "ghostwriter",
            task: "Draft three ideas for posts about [subject]",
        },
    },
    Preset {
        intent: Intent::Research,
        words: &["research"],
        title: "Doing research",
        about: "Questions in, sourced answers out, all of it kept.",
        glyph: "search",
        colour: 2,
        streams: &[OPERATIONS],
        contacts: None,
        collection: None,
        hire: Hire {
            name: "Researcher",
            template: "market-researcher",
            task: "Research [the question] and sum up what you find, with sources",
        },
    },
    Preset {
        intent: Intent::Organized,
        words: &["organized", "organised", "personal", "job-search"],
        title: "Staying organized",
        about: "Tasks, notes and reminders that look after themselves.",
        glyph: "tasks",
        colour: 1,
        streams: &[OPERATIONS],
        contacts: None,
        collection: None,
        hire: ASSISTANT,
    },
    Preset {
        intent: Intent::Explore,
        words: &["explore", "other"],
        title: "Something else",
        about: "Nothing is prepared.",
        glyph: "home",
        colour: 8,
        streams: &[],
        contacts: None,
        collection: None,
        hire: ASSISTANT,
    },
    Preset {
        intent: Intent::Outreach,
        words: &["outreach"],
        contacts: Some("first-contact"),
        ..REACH
    },
];

const REACH: Preset = Preset {
    intent: Intent::Reach,
    words: &["reach", "deals", "sales", "growth"],
    title: "Sales and outreach",
    about: "Find customers, write to them, never lose a follow-up.",
    glyph: "out",
    colour: 4,
    streams: &[OPERATIONS, MARKETING],
    contacts: Some("sales"),
    collection: None,
    hire: Hire {
        name: "Scout",
        template: "crm-researcher",
        task: "Research three potential customers in [your field] and prepare a short brief on each",
    },
};

const ASSISTANT: Hire = Hire {
    name: "Assistant",
    template: "assistant",
    task: "Introduce yourself, and say what you can do for me with [what is on my mind]",
};

/// What is prepared for a kind of work.
#[must_use]
pub fn of(intent: Intent) -> &'static Preset {
    let found = PRESETS.iter().find(|preset| preset.intent == intent);
    found.expect("invariant: each kind of work has a preset")
}

/// The kind of work that a word means.
#[must_use]
pub fn meant(word: &str) -> Option<Intent> {
    let word = word.trim().to_lowercase();
    PRESETS.iter().find(|one| one.words.contains(&word.as_str())).map(|one| one.intent)
}
