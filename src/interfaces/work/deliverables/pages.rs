//! The review queue, the verdict form, and delivered files.

mod compare;
pub mod deliver;

use askama::Template;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use jiff::ToSpan as _;
use serde::Deserialize;

use app::{App, Ws};
use features::agents::queries::drafts;
use features::cards;
use features::deliverables::model::{Content, Deliverable, Remark, Version};
use features::deliverables::queries::card::Card;
use features::deliverables::queries::diff::Line;
use features::deliverables::queries::{self, Piece};
use features::deliverables::rules::{self, DeliverableError, NewReview};
use features::runs::model::Run;
use features::runs::queries::questions::{self, Reader};
use features::runs::queries::talk;
use features::tasks::model::Task;
use features::tasks::queries as tasks;
use features::tasks::queries::open_ends::OpenEnds;
use features::tasks::queries::standing;
use features::tasks::queries::view_context::ViewContext;
use kernel::text::ellipsis;
use kernel::{
    Can, DeliverableId, DeliverableState, Problem as _, ProblemKind, TaskId, Verdict, VersionId,
};
use store::{Read, ReadExt as _};
use web::error::PageError;
use web::extract::{Form, Path, Query};
use web::file::{self, Show};
use web::hx::{Ask, Hx};
use web::live::Live;
use web::parts::{Face, Tab, Tone};
use web::routes::{Needs as _, Routes};
use web::session::Person;
use web::shell::{Flash, Shell};
use web::sse::AGENT_FILES;
use web::time::RelTime;
use web::{flash, html};

use compare::{Changes, CompareParams, asked_for, changes, texts_before};

/// Maximum number of pieces in the queue.
const QUEUE: usize = 100;

#[must_use]
pub fn routes() -> Routes {
    Routes::new()
        .get("/review", queue.needs(Can::Read))
        .get("/tasks/{task}/deliver", deliver::form.needs(Can::Write))
        .post("/tasks/{task}/deliver", deliver::send.needs(Can::Write))
        .get("/deliverables/{piece}/revise", deliver::revise.needs(Can::Write))
        .post("/deliverables/{piece}/review", review.needs(Can::Review))
        .get("/deliverables/{version}/file", file.needs(Can::Read))
        .get("/deliverables/{version}/view", view_file.needs(Can::Read))
}

/// A row of the queue.
struct Waiting {
    href: String,
    title: String,
    face: Face,
    at: RelTime,
    tone: &'static str,
    word: &'static str,
    more: String,
    quiet: bool,
    current: bool,
}

/// A version that arrived after the displayed one.
struct NewerVersion {
    number: u32,
    at: RelTime,
    href: String,
    /// Address of the pane with it.
    region: String,
}

/// The selected piece.
struct ReviewPane {
    card: Card,
    task_name: String,
    task_href: String,
    task_title: String,
    task_status: (&'static str, &'static str),
    /// Versions as tabs, the newest last.
    versions: Vec<Tab>,
    /// The diff to another version, if requested.
    changes: Option<Changes>,
    /// The versions that it can be compared with.
    against: Vec<Tab>,
    /// The changes that were requested before this version.
    asked: Option<CompareParams>,
    /// The version to review, if an older one is shown.
    newer: Option<NewerVersion>,
    /// Effect of an approval on the task.
    after: String,
    /// The agent's run that made the piece.
    run: Option<(String, String)>,
    history: String,
    place: (usize, usize),
    next: String,
    note: String,
    /// Remarks as typed: place and text.
    remarks: Vec<(String, String)>,
    error: String,
    /// Why nothing was decided, if a newer version is shown instead; otherwise empty.
    told: String,
}

#[derive(Template)]
#[template(path = "deliverables/review.html")]
struct ReviewPage {
    shell: Shell,
    live: Live,
    desk_live: Live,
    /// Number of deliverables in review, as in the sidebar.
    in_review: usize,
    waiting: Vec<Waiting>,
    asks: Vec<Waiting>,
    back: Vec<Waiting>,
    decided: Vec<Waiting>,
    /// Other pending reviews: name, count and address.
    others: Vec<(String, usize, String)>,
    desk: Option<ReviewPane>,
}

web::region!(ReviewPage, as_queue, ReviewQueue, "deliverables/review-queue.html");
web::region!(ReviewPage, as_desk, ReviewDesk, "deliverables/review-desk.html");

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct DeliverablePageParams {
    piece: String,
    version: u32,
    /// Whether the diff to an earlier version is shown.
    changes: String,
    /// Number of the version to compare with; 0 for the previous one.
    against: u32,
    part: String,
}

