//! Agents: long-lived workers with their own files, model and budget.
//!
//! The record is authoritative for name, emoji, description and model; the files on disk for everything else.

pub mod apart;
mod desk;
pub mod drafts;
pub mod editing;
pub mod files;
pub mod found;
pub mod memory;
pub mod model;
pub mod packages;
pub mod prompted;
pub mod provision;
pub mod queries;
pub mod reactions;
pub mod rules;
pub mod skills;
pub mod templates;
pub mod there;
pub mod upgrade;
pub mod versions;

pub use provision::complete_provisioning;
