//! Assembly: start, router, access, schema, reactions, stop.
