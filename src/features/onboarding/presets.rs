//! Presets per purpose of a workspace: everything that onboarding prepares.

use super::model::Intent;
use entity::Kind;
use kernel::{Hue, StreamKind};

/// A stream to create.
#[derive(Clone, Copy, Debug)]
pub struct StreamPreset {
    pub name: &'static str,
    /// One line.
    pub about: &'static str,
    pub colour: Hue,
    pub kind: StreamKind,
}

/// The agent that is suggested first.
#[derive(Clone, Copy, Debug)]
pub struct FirstAgent {
    /// Suggested name.
    pub name: &'static str,
    /// Agent template.
    pub template: &'static str,
    /// First task, with a placeholder in brackets.
    pub task: &'static str,
}

/// A collection to create.
#[derive(Clone, Copy, Debug)]
pub struct CollectionPreset {
    pub name: &'static str,
    /// One emoji.
    pub icon: &'static str,
    /// One line.
    pub about: &'static str,
    /// Fields after the name: label, type, choices.
    pub fields: &'static [(&'static str, Kind, &'static [&'static str])],
}

#[derive(Clone, Copy, Debug)]
pub struct Preset {
    pub intent: Intent,
    /// Word in forms and the API, followed by synonyms.
    pub words: &'static [&'static str],
    pub title: &'static str,
    /// One line.
    pub about: &'static str,
    pub glyph: &'static str,
    /// Colour number.
    pub colour: u8,
    pub streams: &'static [StreamPreset],
    /// Word of the set of stages and fields for contacts.
    pub contacts: Option<&'static str>,
    pub collection: Option<&'static CollectionPreset>,
    pub agent: FirstAgent,
}

impl Preset {
    /// Word in forms and the API.
    #[must_use]
    pub fn word(&self) -> &'static str {
        self.words.first().copied().unwrap_or_default()
    }
}

const OPERATIONS: StreamPreset = StreamPreset {
    name: "Operations",
    about: "What keeps the company running",
    colour: Hue::C10,
    kind: StreamKind::Functional,
};
const MARKETING: StreamPreset = StreamPreset {
    name: "Marketing",
    about: "How customers find us",
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
    about: "What gets published where and when",
    fields: &[
        ("Status", Kind::Select, &["Idea", "Drafting", "Review", "Scheduled", "Published"]),
        ("Channel", Kind::Select, &["Blog", "X", "LinkedIn", "Newsletter", "YouTube"]),
        ("Publish date", Kind::Date, &[]),
        ("Author", Kind::Text, &[]),
        ("Content", Kind::LongText, &[]),
    ],
};

/// All purposes, in card order. The last two have no card: one is for skipping the question, the other is the
/// alternative on the first card.
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
        agent: FirstAgent {
            name: "Chief",
            template: "chief-of-staff",
            task: "Look through our work for [client] and say what needs attention first",
        },
    },
    Preset {
        intent: Intent::Hire,
        words: &["hire", "hiring", "recruiting"],
        title: "Hiring people",
        about: "Source, screen and invite candidates, with friendly replies.",
        glyph: "user",
        colour: 5,
        streams: &[OPERATIONS],
        contacts: Some("recruiting"),
        collection: None,
        agent: FirstAgent {
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
        agent: FirstAgent {
            name: "Ghost",
            template: "ghostwriter",
            task: "Draft three ideas for posts about [subject]",
        },
    },
    Preset {
        intent: Intent::Research,
        words: &["research"],
        title: "Doing research",
        about: "Ask questions, get answers with sources, keep them all.",
        glyph: "search",
        colour: 2,
        streams: &[OPERATIONS],
        contacts: None,
        collection: None,
        agent: FirstAgent {
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
        agent: ASSISTANT,
    },
    Preset {
        intent: Intent::Explore,
        words: &["explore", "other"],
        title: "Something else",
        about: "Start from scratch.",
        glyph: "home",
        colour: 8,
        streams: &[],
        contacts: None,
        collection: None,
        agent: ASSISTANT,
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
    agent: FirstAgent {
        name: "Scout",
        template: "crm-researcher",
        task: "Research three potential customers in [your field] and prepare a short brief on each",
    },
};

const ASSISTANT: FirstAgent = FirstAgent {
    name: "Assistant",
    template: "assistant",
    task: "Introduce yourself, and say what you can do for me with [what is on my mind]",
};

/// Preset of a purpose.
#[must_use]
pub fn of(intent: Intent) -> &'static Preset {
    let found = PRESETS.iter().find(|preset| preset.intent == intent);
    found.expect("invariant: each kind of work has a preset")
}

/// Purpose with this word or synonym.
#[must_use]
pub fn meant(word: &str) -> Option<Intent> {
    let word = word.trim().to_lowercase();
    PRESETS.iter().find(|one| one.words.contains(&word.as_str())).map(|one| one.intent)
}
