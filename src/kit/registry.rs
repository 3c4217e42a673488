//! The process-wide list of nouns made with the kit.

use std::sync::OnceLock;

use crate::Noun;

static ALL: OnceLock<&'static [&'static Noun]> = OnceLock::new();

/// Sets the nouns. Only the first call has an effect.
pub fn install(nouns: &'static [&'static Noun]) {
    // ok: a second call comes from a second server in the same process, with the same list.
    let _ = ALL.set(nouns);
}

/// All nouns, in the order of menus and commands.
pub fn all() -> impl Iterator<Item = &'static Noun> + Clone {
    ALL.get().copied().unwrap_or_default().iter().copied()
}

/// Settings pages of nouns for the menu: URL word and title. Of pages shown as tabs, only the first is listed.
pub fn pages() -> impl Iterator<Item = (&'static str, &'static str)> {
    all().filter_map(|noun| {
        let page = noun.page.as_ref()?;
        let is_first = page.tabs.first().is_none_or(|(plural, _)| *plural == noun.plural);
        is_first.then_some((noun.plural, page.title))
    })
}
