//! Browsers of agents: whose is switched on, and pictures of what was done in them. The browser itself runs in the
//! process (`App::browsers`) and is no record.

pub mod card;
pub mod model;
pub mod queries;
pub mod rules;
