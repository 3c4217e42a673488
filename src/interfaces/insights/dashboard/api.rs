//! The API of the dashboard's "needs you" list: entries, snooze and dismiss.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::putting;
use app::Ws;
use features::dashboard::model::PutAway;
use features::dashboard::queries::needs::Row;
use features::dashboard::queries::{DashboardContext, away, needs};
use features::dashboard::rules::NeedError;
use features::notifications::queries::snooze;
use kernel::{Can, Timestamp};
use store::StoreError;
use web::error::ApiError;
use web::extract::{Json, Path};
use web::routes::{Doc, Needs, Routes};
use web::session::Person;

/// Why no `Idempotency-Key` is needed.
const TWICE: &str = "a repeat changes nothing more";

#[must_use]
pub fn routes() -> Routes {
    Routes::new()
        .get(
            "/needs",
            list.needs(Can::Read).doc(|| {
                Doc::new("What needs you, most urgent first, as on the dashboard")
                    .returns::<NeedsView>()
            }),
        )
        .post(
            "/needs/{id}/snooze",
            put_off.needs(Can::Write).doc(|| {
                Doc::new("Snooze something that needs you, or until it changes")
                    .body::<SnoozeBody>()
                    .returns::<AwayView>()
                    .no_key(TWICE)
            }),
        )
        .post(
            "/needs/{id}/dismiss",
            dismiss.needs(Can::Write).doc(|| {
                Doc::new("Dismiss something that needs no decision, until it changes")
                    .returns::<AwayView>()
                    .no_key(TWICE)
            }),
        )
        .post(
            "/needs/{id}/restore",
            restore.needs(Can::Write).doc(|| {
                Doc::new("Restore something that you snoozed or dismissed")
                    .returns::<NeedsView>()
                    .no_key(TWICE)
            }),
        )
}

#[derive(Serialize, JsonSchema)]
struct NeedsView {
    /// At most 12, at most five of a kind.
    items: Vec<NeedView>,
    /// How many there are in all.
    count: usize,
    /// Whether there are more than were counted.
    more: bool,
    /// What you have put away, the last one at the end.
    away: Vec<AwayView>,
}

#[derive(Serialize, JsonSchema)]
struct NeedView {
    /// Names the thing and what it says: of something new it is another one.
    id: String,
    /// What is wanted, in a word or two.
    kind: &'static str,
    /// What it is about.
    title: String,
    /// More of it, in short pieces.
    facts: Vec<String>,
    /// The page that it leads to, from the root of this server.
    href: String,
    /// Whether it is merely told and can be dismissed.
    can_dismiss: bool,
}

impl NeedView {
    fn of(row: Row) -> Self {
        Self {
            id: row.id,
            kind: row.word,
            title: row.title,
            facts: row.facts,
            href: row.href,
            can_dismiss: row.is_told,
        }
    }
}

#[derive(Serialize, JsonSchema)]
struct AwayView {
    id: String,
    /// What it was called.
    title: String,
    #[schemars(with = "String")]
    at: Timestamp,
    /// When it comes back; null for what was dismissed.
    #[schemars(with = "Option<String>")]
    until: Option<Timestamp>,
}

impl AwayView {
    fn of(row: PutAway) -> Self {
        Self { id: row.need, title: row.title, at: row.at, until: row.until }
    }
}

async fn list(ws: Ws, who: Person) -> Result<Json<NeedsView>, ApiError> {
    let seen = move |ws: &Ws| {
        ws.read(|snap| {
            let scene = DashboardContext::new(snap, ws, &who)?;
            let found = needs::read(snap, &scene)?;
            let (count, more) = found.count.counted();
            let put_away = away::of(snap, who.account)?.into_iter();
            let put_away = put_away.filter(|row| row.is_away(scene.now));
            Ok::<_, StoreError>(NeedsView {
                items: found.rows.into_iter().map(NeedView::of).collect(),
                count,
                more,
                away: put_away.map(AwayView::of).collect(),
            })
        })
    };
    Ok(Json(ws.read_blocking(seen).await?))
}

/// Until when.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SnoozeBody {
    /// `hour`, `tomorrow`, `week`, or a moment within the next 60 days.
    until: String,
}

async fn put_off(
    ws: Ws,
    who: Person,
    Path(id): Path<String>,
    Json(body): Json<SnoozeBody>,
) -> Result<Json<AwayView>, ApiError> {
    let word = snooze::until(&body.until, ws.app.clock.now(), &who.time_zone());
    let until = word.or_else(|| body.until.parse().ok()).ok_or(NeedError::BadTime)?;
    let row = putting::put_away(&ws, &who, &id, Some(until)).await?;
    Ok(Json(AwayView::of(row)))
}

async fn dismiss(ws: Ws, who: Person, Path(id): Path<String>) -> Result<Json<AwayView>, ApiError> {
    Ok(Json(AwayView::of(putting::put_away(&ws, &who, &id, None).await?)))
}

async fn restore(ws: Ws, who: Person, Path(id): Path<String>) -> Result<Json<NeedsView>, ApiError> {
    putting::restore(&ws, &who, id).await?;
    list(ws, who).await
}
