//! `/runs/{name}/context`: content of the context at the run's last model call.

use askama::Template;
use axum::response::Response;

use app::Ws;
use features::runs::model::{RUNS, Run};
use features::runs::queries::makeup::{self, Group, Makeup};
use store::ReadExt;
use web::error::PageError;
use web::extract::Path;
use web::format;
use web::html;
use web::hx::Hx;
use web::live::Live;
use web::parts::percent;
use web::session::Person;
use web::shell::Shell;

use super::find;

/// Number of colours, used in rotation.
const COLOURS: usize = 8;
/// Width of the bar, in SVG units.
const WIDE: u64 = 1_000;

/// A piece of the bar.
struct Piece {
    label: &'static str,
    tokens: String,
    share: u8,
    colour: usize,
    x: u64,
    width: u64,
}

/// A row of the table.
struct Row {
    name: String,
    group: &'static str,
    tokens: String,
    kept: &'static str,
}

#[derive(Template)]
#[template(path = "runs/_context.html")]
struct Region {
    live: Live,
    /// Summary in one line; empty before the first call.
    sum: String,
    model: String,
    fill: u8,
    pieces: Vec<Piece>,
    rows: Vec<Row>,
}

#[derive(Template)]
#[template(path = "runs/context.html")]
struct Show {
    shell: Shell,
    name: String,
    title: String,
    href: String,
    region: Region,
}

/// `GET /runs/{name}/context`
pub(super) async fn show(
    ws: Ws,
    who: Person,
    shell: Shell,
    hx: Hx,
    Path(name): Path<String>,
) -> Result<Response, PageError> {
    let run = find(&ws, &who, &name)?;
    let href = ws.url(&format!("runs/{}", run.name()));
    let live = Live::new(format!("{href}/context")).record(RUNS.name, run.id);
    let id = run.id;
    let look = move |ws: &Ws| {
        ws.read(|snap| match snap.get::<Run>(id)? {
            Some(run) => makeup::of_run(snap, &run),
            None => Ok(None),
        })
    };
    let region = Region::of(live, ws.read_blocking(look).await?);
    if hx.wants("run-context") {
        return html::fragment(&region);
    }
    let (name, title) = (run.name(), run.title.clone());
    html::page(&Show { shell, name, title, href, region })
}

impl Region {
    fn of(live: Live, makeup: Option<Makeup>) -> Self {
        let Some(makeup) = makeup else {
            let (sum, model) = (String::new(), String::new());
            return Self { live, sum, model, fill: 0, pieces: Vec::new(), rows: Vec::new() };
        };
        let about = if makeup.counted { "" } else { "about " };
        let sum = match makeup.window {
            Some(window) => format!(
                "{about}{} of {} tokens",
                format::tokens(makeup.tokens),
                format::tokens(window)
            ),
            None => format!("{about}{} tokens", format::tokens(makeup.tokens)),
        };
        let fill = makeup.window.map_or(0, |window| percent(makeup.tokens, window));
        let rows = makeup.shares.iter().map(|share| Row {
            name: share.name.clone(),
            group: share.group.label(),
            tokens: format::tokens(share.tokens),
            kept: if share.stable { "yes" } else { "no" },
        });
        let rows = rows.collect();
        let pieces = pieces(&makeup.groups(), makeup.tokens);
        Self { live, sum, model: makeup.model, fill, pieces, rows }
    }
}

fn pieces(groups: &[(Group, u64)], whole: u64) -> Vec<Piece> {
    let sum = groups.iter().map(|(_, tokens)| tokens).sum::<u64>().max(1);
    let mut before = 0;
    let pieces = groups.iter().enumerate().map(|(n, (group, tokens))| {
        let x = before * WIDE / sum;
        before += tokens;
        Piece {
            label: group.label(),
            tokens: format::tokens(*tokens),
            share: percent(*tokens, whole),
            colour: n % COLOURS + 1,
            x,
            // A gap between two pieces.
            width: (before * WIDE / sum).saturating_sub(x + 4).max(2),
        }
    });
    pieces.collect()
}