/// `GET /review`: the queue and the selected piece.
async fn queue(
    ws: Ws,
    who: Person,
    hx: Hx,
    shell: Shell,
    Query(params): Query<DeliverablePageParams>,
) -> Result<Response, PageError> {
    let part = params.part.clone();
    let mut page =
        ws.read_blocking(move |ws| ws.read(|snap| view(ws, &who, snap, &params))).await?;
    match (hx.is_partial(), part.as_str()) {
        (true, "queue") => html::fragment(&page.as_queue()),
        (true, "desk") => html::fragment(&page.as_desk()),
        _ => {
            page.shell = shell;
            html::page(&page)
        }
    }
}

fn view(
    ws: &Ws,
    who: &Person,
    read: &dyn Read,
    params: &DeliverablePageParams,
) -> Result<ReviewPage, DeliverableError> {
    let scene = ViewContext::new(ws, who, read)?;
    let waiting = queries::in_review(read, QUEUE)?;
    let week = scene.today.now.checked_sub(168.hours()).unwrap_or(scene.today.now);
    let (back, decided) = queries::decided(read, week)?;
    let piece = match params.piece.as_str() {
        "" => waiting.first().cloned(),
        text => {
            let id = text.parse::<DeliverableId>();
            let id = id.map_err(|_| DeliverableError::NotFound(text.chars().take(60).collect()))?;
            Some(queries::get(read, id)?.deliverable)
        }
    };
    let desk = match &piece {
        Some(piece) => Some(desk(&scene, read, piece, (&waiting, params))?),
        None => None,
    };
    let chosen = piece.as_ref().map(|piece| piece.id);
    let line = |piece: &Deliverable| line(&scene, read, piece, chosen);
    let here = match chosen {
        Some(id) => format!("review?piece={id}&"),
        None => "review?".to_owned(),
    };
    let mut version = match params.version {
        0 => String::new(),
        n => format!("&version={n}"),
    };
    if !params.changes.is_empty() {
        version.push_str("&changes=1");
    }
    if params.against != 0 {
        version.push_str(&format!("&against={}", params.against));
    }
    // A reader keeps the version on screen when a newer one arrives; the page then links to the newer one.
    let pinned = piece.as_ref().filter(|_| params.version == 0).map(|piece| piece.versions);
    let pinned = pinned.map(|number| format!("&version={number}")).unwrap_or_default();
    let desk_live = Live::new(ws.url(&format!("{here}part=desk{version}{pinned}")));
    let desk_live = desk_live.table("deliverables");
    // The empty pane says whether questions are pending.
    let desk_live =
        if desk.is_none() { desk_live.table("parks").table("approvals") } else { desk_live };
    let queue_live = Live::new(ws.url(&format!("{here}part=queue{version}"))).tables(&[
        "deliverables",
        "parks",
        "approvals",
    ]);
    // A step of a run may create a draft of agent files.
    let mut queue_live = queue_live.tables(&["runs", AGENT_FILES]);
    for noun in cards::all().filter(|noun| noun.review.is_some()) {
        let table = ws.store.schema().table(noun.table).map(|info| info.name);
        queue_live = table.into_iter().fold(queue_live, Live::table);
    }
    let others = cards::waiting(read, |can| who.access.may(can))?
        .into_iter()
        .map(|(noun, count, path)| (kernel::text::capitalized(noun.many), count, ws.url(path)));
    // Only for those whose sidebar counts them.
    let drafts = match who.access.may(Can::Agents) {
        true => drafts::count(ws, &read)?,
        false => 0,
    };
    let drafts = Some(drafts).filter(|count| 0 < *count);
    let drafts = drafts.map(|count| ("Agent drafts".to_owned(), count, ws.url("drafts")));
    Ok(ReviewPage {
        shell: Shell::default(),
        live: queue_live,
        desk_live,
        in_review: queries::in_review_count(read)?,
        waiting: waiting.iter().map(line).collect::<Result<_, _>>()?,
        asks: asks(&scene, who, read)?,
        back: back.iter().map(line).collect::<Result<_, _>>()?,
        decided: decided.iter().map(line).collect::<Result<_, _>>()?,
        others: others.chain(drafts).collect(),
        desk,
    })
}

