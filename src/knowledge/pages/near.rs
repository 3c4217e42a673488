//! Semantic matches for the command palette. A separate request, so that typing is not delayed.

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

/// Number of results considered.
const LOOKED: usize = 15;
/// Number of results shown.
const SHOWN: usize = 5;
/// Maximum length of a passage, in characters.
const QUOTED: usize = 120;

/// A passage.
struct Line {
    glyph: &'static str,
    title: String,
    text: String,
    /// Position in the item.
    place: String,
    href: String,
}

#[derive(Template)]
#[template(path = "knowledge/_near.html")]
struct Near {
    lines: Vec<Line>,
}

/// The query.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct NearbyParams {
    q: String,
}

pub(super) async fn near(
    ws: Ws,
    who: Person,
    Query(params): Query<NearbyParams>,
) -> Result<Response, PageError> {
    let wish = FindRequest {
        q: params.q.clone(),
        by: Some(By::Meaning),
        take: LOOKED,
        ..FindRequest::default()
    };
    let found = find(&ws, Seer::Person(who.account), wish).await?;
    // Without a query vector there are only text matches, which the palette already shows.
    let is_meant = matches!(found.standing, Standing::On(_) | Standing::Former);
    let lines = found.hits.into_iter().filter(|_| is_meant);
    let lines = lines.filter_map(|hit| line(&ws, &params.q, hit)).take(SHOWN).collect();
    html::fragment(&Near { lines })
}

/// A result as a row; `None` if it contains all words of the query, since the palette already shows such results. The
/// palette requires all words.
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
