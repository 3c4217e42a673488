//! What tests and benches share: HQ in the test's own process, people and a model that it talks to, and the real
//! program. A package of a noun tests with it what only shows in the whole.

#![allow(missing_docs, reason = "what a test reads says itself what it does")]

pub mod browse;
pub mod graded;
pub mod hq;
pub mod invite;
pub mod maker;
pub mod meaning;
pub mod model;
pub mod office;
pub mod program;
pub mod source;
pub mod walk;
pub mod wire;
pub mod work;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};

/// Where the build that the test belongs to lies: `target/debug`.
pub fn build_folder() -> std::path::PathBuf {
    let test = std::env::current_exe().expect("this program");
    test.ancestors().nth(2).expect("tests lie in `deps` of a build").to_owned()
}

/// The real program of this build.
pub fn hq_program() -> std::path::PathBuf {
    build_folder().join("hq")
}

/// An address at which nobody listens, for a program that is told beforehand where to listen. Its port lies below those
/// that the system hands out, so that no other test is given it meanwhile; each process begins to look elsewhere.
pub fn free_address() -> SocketAddr {
    static TRIED: AtomicU32 = AtomicU32::new(0);
    let begin = std::process::id().wrapping_mul(7_919);
    let port = || 10_000 + begin.wrapping_add(TRIED.fetch_add(1, Ordering::Relaxed)) % 20_000;
    let bound = (0..20_000).find_map(|_| {
        let port = u16::try_from(port()).expect("a port");
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok()
    });
    bound.expect("a free port").local_addr().expect("a bound port")
}

/// Held by tests that fork without end until they are caught: one at a time. (For `cargo test`, where all tests share
/// a process; with nextest its configuration sees to it.)
pub static BOMB: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// A PDF of one page, which says what mangoes and plums cost.
pub const PDF_WITH_WORDS: &[u8] = b"%PDF-1.4\n1 0 obj <</Type /Catalog /Pages 2 0 R>> endobj\n\
    2 0 obj <</Type /Pages /Kids [3 0 R]>> endobj\n\
    3 0 obj <</Type /Page /Contents 4 0 R /Resources <</Font <</F1 5 0 R>>>>>> endobj\n\
    4 0 obj <<>> stream\nBT /F1 12 Tf 50 700 Td (Mango 3 EUR) Tj 0 -14 Td (Plum 4 EUR) Tj ET\n\
    endstream endobj\n5 0 obj <</Type /Font /Subtype /Type1>> endobj\ntrailer <</Root 1 0 R>>";
