//! Writing, editing, resolving and deleting comments. The timeline is part of the page of the commented record.

use askama::Template;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};

use app::{App, Ws};
use features::comments::queries::show::{self, Begun, CommentView, Composer};
use features::comments::queries::{self, CommentError, Power};
use features::comments::rules::{self, Reach};
use features::places::{Place, Spot};
use features::tasks::model::Task;
use features::tasks::queries as tasks;
use features::tasks::queries::error::TaskError;
use features::tasks::queries::list::{self, Cut, Filter, Sort};
use features::tasks::queries::view_context::ViewContext;
use kernel::{Can, CommentId, Problem as _, ProblemKind};
use store::Read;
use web::error::PageError;
use web::extract::{Form, Json, Path, Path2, Query};
use web::hx::Hx;
use web::idempotency::Once;
use web::routes::{Needs as _, Routes};
use web::session::Person;
use web::shell::{Flash, Shell};
use web::{flash, format, html};

/// Maximum number of completions.
const OFFERS: usize = 6;

#[must_use]
pub fn routes() -> Routes {
    Routes::new()
        .post("/tasks/{task}/comment", add.needs(Can::Write))
        .post("/tasks/{task}/compose", compose.needs(Can::Write))
        .get("/tasks/{task}/reach", reach.needs(Can::Read))
        .get("/tasks/{task}/comments/{comment}", words.needs(Can::Read))
        .get("/tasks/{task}/comments/{comment}/edit", editor.needs(Can::Write))
        .post("/tasks/{task}/comments/{comment}", edit.needs(Can::Write))
        .post("/tasks/{task}/comments/{comment}/delete", remove.needs(Can::Write))
        .post("/tasks/{task}/comments/{comment}/react", react.needs(Can::Write))
        .post("/tasks/{task}/comments/{comment}/settle", settle.needs(Can::Write))
        .get("/on/{place}", place.needs(Can::Read))
        .post("/on/{place}/comment", add.needs(Can::Write))
        .post("/on/{place}/compose", compose.needs(Can::Write))
        .get("/on/{place}/reach", reach.needs(Can::Read))
        .get("/on/{place}/comments/{comment}", words.needs(Can::Read))
        .get("/on/{place}/comments/{comment}/edit", editor.needs(Can::Write))
        .post("/on/{place}/comments/{comment}", edit.needs(Can::Write))
        .post("/on/{place}/comments/{comment}/delete", remove.needs(Can::Write))
        .post("/on/{place}/comments/{comment}/react", react.needs(Can::Write))
        .post("/on/{place}/comments/{comment}/settle", settle.needs(Can::Write))
        .get("/names", names.needs(Can::Read))
}

#[derive(Template)]
#[template(path = "comments/_composer.html")]
struct ComposerPart {
    composer: Composer,
}

#[derive(Template)]
#[template(path = "comments/_reach.html")]
struct ReachPart {
    composer: Composer,
}

/// The text of a comment.
#[derive(Template)]
#[template(path = "comments/_words.html")]
struct WordsPart {
    said: CommentView,
}

/// The edit form of a comment.
#[derive(Template)]
#[template(path = "comments/_edit.html")]
struct EditPart {
    id: CommentId,
    action: String,
    names: String,
    body: String,
    was: String,
    theirs: String,
    error: String,
}

