//! The grouped list of providers, shown when a connection is added and during onboarding.

use askama::Template;

use features::connections::presets::{Group, PRESETS, Preset};

/// A provider in the list.
pub struct ProviderCard {
    pub name: String,
    pub about: String,
    /// Letters of the tile.
    pub mark: &'static str,
    pub colour: u8,
    /// A word on the card; empty for none.
    pub note: &'static str,
    pub href: String,
    /// Whether its form is open.
    pub is_open: bool,
}

impl ProviderCard {
    #[must_use]
    pub fn new(preset: &Preset, href: String) -> Self {
        Self {
            name: preset.name.to_owned(),
            about: preset.text.to_owned(),
            mark: preset.mark,
            colour: preset.colour,
            note: if preset.slug == "anthropic" { "Recommended" } else { "" },
            href,
            is_open: false,
        }
    }
}

pub struct ProviderGroup {
    pub group: Group,
    pub cards: Vec<ProviderCard>,
}

#[derive(Template)]
#[template(path = "connections/_providers.html")]
pub struct ProviderList {
    pub groups: Vec<ProviderGroup>,
}

impl ProviderList {
    /// All providers. `open`: the slug of the one whose form is open; empty for none.
    pub fn new(open: &str, href: impl Fn(&Preset) -> String) -> Self {
        let card = |preset: &Preset| ProviderCard {
            is_open: preset.slug == open,
            ..ProviderCard::new(preset, href(preset))
        };
        let group = |group: Group| {
            let own = PRESETS.iter().filter(|preset| preset.group == group);
            ProviderGroup { group, cards: own.map(card).collect() }
        };
        Self { groups: Group::ALL.map(group).into() }
    }

    /// Adds a card at the top of a group.
    pub fn put_first(&mut self, group: Group, card: ProviderCard) {
        if let Some(one) = self.groups.iter_mut().find(|one| one.group == group) {
            one.cards.insert(0, card);
        }
    }
}
