//! The one binary; everything is in the library.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Before anything else: the helpers have one thread and know nothing of the server.
    if let Some(code) = sandbox::helper(std::env::args_os()) {
        return code;
    }
    // So has the one that reads a foreign document.
    if std::env::args_os().nth(1).is_some_and(|word| word == extract::ARGUMENT) {
        return extract::main_child();
    }
    // A heap of many small pieces in pages of 2 MiB takes 13 MB more than it holds.
    rustix::thread::disable_transparent_huge_pages(true).ok(); // ok: only a wish
    web::assets::install(bundle::get);
    cli::main()
}
