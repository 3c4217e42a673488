//! Notifications below `/api/v1`: the caller's own, the caller's preferences, and the followers of a task.

pub(super) mod mail;

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use app::Ws;
use features::tasks::queries as tasks;
use features::tasks::queries::brief::Names;
use features::tasks::queries::json::WhoView;
use kernel::cursor::{DEFAULT_LIMIT, MAX_LIMIT};
use kernel::{
    About, Assignee, Can, NoticeGroup, NoticeKind, NotificationId, Timestamp, WatchReason,
};
use store::{Read, StoreError, WriteTx, cursor_key, key_cursor};
use web::error::ApiError;
use web::extract::{Json, Patch, Path, Query};
use web::idempotency::Once;
use web::routes::{Doc, Needs, Routes};
use web::session::Person;

use features::notifications::model::{Choices, Recipient, Ways};
use features::notifications::queries::view::{Lens, Line};
use features::notifications::queries::{self, Wanted};
use features::notifications::rules::{self, Mark, NotificationError};

/// Number of notifications marked per transaction.
const PIECE: usize = 200;

#[must_use]
pub fn routes() -> Routes {
    Routes::new()
        .get(
            "/notifications",
            list.needs(Can::Read).doc(|| {
                Doc::new("Your notifications, newest first")
                    .query::<NotificationListParams>()
                    .returns::<Listing>()
            }),
        )
        .patch(
            "/notifications/{id}",
            change.needs(Can::Write).doc(|| {
                Doc::new("Mark a notification as read or unread, dismiss it or snooze it")
                    .body::<ChangeBody>()
                    .returns::<View>()
            }),
        )
        .post(
            "/notifications/read-all",
            read_all.needs(Can::Write).doc(|| {
                let about = "Mark your unread notifications as read, all of them or one group";
                Doc::new(about)
                    .body::<AllBody>()
                    .returns::<Marked>()
                    .no_key("a repeat changes nothing more")
            }),
        )
        .get(
            "/notification-choices",
            choices.needs(Can::Read).doc(|| {
                Doc::new("Your notification settings, with defaults filled in")
                    .returns::<ChoicesView>()
            }),
        )
        .put(
            "/notification-choices",
            choose.needs(Can::Write).doc(|| {
                Doc::new("Change your notification settings; omitted ones get their default")
                    .body::<ChoicesBody>()
                    .returns::<ChoicesView>()
            }),
        )
        .merge(watching())
        .merge(mail::routes())
}

fn watching() -> Routes {
    Routes::new()
        .get(
            "/tasks/{task}/watchers",
            watchers
                .needs(Can::Read)
                .doc(|| Doc::new("Who follows a task, and why").returns::<Watchers>()),
        )
        .put(
            "/tasks/{task}/watch",
            follow.needs(Can::Write).doc(|| Doc::new("Follow a task").returns::<WatchView>()),
        )
        .delete(
            "/tasks/{task}/watch",
            unfollow.needs(Can::Write).doc(|| {
                Doc::new("Stop following a task; mentions still notify you").returns::<WatchView>()
            }),
        )
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct NotificationListParams {
    /// Only unread ones.
    unread: bool,
    /// Only those of a group.
    group: Option<NoticeGroup>,
    /// The `next` of the page before.
    after: Option<String>,
    /// 1 to 100; 25 unless said otherwise.
    limit: Option<usize>,
}

#[derive(Serialize, JsonSchema)]
struct View {
    id: String,
    kind: NoticeKind,
    group: NoticeGroup,
    /// One line.
    title: String,
    /// More words, or nothing.
    body: String,
    /// The page that it leads to, from the root of this server; absent when there is none.
    href: Option<String>,
    /// How many times it happened within minutes.
    count: u32,
    /// Why you hear of it.
    reason: WatchReason,
    #[schemars(with = "String")]
    at: Timestamp,
    #[schemars(with = "Option<String>")]
    read_at: Option<Timestamp>,
    #[schemars(with = "Option<String>")]
    dismissed_at: Option<Timestamp>,
    #[schemars(with = "Option<String>")]
    snoozed_until: Option<Timestamp>,
}

impl View {
    fn of(ws: &Ws, row: &Recipient, line: Line) -> Self {
        Self {
            id: line.id,
            kind: row.kind,
            group: row.kind.group(),
            title: line.title,
            body: line.body,
            href: Some(line.path).filter(|path| !path.is_empty()).map(|path| ws.url(&path)),
            count: row.count,
            reason: row.why,
            at: row.at,
            read_at: row.read_at,
            dismissed_at: row.dismissed_at,
            snoozed_until: row.snoozed_until,
        }
    }
}

fn views(ws: &Ws, read: &dyn Read, rows: &[Recipient]) -> Result<Vec<View>, NotificationError> {
    let zone = TimeZone::UTC;
    let lens = Lens::new(read, ws.app.clock.now(), &zone)?;
    let mut views = Vec::with_capacity(rows.len());
    for row in rows {
        views.extend(lens.line(read, row)?.map(|line| View::of(ws, row, line)));
    }
    Ok(views)
}

#[derive(Serialize, JsonSchema)]
struct Listing {
    items: Vec<View>,
    /// How many are unread; 10,000 means that many or more.
    unread: usize,
    /// Give this back as `after`; none at the end.
    next: Option<String>,
}

async fn list(
    ws: Ws,
    who: Person,
    Query(params): Query<NotificationListParams>,
) -> Result<Json<Listing>, ApiError> {
    let limit = params.limit.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT);
    let after =
        match params.after.as_deref() {
            None => None,
            Some(text) => Some(cursor_key(text).ok_or_else(|| {
                ApiError::invalid("after", "send the `next` of the previous page")
            })?),
        };
    let (me, now) = (who.account, ws.app.clock.now());
    let wanted = Wanted { unread: params.unread, group: params.group };
    let page = ws.read(|snap| {
        let (rows, next) = queries::list(snap, (me, now), wanted, (after.as_deref(), limit))?;
        let (items, unread) =
            (views(&ws, snap, &rows)?, queries::unread(snap, (me, now), queries::ALL)?);
        Ok::<_, NotificationError>(Listing {
            items,
            unread,
            next: next.map(|key| key_cursor(&key)),
        })
    })?;
    Ok(Json(page))
}