fn line(
    scene: &ViewContext,
    read: &dyn Read,
    piece: &Deliverable,
    chosen: Option<DeliverableId>,
) -> Result<Waiting, DeliverableError> {
    let task = tasks::get(read, piece.task)?;
    let name = scene.name(&task);
    let (tone, word, more) = match piece.state {
        DeliverableState::InReview | DeliverableState::Draft => {
            ("info", "Deliverable", format!("version {} · {name}", piece.versions))
        }
        DeliverableState::ChangesRequested => {
            ("neutral", piece.state.label(), format!("version {} due · {name}", piece.versions + 1))
        }
        DeliverableState::Approved => ("ok", "Approved", name),
        DeliverableState::Rejected => ("danger", "Rejected", name),
    };
    Ok(Waiting {
        href: scene.ws.url(&format!("review?piece={}", piece.id)),
        title: piece.title.clone(),
        face: scene.people.actor(piece.submitted_by),
        at: scene.time(piece.updated_at),
        tone,
        word,
        more,
        quiet: piece.state != DeliverableState::InReview,
        current: chosen == Some(piece.id),
    })
}

/// Pending questions of agents that this person may see.
fn asks(
    scene: &ViewContext,
    who: &Person,
    read: &dyn Read,
) -> Result<Vec<Waiting>, DeliverableError> {
    let (now, zone) = (scene.today.now, &scene.today.zone);
    let reader = Reader { ws: &scene.ws, now, zone, access: scene.access, me: scene.me };
    let sees = |run: &Run| talk::may_see_run(&read, run, who.account, who.role);
    let cards = questions::all(&read, &reader, &sees)?;
    let line = |card: questions::Card| Waiting {
        title: ellipsis(&card.question, 120),
        face: card.face,
        at: card.since,
        tone: "warn",
        word: if card.pending.is_some() { "Approval" } else { "Question" },
        more: card.task.map_or(card.run, |(name, _)| format!("waiting · {name}")),
        href: match &card.pending {
            Some(approval) => scene.ws.url(&format!("approvals#ask-{}", approval.id)),
            None => card.href,
        },
        quiet: false,
        current: false,
    };
    Ok(cards.into_iter().take(QUEUE).map(line).collect())
}

fn desk(
    scene: &ViewContext,
    read: &dyn Read,
    piece: &Deliverable,
    (waiting, params): (&[Deliverable], &DeliverablePageParams),
) -> Result<ReviewPane, DeliverableError> {
    let Piece { deliverable, mut versions } = queries::with_versions(read, piece.clone())?;
    let task = tasks::get(read, piece.task)?;
    let url = scene.ws.url(&format!("review?piece={}", piece.id));
    let number = if params.version == 0 { piece.versions } else { params.version };
    let compare = !params.changes.is_empty();
    let tabs = versions.iter().map(|judged| {
        let n = judged.version.number;
        let label = match judged.review.as_ref().map(|review| review.verdict) {
            Some(Verdict::ChangesRequested) => format!("Version {n}, changes requested"),
            _ => format!("Version {n}"),
        };
        Tab::new(label, format!("{url}&version={n}"), n == number && !compare)
    });
    let mut tabs: Vec<Tab> = tabs.collect();
    let at = versions.iter().position(|judged| judged.version.number == number);
    let changed = at.and_then(|at| changes(scene, &versions, at, params.against));
    let others = at.map(|at| texts_before(&versions, at)).unwrap_or_default();
    let with = changed.as_ref().map(|changes| changes.with);
    let against = others.into_iter().map(|n| {
        let href = format!("{url}&version={number}&changes=1&against={n}");
        Tab::new(format!("Version {n}"), href, with == Some(n))
    });
    let against = against.collect();
    let asked_for = at.and_then(|at| asked_for(scene, &versions, at));
    let newer = versions.last().filter(|newest| {
        piece.state == DeliverableState::InReview && number < newest.version.number
    });
    let newer = newer.map(|newest| NewerVersion {
        number: newest.version.number,
        at: scene.time(newest.version.created_at),
        href: url.clone(),
        region: format!("{url}&part=desk"),
    });
    if changed.is_some() {
        let label = format!("Changes in version {number}");
        let href = format!("{url}&version={number}&changes=1");
        tabs.insert(0, Tab::new(label, href, compare));
    }
    let judged = match at {
        Some(at) => Some(versions.swap_remove(at)),
        None => versions.pop(),
    };
    let run = judged.as_ref().and_then(|judged| judged.version.run);
    let run = match run {
        Some(id) => read.get::<Run>(id)?.map(|run| {
            let label = web::format::count(u64::from(run.steps), "step", "steps");
            (format!("R-{}, {label}", run.number), scene.run_href(run.number))
        }),
        None => None,
    };
    let place = waiting.iter().position(|other| other.id == piece.id).map_or(0, |at| at + 1);
    let next = waiting.get(place).or_else(|| waiting.first()).filter(|next| next.id != piece.id);
    Ok(ReviewPane {
        history: scene.ws.url(&format!("history/deliverables/{}", deliverable.id)),
        task_name: scene.name(&task),
        task_href: scene.href(&task),
        task_status: standing::status(task.status, standing::in_review(read, task.id)?),
        after: after(scene, read, &task, piece)?,
        task_title: task.title,
        card: Card::at(scene, read, &deliverable, judged),
        versions: tabs,
        changes: changed.filter(|_| compare),
        against,
        asked: asked_for,
        newer,
        run,
        place: (place, waiting.len()),
        next: next
            .map(|piece| scene.ws.url(&format!("review?piece={}", piece.id)))
            .unwrap_or_default(),
        note: String::new(),
        remarks: Vec::new(),
        error: String::new(),
        told: String::new(),
    })
}

