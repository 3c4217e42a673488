//! Browsers of agents: switches, policies and screenshots. The browser itself runs in the process (`App::browsers`) and
//! is no record.

pub mod card;
pub mod model;
pub mod queries;
pub mod rules;
