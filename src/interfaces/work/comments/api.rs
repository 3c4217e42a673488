//! Comments below `/api/v1`.

use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use app::Ws;
use features::comments::model;
use features::comments::model::Comment;
use features::comments::queries::{self, CommentError, Power};
use features::comments::rules::{self, Reach};
use features::places::Spot;
use features::tasks::queries::brief::Names;
use features::tasks::queries::error::TaskError;
use features::tasks::queries::json::WhoView;
use kernel::cursor::{DEFAULT_LIMIT, MAX_LIMIT};
use kernel::{Assignee, Can, CommentId, ReactionKind, Timestamp};
use store::{Range, Read, ReadExt as _, WriteTx, cursor_key, key_cursor};
use web::error::ApiError;
use web::etag::{IfMatch, Tagged};
use web::extract::{Json, Path, Query};
use web::idempotency::Once;
use web::routes::{Doc, Needs as _, Routes};
use web::session::Person;

#[must_use]
pub fn api() -> Routes {
    Routes::new()
        .get(
            "/tasks/{task}/comments",
            list.needs(Can::Read).doc(|| {
                Doc::new("Comments on a task, oldest first")
                    .query::<CommentListParams>()
                    .returns::<Comments>()
            }),
        )
        .post(
            "/tasks/{task}/comments",
            create.needs(Can::Write).doc(|| {
                Doc::new("Comment on a task; @slug assigns work to an agent")
                    .body::<NewBody>()
                    .returns::<CommentView>()
                    .status(201)
            }),
        )
        .get(
            "/on/{place}/comments",
            list.needs(Can::Read).doc(|| {
                Doc::new("Comments on a record such as contact:0192…, oldest first")
                    .query::<CommentListParams>()
                    .returns::<Comments>()
            }),
        )
        .post(
            "/on/{place}/comments",
            create.needs(Can::Write).doc(|| {
                Doc::new(
                    "Comment on a record such as contact:0192…; @slug assigns work to an \
                    agent",
                )
                .body::<NewBody>()
                .returns::<CommentView>()
                .status(201)
            }),
        )
        .get(
            "/comments/{comment}",
            show.needs(Can::Read).doc(|| Doc::new("Show a comment").returns::<CommentView>()),
        )
        .patch(
            "/comments/{comment}",
            change.needs(Can::Write).doc(|| {
                Doc::new("Change your own comment")
                    .if_match()
                    .body::<ChangeBody>()
                    .returns::<CommentView>()
            }),
        )
        .delete(
            "/comments/{comment}",
            remove.needs(Can::Write).doc(|| {
                Doc::new(
                    "Delete your own comment, an agent's if you manage agents, or any as an admin",
                )
                .if_match()
                .returns::<CommentView>()
            }),
        )
        .post(
            "/comments/{comment}/reactions",
            react.needs(Can::Write).doc(|| {
                Doc::new("React to a comment or remove a reaction")
                    .body::<ReactBody>()
                    .returns::<CommentView>()
            }),
        )
        .post(
            "/comments/{comment}/settle",
            settle.needs(Can::Write).doc(|| {
                Doc::new("Resolve the thread of a comment or reopen it")
                    .body::<SettleBody>()
                    .returns::<CommentView>()
            }),
        )
}

#[derive(Serialize, JsonSchema)]
struct CommentView {
    id: CommentId,
    /// The key of its task; none when it is on a record.
    task: Option<String>,
    /// What it is on: the key of a task, or such as `contact:0192…`.
    on: String,
    author: WhoView,
    /// Markdown.
    body: String,
    /// Agents and people mentioned in it.
    mentions: Vec<WhoView>,
    /// Whether the task's agent was left alone.
    note_only: bool,
    /// The comment that it answers.
    parent: Option<CommentId>,
    /// What people and agents said to it without words.
    reactions: Vec<ReactionView>,
    /// Who settled the talk that begins with it.
    settled_by: Option<WhoView>,
    #[schemars(with = "Option<String>")]
    settled_at: Option<Timestamp>,
    #[schemars(with = "String")]
    created_at: Timestamp,
    #[schemars(with = "Option<String>")]
    edited_at: Option<Timestamp>,
}

#[derive(Serialize, JsonSchema)]
struct ReactionView {
    reaction: ReactionKind,
    emoji: &'static str,
    by: Vec<WhoView>,
}

fn view(read: &dyn Read, names: &Names, comment: Comment) -> Result<CommentView, TaskError> {
    let spot = Spot::here(read, comment.on)?;
    let agents = comment.mentions.into_iter().map(Assignee::Agent);
    let people = comment.people.into_iter().map(Assignee::Person);
    let reactions = queries::reactions_to(read, comment.id)?.into_iter();
    let reaction = |(kind, who): (ReactionKind, Vec<Assignee>)| ReactionView {
        reaction: kind,
        emoji: kind.emoji(),
        by: who.into_iter().map(|one| WhoView::of(names, one)).collect(),
    };
    Ok(CommentView {
        id: comment.id,
        task: comment.on.task().map(|_| spot.name.clone()),
        on: spot.word().to_owned(),
        author: WhoView::actor(names, comment.author),
        body: comment.body,
        mentions: agents.chain(people).map(|who| WhoView::of(names, who)).collect(),
        note_only: comment.note_only,
        parent: comment.parent,
        reactions: reactions.map(reaction).collect(),
        settled_by: comment.settled_by.map(|who| WhoView::of(names, who)),
        settled_at: comment.settled_at,
        created_at: comment.created_at,
        edited_at: comment.edited_at,
    })
}