/// A page with one comment, to edit it or to correct a rejected one.
#[derive(Template)]
#[template(path = "comments/write.html")]
struct WritePage {
    shell: Shell,
    title: &'static str,
    verb: &'static str,
    action: String,
    task_name: String,
    task_href: String,
    list_url: String,
    body: String,
    was: String,
    parent: String,
    theirs: String,
    error: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct CommentForm {
    body: String,
    note_only: String,
    /// The comment that this one replies to.
    parent: String,
    /// Key that identifies a repeated submission.
    key: String,
    /// The text when editing began.
    was: String,
}

/// Address of the commented record, optionally at one comment.
fn at(scene: &ViewContext, spot: &Spot, id: Option<CommentId>) -> String {
    let page = scene.ws.url(&spot.path);
    id.map_or(page.clone(), |id| format!("{page}#c-{id}"))
}

/// Redirects to the page of a record, with the quote or reply for the comment box.
async fn place(
    ws: Ws,
    hx: Hx,
    Path(text): Path<String>,
    Query(with): Query<With>,
) -> Result<Response, PageError> {
    let spot = ws.read(|snap| Spot::resolve(snap, &text))?;
    let page = ws.url(&spot.path);
    Ok(hx.go_to(&match (with.reply.as_str(), with.quote.as_str()) {
        ("", "") => page,
        ("", quote) => format!("{page}?quote={}", format::query_value(quote)),
        (reply, _) => format!("{page}?reply={}", format::query_value(reply)),
    }))
}

async fn add(
    ws: Ws,
    who: Person,
    hx: Hx,
    shell: Shell,
    Path(text): Path<String>,
    Form(form): Form<CommentForm>,
) -> Result<Response, PageError> {
    let spot = ws.read(|snap| Spot::resolve(snap, &text))?;
    let (id, body) = (spot.place, form.body.clone());
    let note = if form.note_only.is_empty() { Reach::Usual } else { Reach::NoteOnly };
    let parent = match form.parent.as_str() {
        "" => None,
        text => Some(text.parse::<CommentId>().map_err(|_| CommentError::NotFound)?),
    };
    let content = [form.body.as_str(), form.note_only.as_str(), form.parent.as_str()];
    let once = Once::of_form(&who, &format!("comment {}", spot.base), &form.key, &content);
    let add = once.run(move |tx| match parent {
        Some(parent) => rules::reply(tx, id, parent, (&body, note)).map(|comment| comment.id),
        None => rules::add(tx, id, &body, note).map(|comment| comment.id),
    });
    let added = ws.write(&who, add).await;
    let scene = ws.read(|snap| ViewContext::new(&ws, &who, snap))?;
    match added {
        Ok(_) if hx.is_partial() => {
            let composer = ws.read(|snap| show::composer(&scene, snap, &spot, Begun::default()))?;
            Ok((spot.changed(), html::fragment::<_, PageError>(&ComposerPart { composer })?)
                .into_response())
        }
        Ok(comment) => Ok(hx.go_to(&at(&scene, &spot, Some(comment)))),
        Err(error) if error.kind() == ProblemKind::Invalid => {
            if hx.is_partial() {
                let begun = Begun::of(form.body, "", &form.parent);
                let composer = ws.read(|snap| show::composer(&scene, snap, &spot, begun))?;
                let composer = Composer {
                    note_only: !form.note_only.is_empty(),
                    error: error.to_string(),
                    ..composer
                };
                let status = StatusCode::UNPROCESSABLE_ENTITY;
                return html::fragment_with(status, &ComposerPart { composer });
            }
            let action = format!("{}/comment", ws.url(&spot.base));
            let page = page(&scene, shell, &spot, ("Comment", "Comment", action));
            let page = WritePage { parent: form.parent, ..page };
            refused(StatusCode::UNPROCESSABLE_ENTITY, page, form.body, &error)
        }
        Err(error) => Err(error.into()),
    }
}

/// The comment that the box quotes or replies to.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct With {
    quote: String,
    reply: String,
}

/// The comment box with a quote or as a reply; keeps the typed text.
async fn compose(
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(text): Path<String>,
    Query(with): Query<With>,
    Form(form): Form<CommentForm>,
) -> Result<Response, PageError> {
    let (composer, href) = ws.read(|snap| {
        let spot = Spot::resolve(snap, &text)?;
        let scene = ViewContext::new(&ws, &who, snap)?;
        // A reply stays a reply when a quote is added; only another reply target, or none, replaces it.
        let reply = if with.quote.is_empty() { &with.reply } else { &form.parent };
        let begun = Begun::of(form.body, &with.quote, reply);
        let composer = show::composer(&scene, snap, &spot, begun)?;
        Ok::<_, TaskError>((composer, at(&scene, &spot, None)))
    })?;
    if !hx.is_partial() {
        return Ok(hx.go_to(&format!("{href}#say")));
    }
    let note_only = !form.note_only.is_empty();
    html::fragment(&ComposerPart { composer: Composer { note_only, focus: true, ..composer } })
}

fn page(
    scene: &ViewContext,
    shell: Shell,
    spot: &Spot,
    (title, verb, action): (&'static str, &'static str, String),
) -> WritePage {
    WritePage {
        shell,
        title,
        verb,
        action,
        task_name: spot.name.clone(),
        task_href: at(scene, spot, None),
        list_url: match spot.place {
            Place::Task(_) => scene.ws.url("tasks"),
            Place::Row(_) => String::new(),
        },
        body: String::new(),
        was: String::new(),
        parent: String::new(),
        theirs: String::new(),
        error: String::new(),
    }
}

fn refused(
    status: StatusCode,
    page: WritePage,
    body: String,
    error: &CommentError,
) -> Result<Response, PageError> {
    html::document(status, &WritePage { body, error: error.to_string(), ..page })
}