/// What to change; one of these.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ChangeBody {
    /// Whether it is read.
    read: Option<bool>,
    /// Whether it is put away.
    dismissed: Option<bool>,
    /// Shown again from this moment on; at most 60 days from now.
    #[schemars(with = "Option<String>")]
    snoozed_until: Option<Timestamp>,
}

impl ChangeBody {
    fn marks(&self) -> Vec<Mark> {
        let read = self.read.map(|on| if on { Mark::Read } else { Mark::Unread });
        let away = self.dismissed.map(|on| if on { Mark::Dismissed } else { Mark::Restored });
        read.into_iter().chain(away).chain(self.snoozed_until.map(Mark::Snoozed)).collect()
    }
}

async fn change(
    ws: Ws,
    who: Person,
    once: Once,
    Path(id): Path<NotificationId>,
    Patch(body): Patch<ChangeBody>,
) -> Result<Json<View>, ApiError> {
    let marks = body.marks();
    if marks.is_empty() {
        return Err(ApiError::invalid(
            "read",
            "say what to change: read, dismissed or snoozed_until",
        ));
    }
    let change = once.run(move |tx: &mut WriteTx<'_>| {
        for mark in marks {
            rules::mark(tx, id, mark)?;
        }
        Ok::<_, NotificationError>(())
    });
    ws.write(&who, change).await?;
    let view = ws.read(|snap| {
        let row = queries::row(snap, who.account, id)?.ok_or(NotificationError::NotFound)?;
        let mut views = views(&ws, snap, &[row])?;
        views.pop().ok_or(NotificationError::NotFound)
    })?;
    Ok(Json(view))
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct AllBody {
    /// Only those of a group.
    group: Option<NoticeGroup>,
}

#[derive(Serialize, JsonSchema)]
struct Marked {
    /// How many were unread.
    count: usize,
}

async fn read_all(
    ws: Ws,
    who: Person,
    Json(body): Json<AllBody>,
) -> Result<Json<Marked>, ApiError> {
    let wanted = Wanted { unread: true, group: body.group };
    let (count, _) = read_them(&ws, &who, wanted).await?;
    Ok(Json(Marked { count }))
}

/// Marks all matching notifications as read, in chunks. Returns their number and the times of the first and last write.
pub(super) async fn read_them(
    ws: &Ws,
    who: &Person,
    wanted: Wanted,
) -> Result<(usize, (Timestamp, Timestamp)), NotificationError> {
    let (mut count, mut from) = (0, None);
    loop {
        let (read, at) = ws.write(who, move |tx| rules::read_all(tx, wanted, PIECE)).await?;
        count += read;
        let from = *from.get_or_insert(at);
        if read < PIECE {
            return Ok((count, (from, at)));
        }
    }
}

