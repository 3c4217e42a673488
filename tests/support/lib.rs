//! Shared by tests and benchmarks: HQ in the test process, HTTP clients, a scripted model, and the real program. Noun
//! packages use it for tests that need a complete HQ.

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

/// Build folder of the running test: `target/debug`.
pub fn build_folder() -> std::path::PathBuf {
    let test = std::env::current_exe().expect("this program");
    test.ancestors().nth(2).expect("tests lie in `deps` of a build").to_owned()
}

/// The program of this build.
pub fn hq_program() -> std::path::PathBuf {
    build_folder().join("hq")
}

/// An unused address, for a program that must be told its port. The port is below the system's ephemeral range, so that
/// no other test gets it; each process starts its search elsewhere.
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

/// Serializes tests that fork without limit until they are stopped. (For `cargo test`, which runs all tests in one
/// process; nextest has a configuration for it.)
pub static BOMB: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// A one-page PDF with the prices of mangoes and plums.
pub const PDF_WITH_WORDS: &[u8] = b"%PDF-1.4\n1 0 obj <</Type /Catalog /Pages 2 0 R>> endobj\n\
    2 0 obj <</Type /Pages /Kids [3 0 R]>> endobj\n\
    3 0 obj <</Type /Page /Contents 4 0 R /Resources <</Font <</F1 5 0 R>>>>>> endobj\n\
    4 0 obj <<>> stream\nBT /F1 12 Tf 50 700 Td (Mango 3 EUR) Tj 0 -14 Td (Plum 4 EUR) Tj ET\n\
    endstream endobj\n5 0 obj <</Type /Font /Subtype /Type1>> endobj\ntrailer <</Root 1 0 R>>";
