//! The passages that the palette adds to what it has found by words: those that say the same in other words. They come
//! in a request of their own, so that no key waits for them.

use askama::Template;
use axum::response::Response;
use serde::Deserialize;

use app::Ws;
use web::error::PageError;
use web::extract::Query;
use web::html;
use web::session::Person;

use crate::find::{By, Hit, Seer, Wish, essence, find};
use crate::meaning::Standing;

/// Hits that are looked at.
const LOOKED: usize = 15;
/// Hits that are shown.
const SHOWN: usize = 5;

/// A passage.
struct Line {
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
pub(super) struct Asked {
    q: String,
}

pub(super) async fn near(
    ws: Ws,
    who: Person,
    Query(asked): Query<Asked>,
) -> Result<Response, PageError> {
    let wish = Wish { q: asked.q.clone(), by: Some(By::Meaning), take: LOOKED, ..Wish::default() };
    let found = find(&ws, Seer::Person(who.account), wish).await?;
    // Without a vector of the question all of it was found by words, and stands above.
    let is_meant = matches!(found.standing, Standing::On(_) | Standing::Former);
    let lines = found.hits.into_iter().filter(|_| is_meant);
    let lines = lines.filter_map(|hit| line(&ws, &asked.q, hit)).take(SHOWN).collect();
    html::fragment(&Near { lines })
}

/// A hit as a line; none when words of the question stand in it, by which it was found already.
fn line(ws: &Ws, q: &str, hit: Hit) -> Option<Line> {
    let quote = hit.quotes.into_iter().next()?;
    let wanted = essence(q)?;
    if !wanted.marks(&quote.text).is_empty() || !wanted.marks(&hit.item.title).is_empty() {
        return None;
    }
    Some(Line {
        title: hit.item.title,
        text: quote.text.replace("[[", "").replace("]]", ""),
        place: match quote.page {
            Some(page) => format!("page {page}"),
            None => quote.section,
        },
        href: ws.url(&format!("knowledge/{}?p={}#cited", hit.item.id, quote.n)),
    })
}
