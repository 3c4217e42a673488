//! The passages that the palette adds to what it has found by words: those that say the same in other words. They come
//! in a request of their own, so that no key waits for them.

use askama::Template;
use axum::response::Response;
use serde::Deserialize;

use app::Ws;
use search::Wanted;
use web::error::PageError;
use web::extract::Query;
use web::html;
use web::session::Person;

use super::list::plain;
use crate::find::{By, FindRequest, Hit, Seer, find};
use crate::meaning::Standing;

/// Hits that are looked at.
const LOOKED: usize = 15;
/// Hits that are shown.
const SHOWN: usize = 5;
/// Signs of a passage that are shown.
const QUOTED: usize = 120;

/// A passage.
struct Line {
    glyph: &'static str,
    title: String,
    text: String,
    /// Where in the item it stands.
    place: String,
    href: String,
}

#[derive(Template)]
#[template(path = "knowledge/_near.html")]
struct Near {
    lines: Vec<Line>,
}

/// What is looked for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct NearbyParams {
    q: String,
}

pub(super) async fn near(
    ws: Ws,
    who: Person,
    Query(asked): Query<NearbyParams>,
) -> Result<Response, PageError> {
    let wish = FindRequest {
        q: asked.q.clone(),
        by: Some(By::Meaning),
        take: LOOKED,
        ..FindRequest::default()
    };
    let found = find(&ws, Seer::Person(who.account), wish).await?;
    // Without a vector of the question all of it was found by words, and stands above.
    let is_meant = matches!(found.standing, Standing::On(_) | Standing::Former);
    let lines = found.hits.into_iter().filter(|_| is_meant);
    let lines = lines.filter_map(|hit| line(&ws, &asked.q, hit)).take(SHOWN).collect();
    html::fragment(&Near { lines })
}

/// A hit as a line; none when all words of the question stand in it, by which it was found already. The palette finds
/// nothing by some of them.
fn line(ws: &Ws, q: &str, hit: Hit) -> Option<Line> {
    let quote = hit.quotes.into_iter().next()?;
    if Wanted::of(q)?.is_in(&[&hit.item.title, &quote.text]) {
        return None;
    }
    Some(Line {
        glyph: hit.item.kind.glyph(),
        title: hit.item.title,
        text: plain(&quote.text, QUOTED),
        place: match quote.page {
            Some(page) => format!("page {page}"),
            None => quote.section,
        },
        href: ws.url(&format!("knowledge/{}?p={}#cited", hit.item.id, quote.n)),
    })
}
