//! The list of notifications, the menu of the bell, and the button that follows a task.

pub mod choices;
pub mod mail;
pub mod push;

use askama::Template;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;

use app::{App, Ws};
use features::tasks::queries as tasks;
use kernel::cursor::DEFAULT_LIMIT;
use kernel::{About, Can, NoticeGroup, NotificationId, Timestamp};
use store::{WriteTx, cursor_key, key_cursor};
use web::error::PageError;
use web::extract::{Form, Path, Query};
use web::flash;
use web::html;
use web::hx::{Ask, Hx};
use web::live::Live;
use web::parts::{Tab, Tone};
use web::routes::{Needs, Routes};
use web::scroll_state::Have;
use web::session::Person;
use web::shell::{Flash, Shell};

use super::api::read_them;
use features::notifications::model::CHOICES;
use features::notifications::queries::view::{Lens, Line};
use features::notifications::queries::{self, Following, Wanted, snooze};
use features::notifications::rules::{self, Mark, NotificationError, settling};

/// Number of notifications in the bell's menu.
const LATEST: usize = 10;
/// Number of notifications marked per transaction.
const PIECE: usize = 200;

/// Routes outside of workspaces.
#[must_use]
pub fn open_routes() -> Routes {
    mail::open_routes()
}

#[must_use]
pub fn routes() -> Routes {
    Routes::new()
        .get("/notifications", show.needs(Can::Account))
        .get("/notifications/latest", latest.needs(Can::Account))
        .get("/notifications/bell", bell.needs(Can::Account))
        .post("/notifications/read-all", read_all.needs(Can::Account))
        .post("/notifications/opened", opened.needs(Can::Account))
        .post("/notifications/unread-again", unread_again.needs(Can::Account))
        .post("/notifications/{id}/read", read.needs(Can::Account))
        .post("/notifications/{id}/unread", unread.needs(Can::Account))
        .post("/notifications/{id}/dismiss", dismiss.needs(Can::Account))
        .post("/notifications/{id}/restore", restore.needs(Can::Account))
        .post("/notifications/{id}/snooze", put_off.needs(Can::Account))
        .post("/tasks/{task}/follow", follow.needs(Can::Account))
        .post("/tasks/{task}/unfollow", unfollow.needs(Can::Account))
        .merge(choices::routes())
        .merge(mail::routes())
        .merge(push::routes())
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct NotificationsPageParams {
    /// `unread`, `later`, or the word of a group.
    show: String,
    after: String,
    /// Number of lines that the page already shows.
    have: Have,
}

impl NotificationsPageParams {
    fn wanted(&self) -> Wanted {
        Wanted { unread: self.show == "unread", group: self.show.parse().ok() }
    }
}

struct Day {
    label: String,
    lines: Vec<Line>,
}

struct View {
    live: Live,
    tabs: Vec<Tab>,
    days: Vec<Day>,
    unread: usize,
    next: String,
    /// Base address of actions on notifications.
    base: String,
    /// Base address of the links in notifications.
    home: String,
    show: String,
    later: bool,
}

#[derive(Template)]
#[template(path = "notifications/show.html")]
struct ShowPage {
    shell: Shell,
    view: View,
    reach: Vec<choices::GroupRow>,
}

#[derive(Template)]
#[template(path = "notifications/_list.html")]
struct ListPart {
    view: View,
}

#[derive(Template)]
#[template(path = "notifications/_more.html")]
struct MorePart {
    view: View,
}

#[derive(Template)]
#[template(path = "notifications/_latest.html")]
struct LatestPart {
    lines: Vec<Line>,
    unread: usize,
    base: String,
    home: String,
}

#[derive(Template)]
#[template(path = "shell/bell.html")]
struct BellPart {
    shell: Shell,
}

#[derive(Template)]
#[template(path = "notifications/_watch.html")]
struct WatchPart {
    base: String,
    watching: Following,
}

async fn show(
    ws: Ws,
    who: Person,
    hx: Hx,
    shell: Shell,
    Query(params): Query<NotificationsPageParams>,
) -> Result<Response, PageError> {
    let view = view(&ws, &who, &params)?;
    if hx.wants("notices") {
        return html::fragment(&ListPart { view });
    }
    if hx.is_partial() && !params.after.is_empty() {
        return html::fragment(&MorePart { view });
    }
    let own = ws.read(|snap| queries::choices(snap, who.account))?;
    html::page(&ShowPage { shell, view, reach: choices::group_rows(&own, false) })
}

fn view(ws: &Ws, who: &Person, params: &NotificationsPageParams) -> Result<View, PageError> {
    let (now, zone) = (ws.app.clock.now(), who.time_zone());
    let after = match params.after.as_str() {
        "" => None,
        text => Some(cursor_key(text).ok_or_else(|| PageError::not_found("This page"))?),
    };
    let later = params.show == "later";
    let me = (who.account, now);
    let (lines, next, unread, put_off) = ws.read(|snap| {
        let lens = Lens::new(snap, now, &zone)?;
        let put_off = queries::snoozed(snap, who.account, now)?;
        let (rows, next) = match later {
            true => (put_off.clone(), None),
            false => {
                let part = (after.as_deref(), params.have.of("", DEFAULT_LIMIT));
                queries::list(snap, me, params.wanted(), part)?
            }
        };
        let unread = queries::unread(snap, (who.account, now), queries::ALL)?;
        Ok::<_, NotificationError>((lens.lines(snap, &rows)?, next, unread, put_off.len()))
    })?;
    let base = ws.url("notifications");
    let here = match params.show.as_str() {
        "" => base.clone(),
        show => format!("{base}?show={}", web::format::query_value(show)),
    };
    let tab = |word: &str, label: &str| {
        let href = if word.is_empty() { base.clone() } else { format!("{base}?show={word}") };
        Tab::new(label, href, params.show == word)
    };
    let mut tabs = vec![tab("", "All")];
    let of_unread = tab("unread", "Unread");
    tabs.push(if 0 < unread { of_unread.count(unread as u64) } else { of_unread });
    tabs.extend(NoticeGroup::ALL.iter().map(|group| tab(group.word(), short(*group))));
    if 0 < put_off || later {
        tabs.push(tab("later", "Later").count(put_off as u64));
    }
    let next = next.map_or_else(String::new, |key| {
        let mark = if params.show.is_empty() { '?' } else { '&' };
        format!("{here}{mark}after={}", key_cursor(&key))
    });
    let live = Live::new(here).record(CHOICES.name, who.account);
    let (days, show, home) = (by_day(lines), params.show.clone(), ws.url(""));
    Ok(View { live, tabs, days, unread, next, base, home, show, later })
}

/// Short label of a group.
fn short(group: NoticeGroup) -> &'static str {
    match group {
        NoticeGroup::Questions => "Questions",
        NoticeGroup::Reviews => "Reviews",
        NoticeGroup::Comments => "Comments",
        NoticeGroup::Tasks => "Tasks",
        NoticeGroup::System => "Failures",
        NoticeGroup::Budget => "Budget",
    }
}

