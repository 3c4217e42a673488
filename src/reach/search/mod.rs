//! Web search: the workspace's engines in order, the tool `web_search`, and the same for people.

mod answer;
mod api;
mod key;
mod model;
mod native;
mod noun;
mod queries;
mod rules;
mod tools;

pub use api::routes as api;
pub use model::{
    MEMBER_SEARCH_DAYS, MemberSearchDay, SEARCH_DAYS, SEARCH_ENGINES, SearchDay, SearchEngine,
    SearchEngineId,
};
pub use noun::{ENGINE, ENGINES, NOUNS};
pub use queries::is_set_up;
pub use rules::switch_keyless;
pub use tools::tools;
