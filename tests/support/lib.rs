//! What the tests share; the benches use it, too.

#![allow(
    dead_code,
    unused_imports,
    reason = "the integration tests and the benches each use a part"
)]

pub mod browse;
pub mod hq;
pub mod invite;
pub mod maker;
pub mod model;
pub mod office;
pub mod program;
pub mod source;
pub mod wire;
pub mod work;

/// Held by tests that fork without end until they are caught: one at a time. (For `cargo test`, where all tests share
/// a process; with nextest its configuration sees to it.)
pub static BOMB: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// A PDF of one page, which says what mangoes and plums cost.
pub const PDF_WITH_WORDS: &[u8] = b"%PDF-1.4\n1 0 obj <</Type /Catalog /Pages 2 0 R>> endobj\n\
    2 0 obj <</Type /Pages /Kids [3 0 R]>> endobj\n\
    3 0 obj <</Type /Page /Contents 4 0 R /Resources <</Font <</F1 5 0 R>>>>>> endobj\n\
    4 0 obj <<>> stream\nBT /F1 12 Tf 50 700 Td (Mango 3 EUR) Tj 0 -14 Td (Plum 4 EUR) Tj ET\n\
    endstream endobj\n5 0 obj <</Type /Font /Subtype /Type1>> endobj\ntrailer <</Root 1 0 R>>";