/// The line that lists a comment's recipients.
async fn reach(ws: Ws, who: Person, Path(text): Path<String>) -> Result<Response, PageError> {
    let composer = ws.read(|snap| {
        let spot = Spot::resolve(snap, &text)?;
        show::composer(&ViewContext::new(&ws, &who, snap)?, snap, &spot, Begun::default())
    })?;
    html::fragment(&ReachPart { composer })
}

/// A comment with its record and its view context.
fn found(
    ws: &Ws,
    who: &Person,
    text: &str,
    id: CommentId,
) -> Result<(ViewContext, Spot, features::comments::model::Comment), CommentError> {
    ws.read(|snap| {
        let spot = Spot::resolve(snap, text)?;
        let comment = queries::in_place(snap, spot.place, id)?.ok_or(CommentError::NotFound)?;
        Ok((ViewContext::new(ws, who, snap)?, spot, comment))
    })
}

/// The current text of a comment.
async fn words(
    ws: Ws,
    who: Person,
    hx: Hx,
    Path2(text, id): Path2<String, CommentId>,
) -> Result<Response, PageError> {
    let (scene, spot, comment) = found(&ws, &who, &text, id)?;
    if !hx.is_partial() {
        return Ok(hx.go_to(&at(&scene, &spot, Some(id))));
    }
    let shown = ws.read(|snap| show::view(&scene, snap, &spot, comment))?;
    html::fragment(&WordsPart { said: shown })
}

async fn editor(
    ws: Ws,
    who: Person,
    hx: Hx,
    shell: Shell,
    Path2(text, id): Path2<String, CommentId>,
) -> Result<Response, PageError> {
    let (scene, spot, comment) = found(&ws, &who, &text, id)?;
    let was = queries::mark(&comment.body);
    if hx.is_partial() {
        let part = edit_part(&scene, &spot, id);
        return html::fragment(&EditPart { body: comment.body, was, ..part });
    }
    let page = edit_page(&scene, shell, &spot, id);
    html::page(&WritePage { body: comment.body, was, ..page })
}

fn edit_page(scene: &ViewContext, shell: Shell, spot: &Spot, id: CommentId) -> WritePage {
    let action = format!("{}/comments/{id}", scene.ws.url(&spot.base));
    page(scene, shell, spot, ("Edit comment", "Save", action))
}

fn edit_part(scene: &ViewContext, spot: &Spot, id: CommentId) -> EditPart {
    EditPart {
        id,
        action: format!("{}/comments/{id}", scene.ws.url(&spot.base)),
        names: scene.ws.url("names"),
        body: String::new(),
        was: String::new(),
        theirs: String::new(),
        error: String::new(),
    }
}

/// Saves an edited comment. If the comment changed since editing began (by another person or in another window), both
/// texts are shown, and saving again keeps the editor's text.
async fn edit(
    ws: Ws,
    who: Person,
    hx: Hx,
    shell: Shell,
    Path2(text, id): Path2<String, CommentId>,
    Form(form): Form<CommentForm>,
) -> Result<Response, PageError> {
    let (scene, spot, _) = found(&ws, &who, &text, id)?;
    let (body, was) = (form.body.clone(), form.was.clone());
    let (status, was, theirs, error) =
        match ws.write(&who, move |tx| rules::edit_seen(tx, id, &was, &body)).await {
            Ok(comment) if hx.is_partial() => {
                let shown = ws.read(|snap| show::view(&scene, snap, &spot, comment))?;
                let part = html::fragment::<_, PageError>(&WordsPart { said: shown })?;
                return Ok((spot.changed(), part).into_response());
            }
            Ok(_) => return Ok(hx.go_to(&at(&scene, &spot, Some(id)))),
            Err(CommentError::Changed(now)) => {
                let was = queries::mark(&now);
                let error = CommentError::Changed(now.clone());
                (StatusCode::CONFLICT, was, now, error)
            }
            Err(error) if error.kind() == ProblemKind::Invalid => {
                (StatusCode::UNPROCESSABLE_ENTITY, form.was, String::new(), error)
            }
            Err(error) => return Err(error.into()),
        };
    if hx.is_partial() {
        let message = if theirs.is_empty() { error.to_string() } else { String::new() };
        let part = edit_part(&scene, &spot, id);
        let part = EditPart { body: form.body, was, theirs, error: message, ..part };
        return html::fragment_with(status, &part);
    }
    let page = WritePage { was, theirs, ..edit_page(&scene, shell, &spot, id) };
    refused(status, page, form.body, &error)
}