#[derive(Serialize, JsonSchema)]
struct ChoicesView {
    /// The hour of your day at which the email of the day is sent.
    digest_hour: u8,
    /// By the word of a group.
    groups: BTreeMap<&'static str, Ways>,
    /// By the word of a kind; those that are not as their group.
    kinds: BTreeMap<&'static str, Ways>,
}

impl ChoicesView {
    fn of(own: &Choices) -> Self {
        let groups = NoticeGroup::ALL.iter().map(|group| (group.word(), own.group(*group)));
        let odd = NoticeKind::ALL.iter().filter(|kind| own.of(**kind) != own.group(kind.group()));
        Self {
            digest_hour: own.digest_hour,
            groups: groups.collect(),
            kinds: odd.map(|kind| (kind.word(), own.of(*kind))).collect(),
        }
    }
}

async fn choices(ws: Ws, who: Person) -> Result<Json<ChoicesView>, ApiError> {
    let own = ws.read(|snap| queries::choices(snap, who.account))?;
    Ok(Json(ChoicesView::of(&own)))
}

/// What you choose.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct ChoicesBody {
    /// 0 to 23; 8 unless said otherwise.
    digest_hour: Option<u8>,
    /// By group.
    groups: Vec<GroupChoice>,
    /// By kind.
    kinds: Vec<KindChoice>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct GroupChoice {
    group: NoticeGroup,
    ways: Ways,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct KindChoice {
    kind: NoticeKind,
    ways: Ways,
}

async fn choose(
    ws: Ws,
    who: Person,
    once: Once,
    Json(body): Json<ChoicesBody>,
) -> Result<Json<ChoicesView>, ApiError> {
    let groups: BTreeMap<_, _> = body.groups.into_iter().map(|one| (one.group, one.ways)).collect();
    let kinds: BTreeMap<_, _> = body.kinds.into_iter().map(|one| (one.kind, one.ways)).collect();
    let usual = Choices::usual(who.account);
    let chosen = Choices {
        groups: groups.into_iter().collect(),
        kinds: kinds.into_iter().collect(),
        digest_hour: body.digest_hour.unwrap_or(usual.digest_hour),
        zone: Some(who.zone.clone()),
        ..usual
    };
    let choose = once.run(move |tx: &mut WriteTx<'_>| rules::choose(tx, chosen).map(drop));
    ws.write(&who, choose).await?;
    choices(ws, who).await
}

#[derive(Serialize, JsonSchema)]
struct Watchers {
    items: Vec<WatcherView>,
}

#[derive(Serialize, JsonSchema)]
struct WatcherView {
    who: WhoView,
    reason: WatchReason,
}

#[derive(Serialize, JsonSchema)]
struct WatchView {
    /// Whether you hear of it.
    watching: bool,
    /// Why, or why you would.
    reason: Option<WatchReason>,
}

async fn watchers(ws: Ws, Path(text): Path<String>) -> Result<Json<Watchers>, ApiError> {
    let task = ws.read(|snap| tasks::resolve(snap, &text))?;
    let items = ws.read(|snap| {
        let names = Names::read(snap)?;
        let all = queries::watchers(snap, About::Task(task.id))?.into_iter();
        let view = |(account, reason)| WatcherView {
            who: WhoView::of(&names, Assignee::Person(account)),
            reason,
        };
        Ok::<_, StoreError>(all.map(view).collect())
    })?;
    Ok(Json(Watchers { items }))
}

async fn follow(
    ws: Ws,
    who: Person,
    once: Once,
    Path(text): Path<String>,
) -> Result<Json<WatchView>, ApiError> {
    watch(&ws, &who, once, (&text, true)).await
}

async fn unfollow(
    ws: Ws,
    who: Person,
    once: Once,
    Path(text): Path<String>,
) -> Result<Json<WatchView>, ApiError> {
    watch(&ws, &who, once, (&text, false)).await
}

async fn watch(
    ws: &Ws,
    who: &Person,
    once: Once,
    (text, on): (&str, bool),
) -> Result<Json<WatchView>, ApiError> {
    let about = About::Task(ws.read(|snap| tasks::resolve(snap, text))?.id);
    let change = once.run(move |tx: &mut WriteTx<'_>| match on {
        true => rules::follow(tx, about),
        false => rules::unfollow(tx, about),
    });
    ws.write(who, change).await?;
    let now = ws.read(|snap| queries::following(snap, about, who.account))?;
    Ok(Json(WatchView { watching: now.on, reason: now.reason }))
}
