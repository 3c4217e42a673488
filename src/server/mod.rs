//! Assembly: start, router, access, schema, reactions, stop.

pub mod schema;
