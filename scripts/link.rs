//! How the program that is shipped is linked. Rust makes many functions for many types that come out as
//! the same machine code: one of them is enough. And a table of 80,000 addresses that are set right at
//! each start, also of each helper that confines a program, has a form that takes a fortieth.

use std::env;

#[expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "so build scripts and Cargo talk"
)]
fn main() {
    println!("cargo::rerun-if-changed=scripts/link.rs");
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|found| found == value);
    let shipped = is("PROFILE", "release") && is("CARGO_CFG_TARGET_OS", "linux");
    // Known to the linker that comes with the toolchain, which is the usual one on this processor only.
    if shipped && is("CARGO_CFG_TARGET_ARCH", "x86_64") && is("CARGO_CFG_TARGET_ENV", "gnu") {
        println!("cargo::rustc-link-arg-bins=-Wl,--icf=all");
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}
