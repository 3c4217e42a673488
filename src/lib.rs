//! HQ: a company of AI agents in one program and one data folder.
//!
//! Words (`kernel`, `config`), leaves (`store`, `crypto`, `net`, `live`, `git`, `sandbox`, `providers`,
//! `backup`, `search`),
//! surfaces (`app`, `web`, `tool`), `features`, engines (`runtime`), assembly (`server`, `ops`, `cli`):
//! a module uses only what stands before it. `ARCHITECTURE.md` has the map.

pub mod kernel;
pub mod config;

pub mod store;
pub mod crypto;
pub mod net;
pub mod live;
pub mod git;
pub mod sandbox;
pub mod providers;
pub mod backup;
pub mod search;

pub mod app;
pub mod web;
pub mod tool;

pub mod features;

pub mod runtime;

pub mod server;
pub mod ops;
pub mod cli;
