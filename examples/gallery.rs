//! Writes the gallery into `target/design`, to be looked at without a server:
//! `cargo run --example gallery && python3 -m http.server -d target/design`.

use std::path::Path;

use web::gallery;
use web::shell::Theme;
use web::trouble::Trouble;

fn main() -> anyhow::Result<()> {
    web::assets::install(bundle::get);
    let out = Path::new("target/design");
    std::fs::create_dir_all(out.join("s"))?;
    for entry in std::fs::read_dir("static/dist")? {
        let entry = entry?;
        std::fs::copy(entry.path(), out.join("s").join(entry.file_name()))?;
    }
    let now = "2026-11-20T12:00:00Z".parse()?;
    for (name, theme) in [("light.html", Theme::Light), ("dark.html", Theme::Dark)] {
        std::fs::write(out.join(name), gallery::render(theme, now)?)?;
    }
    let shell = gallery::sample_shell().at("/w/marlow/tasks/MC-9");
    let lost = Trouble::not_found().way_out("All tasks", "/w/marlow/tasks");
    let failed = Trouble::failure("7F3A-19C2").way_out("Dashboard", "/w/marlow/");
    std::fs::write(out.join("lost.html"), lost.render(Some(shell), Theme::Light)?)?;
    std::fs::write(out.join("failed.html"), failed.render(None, Theme::Dark)?)?;
    Ok(())
}