/// Effect on the task if this piece is approved.
fn after(
    scene: &ViewContext,
    read: &dyn Read,
    task: &Task,
    piece: &Deliverable,
) -> Result<String, DeliverableError> {
    if piece.state != DeliverableState::InReview {
        return Ok(String::new());
    }
    let name = scene.name(task);
    if !task.status.is_open() {
        return Ok(format!("{name} stays {}", task.status.label().to_lowercase()));
    }
    let mut ends = OpenEnds::of(read, task.id)?;
    if let Some(at) = ends.in_review.iter().position(|title| *title == piece.title) {
        ends.in_review.remove(at);
    }
    Ok(match ends.why(&scene.key) {
        None => format!("{name} is done after approval"),
        Some(why) => format!("{name} stays open after approval: {why}"),
    })
}

#[derive(Debug, Default)]
struct ReviewForm {
    verdict: String,
    note: String,
    version: String,
    /// `review` for the review page, `dashboard` for the dashboard.
    from: String,
    remarks: Vec<Remark>,
}

impl From<Vec<(String, String)>> for ReviewForm {
    fn from(pairs: Vec<(String, String)>) -> Self {
        let mut form = Self::default();
        for (name, value) in pairs {
            match name.as_str() {
                "verdict" => form.verdict = value,
                "note" => form.note = value,
                "version" => form.version = value,
                "from" => form.from = value,
                "quote" => form.remarks.push(Remark { quote: value, text: String::new() }),
                "remark" => match form.remarks.last_mut() {
                    Some(remark) if remark.text.is_empty() => remark.text = value,
                    _ => form.remarks.push(Remark { quote: String::new(), text: value }),
                },
                _ => {}
            }
        }
        form
    }
}

/// Records a verdict: approve, ask for changes or reject.
async fn review(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    shell: Shell,
    Path(id): Path<DeliverableId>,
    Form(pairs): Form<Vec<(String, String)>>,
) -> Result<Response, PageError> {
    let form = ReviewForm::from(pairs);
    let Ok(verdict) = form.verdict.parse::<Verdict>() else {
        let wrong = "choose approve, request changes or reject".to_owned();
        return Err(DeliverableError::Invalid("verdict", wrong).into());
    };
    let new = NewReview {
        deliverable: id,
        // ok: no version in the form means the newest one.
        version: form.version.parse::<VersionId>().ok(),
        verdict,
        note: form.note.clone(),
    };
    let remarks = form.remarks.clone();
    let piece = match ws.write(&who, move |tx| rules::review_with(tx, new, remarks)).await {
        Ok(piece) => piece,
        Err(error)
            if error.kind() == ProblemKind::Invalid
                || matches!(error, DeliverableError::Newer(_)) =>
        {
            return refused((&ws, &who), (&hx, shell), id, (&form, &error));
        }
        // Someone else was faster: the page shows what they decided.
        Err(error @ DeliverableError::NotInReview { .. }) if !hx.is_partial() => {
            let told = Flash::danger(web::form::sentence(&error.to_string()));
            let href = ws.url(&format!("review?piece={id}"));
            return Ok(flash::say(&app, told, hx.go_to(&href)));
        }
        Err(error) => return Err(error.into()),
    };
    let (words, href) = ws.read(|snap| message(&ws, snap, verdict, &piece))?;
    if hx.is_partial() {
        let ask = changed(piece.task).toast(Tone::Ok, &words).close_dialog();
        return Ok((ask, html::answer(StatusCode::OK, String::new())).into_response());
    }
    let href = match form.from.as_str() {
        // The focus goes to the list, also when nothing is left to decide.
        "review" => ws.url("review#queue"),
        "dashboard" => ws.url(""),
        _ => href,
    };
    Ok(flash::say(&app, Flash::ok(words), hx.go_to(&href)))
}