/// Which comments.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct CommentListParams {
    /// The `next` of the page before.
    after: Option<String>,
    /// 1 to 100; 25 unless said otherwise.
    limit: Option<usize>,
}

#[derive(Serialize, JsonSchema)]
struct Comments {
    items: Vec<CommentView>,
    /// Give this back as `after`.
    next: Option<String>,
}

async fn list(
    ws: Ws,
    Path(text): Path<String>,
    Query(params): Query<CommentListParams>,
) -> Result<Json<Comments>, ApiError> {
    let limit = params.limit.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT);
    let page = ws.read(|snap| {
        let spot = Spot::resolve(snap, &text)?;
        let names = Names::read(snap)?;
        let mut range = Range::prefix(spot.place.key()).limit(limit + 1);
        if let Some(after) = params.after.as_deref() {
            let wrong = || TaskError::field("after", "use the `next` of the previous page");
            range = range.after(&cursor_key(after).ok_or_else(wrong)?);
        }
        let mut hits = snap.hits::<Comment>(model::BY_TASK, &range)?;
        let more = limit < hits.len();
        hits.truncate(limit);
        let next = hits.last().filter(|_| more).map(|hit| key_cursor(&hit.key));
        let views = hits.into_iter().map(|hit| view(snap, &names, hit.record));
        Ok::<_, TaskError>(Comments { items: views.collect::<Result<_, _>>()?, next })
    })?;
    Ok(Json(page))
}

/// A comment to be written.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewBody {
    /// Markdown.
    body: String,
    /// Leaves the task's agent alone.
    #[serde(default)]
    note_only: bool,
    /// The comment that it answers.
    reply_to: Option<CommentId>,
}

async fn create(
    ws: Ws,
    who: Person,
    once: Once,
    Path(text): Path<String>,
    Json(body): Json<NewBody>,
) -> Result<Tagged<CommentView>, ApiError> {
    let place = ws.read(|snap| Spot::resolve(snap, &text))?.place;
    let reach = if body.note_only { Reach::NoteOnly } else { Reach::Usual };
    let made = once.run(move |tx: &mut WriteTx<'_>| {
        let made = match body.reply_to {
            Some(to) => rules::reply(tx, place, to, (&body.body, reach)),
            None => rules::add(tx, place, &body.body, reach),
        };
        made.map(|comment| comment.id)
    });
    let id = ws.write(&who, made).await?;
    Ok(Tagged { status: StatusCode::CREATED, ..with_etag(&ws, id)? })
}

fn with_etag(ws: &Ws, id: CommentId) -> Result<Tagged<CommentView>, ApiError> {
    let (rev, view) = ws.read(|snap| {
        let found = snap.get_rev::<Comment>(id)?;
        let (comment, rev) = found.ok_or(CommentError::NotFound)?;
        Ok::<_, CommentError>((rev, view(snap, &Names::read(snap)?, comment)?))
    })?;
    Ok(Tagged::ok(rev, view))
}

async fn show(ws: Ws, Path(id): Path<CommentId>) -> Result<Tagged<CommentView>, ApiError> {
    with_etag(&ws, id)
}

/// The new words.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ChangeBody {
    /// Markdown.
    body: String,
}

async fn change(
    ws: Ws,
    who: Person,
    once: Once,
    IfMatch(rev): IfMatch,
    Path(id): Path<CommentId>,
    Json(body): Json<ChangeBody>,
) -> Result<Tagged<CommentView>, ApiError> {
    let changed = once.run(move |tx: &mut WriteTx<'_>| {
        queries::check_rev(tx, id, rev)?;
        rules::edit(tx, id, &body.body).map(|_| ())
    });
    ws.write(&who, changed).await?;
    with_etag(&ws, id)
}

async fn remove(
    ws: Ws,
    who: Person,
    once: Once,
    IfMatch(rev): IfMatch,
    Path(id): Path<CommentId>,
) -> Result<Json<CommentView>, ApiError> {
    let power = Power::of(who.access);
    let remove = once.run(move |tx: &mut WriteTx<'_>| {
        queries::check_rev(tx, id, rev)?;
        rules::remove(tx, id, power)
    });
    let gone = ws.write(&who, remove).await?;
    let shown = ws.read(|snap| view(snap, &Names::read(snap)?, gone))?;
    Ok(Json(shown))
}

/// A reaction.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ReactBody {
    /// `thumbs_up`, `thumbs_down`, `heart`, `party`, `laugh`, `eyes`, `confused`, `rocket`, or the emoji.
    reaction: String,
    /// `false` takes it back.
    #[serde(default = "yes")]
    on: bool,
}

fn yes() -> bool {
    true
}

async fn react(
    ws: Ws,
    who: Person,
    once: Once,
    Path(id): Path<CommentId>,
    Json(body): Json<ReactBody>,
) -> Result<Tagged<CommentView>, ApiError> {
    let kind = queries::reaction_named(&body.reaction)?;
    let done =
        once.run(move |tx: &mut WriteTx<'_>| rules::react(tx, id, kind, body.on).map(|_| ()));
    ws.write(&who, done).await?;
    with_etag(&ws, id)
}

/// Whether a talk is settled.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SettleBody {
    /// `false` opens it again.
    #[serde(default = "yes")]
    settled: bool,
}

async fn settle(
    ws: Ws,
    who: Person,
    once: Once,
    Path(id): Path<CommentId>,
    Json(body): Json<SettleBody>,
) -> Result<Tagged<CommentView>, ApiError> {
    let done = once
        .run(move |tx: &mut WriteTx<'_>| rules::settle(tx, id, body.settled).map(|first| first.id));
    let first = ws.write(&who, done).await?;
    with_etag(&ws, first)
}