/// Responds to an action on a comment: in place, or with a redirect to the comment.
fn done(hx: &Hx, scene: &ViewContext, spot: &Spot, id: CommentId) -> Response {
    if hx.is_partial() {
        let ask = spot.changed().reswap("none");
        return (ask, html::answer(StatusCode::OK, String::new())).into_response();
    }
    hx.go_to(&at(scene, spot, Some(id)))
}

async fn remove(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path2(text, id): Path2<String, CommentId>,
) -> Result<Response, PageError> {
    let (scene, spot, _) = found(&ws, &who, &text, id)?;
    let power = Power::of(who.access);
    let entry = ws.write(&who, move |tx| {
        rules::remove(tx, id, power)?;
        tx.seq().map_err(CommentError::from)
    });
    let undo = ws.url(&format!("undo/entry/{}", entry.await?));
    if hx.is_partial() {
        let ask = spot.changed().reswap("none").toast_with_undo("Deleted the comment", &undo);
        return Ok((ask, html::answer(StatusCode::OK, String::new())).into_response());
    }
    let words = "Deleted the comment. You can restore it from this page’s history.";
    Ok(flash::say(&app, Flash::ok(words), hx.go_to(&at(&scene, &spot, None))))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Pressed {
    /// The reaction; `-` before it removes it.
    reaction: String,
    /// `open` reopens a thread.
    state: String,
}

async fn react(
    ws: Ws,
    who: Person,
    hx: Hx,
    Path2(text, id): Path2<String, CommentId>,
    Form(pressed): Form<Pressed>,
) -> Result<Response, PageError> {
    let (scene, spot, _) = found(&ws, &who, &text, id)?;
    let on = !pressed.reaction.starts_with('-');
    let kind = queries::reaction_named(pressed.reaction.trim_start_matches(['+', '-']))?;
    ws.write(&who, move |tx| rules::react(tx, id, kind, on)).await?;
    Ok(done(&hx, &scene, &spot, id))
}

async fn settle(
    ws: Ws,
    who: Person,
    hx: Hx,
    Path2(text, id): Path2<String, CommentId>,
    Form(pressed): Form<Pressed>,
) -> Result<Response, PageError> {
    let (scene, spot, _) = found(&ws, &who, &text, id)?;
    let settled = pressed.state != "open";
    ws.write(&who, move |tx| rules::settle(tx, id, settled)).await?;
    Ok(done(&hx, &scene, &spot, id))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Typing {
    /// The text before the cursor, including the sign: `@ad`, `#lea`.
    q: String,
}

/// A completion.
#[derive(Serialize)]
struct Offer {
    /// The text to insert.
    put: String,
    about: String,
}

/// Completions: people and agents for `@`, tasks for `#`.
async fn names(
    ws: Ws,
    who: Person,
    Query(typing): Query<Typing>,
) -> Result<Json<Vec<Offer>>, PageError> {
    let offers = ws.read(|snap| {
        let scene = ViewContext::new(&ws, &who, snap)?;
        let mut letters = typing.q.chars();
        match letters.next() {
            Some('@') => Ok(called(&scene, letters.as_str())),
            Some('#') => meant(&scene, snap, letters.as_str().trim()),
            _ => Ok::<_, TaskError>(Vec::new()),
        }
    })?;
    Ok(Json(offers))
}

/// People and agents whose name or handle begins with the text, then those whose name contains it.
fn called(scene: &ViewContext, text: &str) -> Vec<Offer> {
    let text = text.to_lowercase();
    let mut offers: Vec<(bool, Offer)> = Vec::new();
    for (handle, name) in scene.people.names() {
        let (low, at) = (name.to_lowercase(), handle.to_lowercase());
        let begins = at.starts_with(&text) || low.split(' ').any(|word| word.starts_with(&text));
        if begins || low.contains(&text) {
            offers.push((!begins, Offer { put: format!("@{handle}"), about: name }));
        }
    }
    offers.sort_by_key(|(later, _)| *later);
    offers.into_iter().map(|(_, offer)| offer).take(OFFERS).collect()
}

/// The task with this number, then tasks that contain the text, last changed first.
fn meant(scene: &ViewContext, read: &dyn Read, text: &str) -> Result<Vec<Offer>, TaskError> {
    let filter = Filter { q: text.to_owned(), ..Filter::default() };
    let cut = Cut { after: None, limit: OFFERS };
    let mut found = list::page(read, &filter, Sort::Updated, &scene.today, &cut)?.items;
    if let Ok(named) = tasks::resolve(read, text) {
        found.retain(|task| task.id != named.id);
        found.insert(0, named);
    }
    let offer = |task: Task| Offer { put: scene.name(&task), about: task.title };
    Ok(found.into_iter().take(OFFERS).map(offer).collect())
}
