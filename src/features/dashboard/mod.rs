//! The first page: what needs the person, what the fleet does now, what happened. Reads only.

pub mod queries;
