//! Files that an agent wrote on another machine while the primary's copies changed: the diff, and taking or dropping
//! them.

use askama::Template;
use axum::response::Response;

use app::{App, Ws};
use features::agents::apart::{self, Apart, Taken};
use features::agents::queries::head::Head;
use kernel::display;
use web::error::PageError;
use web::extract::Path2;
use web::flash;
use web::format;
use web::html;
use web::hx::Hx;
use web::session::Person;
use web::shell::{Flash, Shell};

use super::When;
use super::files::{KeptRow, kept, visit};
use super::versions::{DiffView, Line, diff_view};
use crate::agents::at::At;

/// Maximum number of unchanged files listed.
const NAMED: usize = 5;

#[derive(Template)]
#[template(path = "agents/kept.html")]
struct KeptPage {
    shell: Shell,
    head: Head,
    rows: Vec<KeptRow>,
    title: String,
    told: String,
    /// Base address of "take" and "drop".
    base: String,
    files_url: String,
    /// Always empty: no single file is selected.
    path: String,
    files: Vec<DiffView>,
    may: bool,
}

/// `GET /agents/{slug}/kept/{name}`
pub(super) async fn show(
    ws: Ws,
    who: Person,
    shell: Shell,
    Path2(slug, name): Path2<String, String>,
) -> Result<Response, PageError> {
    let visit = visit(ws, who, &slug).await?;
    let (one, files) = apart::one(&visit.ws, &visit.agent, &name).await?;
    let base = format!("{}/kept/{name}", visit.head.base);
    let mut rows = kept(&visit).await?;
    for row in &mut rows {
        row.current = row.href == base;
    }
    let history = format!("{}/history", visit.head.base);
    let when = When::of(&visit.ws, &visit.who);
    let page = KeptPage {
        shell,
        rows,
        title: "Written elsewhere".to_owned(),
        told: describe(&one, &visit.head.name, &when),
        base,
        files_url: format!("{}/files", visit.head.base),
        path: String::new(),
        files: files.into_iter().map(|file| diff_view(&history, file)).collect(),
        may: visit.may(),
        head: visit.head,
    };
    html::page(&page)
}

fn describe(one: &Apart, name: &str, when: &When) -> String {
    let commits = format::count(one.commits as u64, "commit", "commits");
    let at = when.zone.to_datetime(one.at);
    let at = format!("{}, {}", display::long_day(at.date()), display::short_time(at.time()));
    format!(
        "{name} made {commits} on another machine, the last on {at}, while these files also \
         changed here. Lines changed in both places keep the version here. The other version is \
         listed and saved until you discard it."
    )
}

/// `POST /agents/{slug}/kept/{name}/take`
pub(super) async fn take(
    app: App,
    at: At<PageError>,
    hx: Hx,
    Path2(_, name): Path2<String, String>,
) -> Result<Response, PageError> {
    let hand = at.hand();
    let taken = apart::take(hand, &name).await?;
    let files = at.ws.url(&format!("agents/{}/files", at.agent.slug));
    let (flash, to) = match taken.stays.is_empty() {
        true => (Flash::ok(taken_words(&taken)), files),
        false => {
            let words = format!("{} {}", taken_words(&taken), stays_words(&taken.stays));
            (Flash::ok(words), at.ws.url(&format!("agents/{}/kept/{name}", at.agent.slug)))
        }
    };
    Ok(flash::say(&app, flash, hx.go_to(&to)))
}

fn taken_words(taken: &Taken) -> String {
    match taken.took.as_slice() {
        [] => "No file had to be changed.".to_owned(),
        [one] => format!("{one} was applied."),
        many => format!("{} files were applied.", many.len()),
    }
}

fn stays_words(stays: &[String]) -> String {
    let named = stays.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    match stays.len().saturating_sub(NAMED) {
        0 => format!("Kept the version here: {named}. It can’t be merged automatically."),
        more => format!("Kept the version here: {named} and {more} more."),
    }
}

/// `POST /agents/{slug}/kept/{name}/drop`
pub(super) async fn forget(
    app: App,
    at: At<PageError>,
    hx: Hx,
    Path2(_, name): Path2<String, String>,
) -> Result<Response, PageError> {
    apart::forget(at.hand(), &name).await?;
    let files = at.ws.url(&format!("agents/{}/files", at.agent.slug));
    let flash = Flash::ok("Discarded the changes from the other machine.".to_owned());
    Ok(flash::say(&app, flash, hx.go_to(&files)))
}

#[cfg(test)]
mod tests {
    use super::stays_words;

    #[test]
    fn a_long_list_of_files_that_stay_is_cut() {
        let stays: Vec<String> = (0..7).map(|n| format!("{n}.md")).collect();
        assert!(stays_words(&stays).ends_with("4.md and 2 more."), "{}", stays_words(&stays));
        assert!(stays_words(&stays[..1]).starts_with("Kept the version here: 0.md."));
    }
}
