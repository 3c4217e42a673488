//! Skill packages: installed from folders, archives, sites and git, in quarantine until a person approves them.

mod disk;
pub mod fetch;
mod fetch_error;
mod git;
mod given;
mod list;
mod lists;
mod model;
mod noun;
mod ops;
mod proposals;
mod queries;
mod rules;
mod show;

pub use fetch_error::FetchError;
pub use given::{begin, packages};
pub use lists::SKILL_LISTS;
pub use model::{LISTS, SKILLS, Skill, SkillId, SkillList, SkillVersion, VERSIONS};
pub use noun::{NOUNS, SKILL, SKILL_PACKAGES};
pub use proposals::PROPOSALS;