fn by_day(lines: Vec<Line>) -> Vec<Day> {
    let mut days: Vec<Day> = Vec::new();
    for line in lines {
        match days.last_mut() {
            Some(day) if day.label == line.day => day.lines.push(line),
            _ => days.push(Day { label: line.day.clone(), lines: vec![line] }),
        }
    }
    days
}

/// The menu of the bell.
async fn latest(ws: Ws, who: Person) -> Result<Response, PageError> {
    let (now, zone) = (ws.app.clock.now(), who.time_zone());
    let (lines, unread) = ws.read(|snap| {
        let lens = Lens::new(snap, now, &zone)?;
        let me = (who.account, now);
        let (rows, _) = queries::list(snap, me, Wanted::default(), (None, LATEST))?;
        let unread = queries::unread(snap, (who.account, now), queries::MANY)?;
        Ok::<_, NotificationError>((lens.lines(snap, &rows)?, unread))
    })?;
    html::fragment(&LatestPart { lines, unread, base: ws.url("notifications"), home: ws.url("") })
}

async fn bell(shell: Shell) -> Result<Response, PageError> {
    html::fragment(&BellPart { shell })
}

/// The response to a change of a notification: the page's regions refresh themselves.
fn marked(ws: &Ws, who: &Person, hx: &Hx, ask: Ask) -> Response {
    if hx.is_partial() {
        return (ask.changed(CHOICES.name, who.account), "").into_response();
    }
    hx.go_to(&ws.url("notifications"))
}

/// Refuses writes in a closed workspace.
fn open(ws: &Ws) -> Result<(), NotificationError> {
    ws.closed_words().map_or(Ok(()), |words| Err(NotificationError::Closed(words)))
}

async fn mark(ws: &Ws, who: &Person, id: NotificationId, mark: Mark) -> Result<(), PageError> {
    open(ws)?;
    ws.write(who, move |tx| rules::mark(tx, id, mark)).await?;
    Ok(())
}

async fn read(
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(id): Path<NotificationId>,
) -> Result<Response, PageError> {
    mark(&ws, &who, id, Mark::Read).await?;
    Ok(marked(&ws, &who, &hx, Ask::new()))
}

async fn unread(
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(id): Path<NotificationId>,
) -> Result<Response, PageError> {
    mark(&ws, &who, id, Mark::Unread).await?;
    Ok(marked(&ws, &who, &hx, Ask::new()))
}

async fn dismiss(
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(id): Path<NotificationId>,
) -> Result<Response, PageError> {
    mark(&ws, &who, id, Mark::Dismissed).await?;
    let undo = ws.url(&format!("notifications/{id}/restore"));
    Ok(marked(&ws, &who, &hx, Ask::new().toast_with_undo("Dismissed.", &undo)))
}

