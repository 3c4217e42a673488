//! Facts and rules of the older nouns, one folder each: `model`, `queries`, `rules`, `reactions`. Their pages, API and
//! tools are in `interfaces`.

pub mod cards;
pub mod workspace;
pub mod onboarding;
pub mod users;
pub mod dashboard;
pub mod tasks;
pub mod streams;
pub mod views;
pub mod places;
pub mod comments;
pub mod claims;
pub mod deliverables;
pub mod files;
pub mod links;
pub mod agents;
pub mod browsers;
pub mod inbox;
pub mod routines;
pub mod notifications;
pub mod runs;
pub mod trust;
pub mod jobs;
pub mod usage;
pub mod connections;
pub mod activity;
pub mod global_search;
pub mod audit;
pub mod health;
pub mod history;
pub mod backups;
pub mod rotation;
