//! The streams with the most open tasks.

use askama::Template;

use features::dashboard::queries::DashboardContext;
use features::streams::queries as streams;
use features::tasks::queries::marks;
use features::tasks::queries::overdue::Passed;
use store::{Read, StoreError};
use web::format;
use web::live::Live;
use web::parts::{Share, Tone, shares};

/// Number of streams shown.
const SHOWN: usize = 6;

struct Row {
    name: String,
    colour: String,
    href: String,
    open: usize,
    /// "2 overdue"; may be empty.
    overdue: String,
    bar: Vec<Share>,
    said: String,
}

#[derive(Template)]
#[template(path = "dashboard/_streams.html")]
pub(super) struct Streams {
    live: Live,
    rows: Vec<Row>,
    /// Number of further streams with open tasks.
    more: usize,
    all: String,
}

pub(super) fn read(read: &dyn Read, scene: &DashboardContext<'_>) -> Result<Streams, StoreError> {
    let open = marks::open_by_stream(read, Passed::at(scene.now, &scene.zone))?;
    let used = streams::in_use(read)?.into_iter();
    let mut rows: Vec<_> = used.filter_map(|one| Some((*open.get(&one.id)?, one))).collect();
    // A stable sort, so equal counts keep the manual order.
    rows.sort_by_key(|(open, _)| std::cmp::Reverse(open.all));
    let more = rows.len().saturating_sub(SHOWN);
    let row = |(open, stream): (marks::Open, features::streams::model::Stream)| {
        let still = open.all - open.moving - open.overdue;
        let query = format!("stream:\"{}\"", stream.name.replace('"', ""));
        Row {
            colour: web::ink::named(stream.colour),
            href: scene.ws.url(&format!("tasks?q={}", format::query_value(&query))),
            open: open.all,
            overdue: match open.overdue {
                0 => String::new(),
                count => format!("{count} overdue"),
            },
            bar: shares(&[
                (open.overdue as u64, Tone::Danger),
                (open.moving as u64, Tone::Info),
                (still as u64, Tone::Neutral),
            ]),
            said: format!(
                "{}: {} overdue, {} in progress, {still} to do",
                stream.name, open.overdue, open.moving
            ),
            name: stream.name,
        }
    };
    Ok(Streams {
        live: Live::new(scene.ws.url("")).table("tasks").table("streams"),
        rows: rows.into_iter().take(SHOWN).map(row).collect(),
        more,
        all: scene.ws.url("streams"),
    })
}
