//! All interfaces: each interface package and noun registers its pages, API and tools here.

use std::sync::Arc;

use kit::Noun;
use tool::{Layer, Registry};
use web::routes::Routes;

/// The nouns that use the kit.
static NOUNS: [&Noun; 14] = [
    &interfaces_work::tasks::labels::LABELS,
    &interfaces_work::streams::noun::STREAMS,
    &interfaces_work::views::noun::VIEWS,
    &channels::nouns::CHANNELS,
    &channels::nouns::PEOPLE,
    &channels::nouns::ROOMS,
    &channels::nouns::ROUTES,
    &channels::nouns::MESSAGES,
    &channels::nouns::DELIVERIES,
    &reach::nouns::SERVERS,
    &reach::nouns::TOOLS,
    &reach::search::ENGINES,
    &reach::skills::SKILL_PACKAGES,
    &reach::skills::SKILL_LISTS,
];

/// The nouns that use the kit. A package above may have installed others before.
pub fn nouns() -> impl Iterator<Item = &'static Noun> + Clone {
    kit::registry::install(&NOUNS);
    kit::registry::all()
}

/// Pages of a workspace, below `/w/{ws}`.
#[must_use]
pub fn routes() -> Routes {
    Routes::new()
        .merge(interfaces_work::routes())
        .merge(interfaces_agents::routes())
        .merge(interfaces_account::routes())
        .merge(interfaces_insights::routes())
        .merge(crm::pages::routes())
        .merge(knowledge::pages::routes())
        .merge(sources::pages::routes())
        .merge(vault::pages::routes())
        .merge(gateways::pages::routes())
        .merge(channels::picture::routes())
        .merge(nouns().fold(Routes::new(), |all, noun| all.merge(kit::pages(noun))))
}

/// The JSON API, below `/api/v1`.
#[must_use]
pub fn api() -> Routes {
    Routes::new()
        .merge(interfaces_account::api())
        .merge(interfaces_agents::api())
        .merge(interfaces_insights::api())
        .merge(interfaces_work::api())
        .merge(crm::api::routes())
        .merge(knowledge::api::routes())
        .merge(sources::api::routes())
        .merge(vault::api::routes())
        .merge(gateways::api::routes())
        .merge(reach::search::api())
        .merge(nouns().fold(Routes::new(), |all, noun| all.merge(kit::api(noun))))
}

/// Agents' tools of connected servers.
#[must_use]
pub fn layers() -> Vec<Arc<dyn Layer>> {
    vec![Arc::new(reach::McpTools::default())]
}

/// The agent tools of all nouns.
#[must_use]
pub fn tools() -> Registry {
    Registry::new()
        .merge(interfaces_work::tools())
        .merge(interfaces_agents::tools())
        .merge(channels::tools::tools())
        .merge(crm::tools::tools())
        .merge(knowledge::tools::tools())
        .merge(reach::search::tools())
        .merge(sources::tools::tools())
        .merge(vault::tools::tools())
        .merge(nouns().fold(Registry::new(), |all, noun| all.merge(kit::tools(noun))))
}