async fn restore(
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(id): Path<NotificationId>,
) -> Result<Response, PageError> {
    mark(&ws, &who, id, Mark::Restored).await?;
    Ok(marked(&ws, &who, &hx, Ask::new()))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Later {
    /// `hour`, `tomorrow` or `week`.
    until: String,
}

async fn put_off(
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(id): Path<NotificationId>,
    Form(later): Form<Later>,
) -> Result<Response, PageError> {
    let until = snooze::until(&later.until, ws.app.clock.now(), &who.time_zone());
    let until = until.ok_or(NotificationError::BadTime)?;
    mark(&ws, &who, id, Mark::Snoozed(until)).await?;
    let undo = ws.url(&format!("notifications/{id}/restore"));
    Ok(marked(&ws, &who, &hx, Ask::new().toast_with_undo("Snoozed.", &undo)))
}

async fn read_all(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Form(form): Form<NotificationsPageParams>,
) -> Result<Response, PageError> {
    open(&ws)?;
    let (count, (from, to)) = read_them(&ws, &who, form.wanted()).await?;
    let message = match count {
        0 => "No unread notifications.".to_owned(),
        1 => "1 notification marked as read.".to_owned(),
        n => format!("{n} notifications marked as read."),
    };
    if hx.is_partial() {
        let (from, to) = (from.as_millisecond(), to.as_millisecond());
        let undo = ws.url(&format!("notifications/unread-again?from={from}&to={to}"));
        let ask = match count {
            0 => Ask::new().toast(Tone::Ok, &message),
            _ => Ask::new().toast_with_undo(&message, &undo),
        };
        return Ok(marked(&ws, &who, &hx, ask));
    }
    Ok(flash::say(&app, Flash::ok(message), hx.go_to(&ws.url("notifications"))))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct OpenedForm {
    /// Path of the opened page below the workspace.
    path: String,
}

/// A person has opened a page: what it shows needs no notification any more. Sent by the script, because GET never
/// writes.
async fn opened(
    ws: Ws,
    who: Person,
    hx: Hx,
    Form(form): Form<OpenedForm>,
) -> Result<Response, PageError> {
    let me = (who.account, ws.app.clock.now());
    let path = form.path.trim_matches('/').to_owned();
    let is_news = !ws.read(|snap| queries::unread_at(snap, me, &path))?.is_empty();
    if is_news && ws.closed_words().is_none() {
        ws.write(&who, move |tx| settling::opened(tx, &path)).await?;
    }
    Ok(marked(&ws, &who, &hx, Ask::new()))
}

/// When all were marked as read, in Unix milliseconds.
#[derive(Debug, Deserialize)]
struct Between {
    from: i64,
    to: i64,
}

/// Undoes "mark all as read".
async fn unread_again(
    ws: Ws,
    who: Person,
    hx: Hx,
    Query(Between { from, to }): Query<Between>,
) -> Result<Response, PageError> {
    open(&ws)?;
    let (Ok(from), Ok(to)) = (Timestamp::from_millisecond(from), Timestamp::from_millisecond(to))
    else {
        return Err(NotificationError::BadTime.into());
    };
    let mut place: Option<Vec<u8>> = None;
    loop {
        let mark_unread = move |tx: &mut WriteTx<'_>| {
            rules::unread_again(tx, (from, to), (place.as_deref(), PIECE))
        };
        place = ws.write(&who, mark_unread).await?;
        if place.is_none() {
            return Ok(marked(&ws, &who, &hx, Ask::new()));
        }
    }
}

async fn follow(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(text): Path<String>,
) -> Result<Response, PageError> {
    watch(&app, &ws, &who, &hx, (&text, true)).await
}

async fn unfollow(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(text): Path<String>,
) -> Result<Response, PageError> {
    watch(&app, &ws, &who, &hx, (&text, false)).await
}

async fn watch(
    app: &App,
    ws: &Ws,
    who: &Person,
    hx: &Hx,
    (text, on): (&str, bool),
) -> Result<Response, PageError> {
    open(ws)?;
    let task = ws.read(|snap| tasks::resolve(snap, text))?;
    let about = About::Task(task.id);
    let change = move |tx: &mut WriteTx<'_>| match on {
        true => rules::follow(tx, about),
        false => rules::unfollow(tx, about),
    };
    ws.write(who, change).await?;
    let (name, now) = ws.read(|snap| {
        let now = queries::following(snap, about, who.account)?;
        Ok::<_, NotificationError>((tasks::name(snap, task.number)?, now))
    })?;
    let base = ws.url(&format!("tasks/{name}"));
    let message = match now.on {
        true => format!("You’re following {name}."),
        false => format!("You’ll only hear about {name} when you’re mentioned."),
    };
    if hx.wants("watch") {
        let part = html::fragment::<_, PageError>(&WatchPart { base, watching: now })?;
        return Ok((Ask::new().toast(Tone::Ok, &message), part).into_response());
    }
    if hx.is_partial() {
        return Ok((Ask::new().toast(Tone::Ok, &message), "").into_response());
    }
    Ok(flash::say(app, Flash::ok(message), hx.go_to(&base)))
}