/// The confirmation text and the task's address.
fn message(
    ws: &Ws,
    read: &dyn Read,
    verdict: Verdict,
    piece: &Deliverable,
) -> Result<(String, String), DeliverableError> {
    let task = tasks::get(read, piece.task)?;
    let name = tasks::name(read, task.number)?;
    let key = tasks::key(read)?;
    let title = &piece.title;
    let words = match verdict {
        Verdict::Approved if !task.status.is_open() => {
            format!("Approved “{title}”. {name} is {}.", task.status.label().to_lowercase())
        }
        Verdict::Approved => match OpenEnds::of(read, task.id)?.why(&key) {
            Some(why) => format!("Approved “{title}”. {name} stays open: {why}."),
            None => format!("Approved “{title}”."),
        },
        Verdict::ChangesRequested => format!("Sent “{title}” back with your note."),
        Verdict::Rejected => format!("Rejected “{title}”."),
    };
    Ok((words, ws.url(&format!("tasks/{name}"))))
}

/// Refreshes the regions that show delivered work.
fn changed(task: TaskId) -> Ask {
    Ask::new().reswap("none").changed("tasks", task).changed("deliverables", "any")
}

/// The review page with the typed note and the error, or the newer version that has to be reviewed. For htmx only an error notice, since the form stays in place.
fn refused(
    (ws, who): (&Ws, &Person),
    (hx, shell): (&Hx, Shell),
    id: DeliverableId,
    (form, error): (&ReviewForm, &DeliverableError),
) -> Result<Response, PageError> {
    if hx.is_partial() {
        return Err(PageError(web::error::Failure::of(error)));
    }
    let params =
        DeliverablePageParams { piece: id.to_string(), ..DeliverablePageParams::default() };
    let mut page = ws.read(|snap| view(ws, who, snap, &params))?;
    page.shell = shell;
    if let Some(desk) = &mut page.desk {
        desk.note.clone_from(&form.note);
        let form = form.remarks.iter().filter(|one| !(one.quote.is_empty() && one.text.is_empty()));
        desk.remarks = form.map(|one| (one.quote.clone(), one.text.clone())).collect();
        match error {
            DeliverableError::Newer(number) => {
                desk.told = format!(
                    "Nothing was decided: version {number} was delivered while you were reading. \
                     This is it."
                );
            }
            other => desk.error = other.to_string(),
        }
    }
    let status = match error.kind() {
        ProblemKind::Conflict => StatusCode::CONFLICT,
        _ => StatusCode::UNPROCESSABLE_ENTITY,
    };
    html::document(status, &page)
}

/// Serves a delivered file or a range of it, always as a download: the content is untrusted.
pub(super) async fn file(
    ws: Ws,
    headers: HeaderMap,
    Path(id): Path<VersionId>,
) -> Result<Response, PageError> {
    let version = ws.read(|snap| snap.get::<Version>(id))?;
    let Some(Version { content: Content::File { name, blob, .. }, .. }) = version else {
        return Err(PageError::not_found("The file"));
    };
    file::serve(&ws, (&name, blob), Show::Download, &headers).await
}

/// Serves a file inline where that is safe: images and PDF.
async fn view_file(
    ws: Ws,
    headers: HeaderMap,
    Path(id): Path<VersionId>,
) -> Result<Response, PageError> {
    let version = ws.read(|snap| snap.get::<Version>(id))?;
    let Some(Version { content: Content::File { name, blob, .. }, .. }) = version else {
        return Err(PageError::not_found("The file"));
    };
    file::serve(&ws, (&name, blob), Show::InPlace, &headers).await
}
