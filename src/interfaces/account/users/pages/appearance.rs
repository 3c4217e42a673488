//! A person's own appearance: theme, density, first day of the week, forms of dates and numbers.

use std::str::FromStr;

use askama::Template;
use axum::Extension;
use axum::http::StatusCode;
use axum::http::header::{HeaderMap, REFERER, SET_COOKIE};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use app::{App, Ws};
use features::users::model::appearance::Appearance;
use features::users::rules::{self, UsersError};
use kernel::{
    Cause, DateForm, Density, FirstDay, NumberForm, ThemeChoice, TimeForm, UnknownWord, display,
};
use store::StoreError;
use web::appearance::Viewer;
use web::error::PageError;
use web::extract::Form;
use web::flash;
use web::form::Wrong;
use web::html;
use web::hx::Hx;
use web::parts::Choice;
use web::session::{Person, RequestId};
use web::shell::{Flash, Shell, Theme, own_path};

use super::super::session::Caller;

#[derive(Template)]
#[template(path = "users/appearance.html")]
struct AppearancePage {
    shell: Shell,
    here: &'static str,
    themes: Vec<Choice>,
    densities: Vec<Choice>,
    first_days: Vec<Choice>,
    dates: Vec<Choice>,
    times: Vec<Choice>,
    numbers: Vec<Choice>,
    rev: String,
    /// Hint with the current time in the chosen form.
    example: String,
    e: Wrong,
    wrong: String,
}

impl AppearancePage {
    fn new((app, who): (&App, &Person), shell: Shell, chosen: &Appearance, e: Wrong) -> Self {
        let now = app.clock.now().to_zoned(who.time_zone()).datetime();
        Self {
            shell,
            here: "appearance",
            themes: Choice::of_words(ThemeChoice::WORDS, ThemeChoice::LABELS, chosen.theme.word()),
            densities: Choice::of_words(Density::WORDS, Density::LABELS, chosen.density.word()),
            first_days: Choice::of_words(
                FirstDay::WORDS,
                FirstDay::LABELS,
                chosen.first_day.word(),
            ),
            dates: Choice::of_words(DateForm::WORDS, DateForm::LABELS, chosen.date.word()),
            times: Choice::of_words(TimeForm::WORDS, TimeForm::LABELS, chosen.time.word()),
            numbers: Choice::of_words(NumberForm::WORDS, NumberForm::LABELS, chosen.number.word()),
            rev: rev_of(chosen),
            example: format!("Now: {}", display::day_time(now)),
            wrong: match e.has_fields() {
                true => "Check the highlighted fields. Nothing has been saved.".to_owned(),
                false => e.whole().to_owned(),
            },
            e,
        }
    }
}

/// What the form shows, to detect changes in another tab.
fn rev_of(chosen: &Appearance) -> String {
    let Appearance { theme, density, first_day, date, time, number, .. } = chosen;
    format!("{theme} {density} {first_day} {date} {time} {number}")
}

/// The submitted form. What is missing stays as it is.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct AppearanceForm {
    theme: Option<String>,
    density: Option<String>,
    first_day: Option<String>,
    date: Option<String>,
    time: Option<String>,
    number: Option<String>,
    rev: Option<String>,
}

impl AppearanceForm {
    /// Applies the form and collects all errors.
    fn apply(&self, chosen: &mut Appearance) -> Wrong {
        let mut wrong = Wrong::none();
        choose(&mut wrong, ("theme", self.theme.as_deref()), &mut chosen.theme);
        choose(&mut wrong, ("density", self.density.as_deref()), &mut chosen.density);
        choose(&mut wrong, ("first_day", self.first_day.as_deref()), &mut chosen.first_day);
        choose(&mut wrong, ("date", self.date.as_deref()), &mut chosen.date);
        choose(&mut wrong, ("time", self.time.as_deref()), &mut chosen.time);
        choose(&mut wrong, ("number", self.number.as_deref()), &mut chosen.number);
        wrong
    }
}

fn choose<T: FromStr<Err = UnknownWord>>(
    wrong: &mut Wrong,
    (field, text): (&str, Option<&str>),
    now: &mut T,
) {
    let Some(text) = text else { return };
    let read = text.parse::<T>().map_err(|error| {
        let UnknownWord { word, known } = error;
        Wrong::field(field, format!("\"{word}\" isn’t a choice. Choose one of: {known}."))
    });
    if let Some(value) = wrong.join(read) {
        *now = value;
    }
}

/// The appearance of a person; without one, the theme of this browser and otherwise the usual.
fn chosen_by(caller: &Caller, viewer: &Viewer) -> Appearance {
    caller.appearance.unwrap_or_else(|| Appearance {
        theme: viewer.theme.as_str().parse().unwrap_or_default(),
        ..Appearance::usual(caller.account.id)
    })
}

/// `GET /settings/appearance`
pub(super) async fn show(
    app: App,
    who: Person,
    caller: Caller,
    shell: Shell,
) -> Result<Response, PageError> {
    let chosen = chosen_by(&caller, &shell.viewer);
    html::page(&AppearancePage::new((&app, &who), shell, &chosen, Wrong::none()))
}

/// `POST /settings/appearance`
pub(super) async fn save(
    app: App,
    ws: Ws,
    who: Person,
    (hx, caller): (Hx, Caller),
    shell: Shell,
    Form(form): Form<AppearanceForm>,
) -> Result<Response, PageError> {
    let mut chosen = chosen_by(&caller, &shell.viewer);
    let now = rev_of(&chosen);
    let mut wrong = form.apply(&mut chosen);
    if form.rev.is_some_and(|rev| rev != now) {
        wrong = Wrong::of(&StoreError::Stale)?;
    }
    if wrong.has_fields() || wrong.is_stale() {
        let status = wrong.status();
        let page = AppearancePage::new((&app, &who), shell, &chosen, wrong);
        return html::document(status, &AppearancePage { rev: now, ..page });
    }
    keep(&app, &caller, who.request, chosen).await?;
    let back = hx.go_to(&ws.url("settings/appearance"));
    Ok(flash::say(&app, Flash::ok("Appearance saved."), back))
}

async fn keep(
    app: &App,
    caller: &Caller,
    request: RequestId,
    chosen: Appearance,
) -> Result<(), UsersError> {
    let set = move |tx: &mut store::WriteTx<'_>| rules::appearance::set(tx, chosen);
    app.system.write(caller.actor(), Cause::Request(request.0), set).await
}

/// The chosen theme. Without one, the theme is toggled.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct ThemeForm {
    theme: Option<String>,
}

/// `POST /theme`: the button in the top bar. A script sends the theme that it shows; the form of a browser without
/// script toggles it. Keeps it for the person, and in a cookie for pages before sign-in.
pub async fn switch_theme(
    app: App,
    viewer: Viewer,
    caller: Option<Extension<Caller>>,
    request: RequestId,
    headers: HeaderMap,
    Form(form): Form<ThemeForm>,
) -> Result<Response, PageError> {
    let before = match caller {
        Some(_) => viewer.theme,
        None => Theme::from_headers(&headers),
    };
    let theme = form.theme.as_deref().map_or_else(|| before.other(), Theme::from_word);
    if let Some(Extension(caller)) = caller {
        let theme = theme.as_str().parse().unwrap_or_default();
        let chosen = Appearance { theme, ..chosen_by(&caller, &viewer) };
        keep(&app, &caller, request, chosen).await?;
    }
    let mut response = match form.theme {
        Some(_) => StatusCode::NO_CONTENT.into_response(),
        None => Hx::default().go_to(&back(&headers)),
    };
    response.headers_mut().insert(SET_COOKIE, theme.cookie());
    Ok(response)
}

/// The first day of the week that a calendar's menu sends.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct WeekForm {
    week: String,
}

/// `POST /week`: the menu of a calendar.
pub async fn choose_week(
    app: App,
    viewer: Viewer,
    caller: Option<Extension<Caller>>,
    request: RequestId,
    headers: HeaderMap,
    Form(form): Form<WeekForm>,
) -> Result<Response, PageError> {
    let first_day = form.week.parse::<FirstDay>().map_err(|error| {
        UsersError::field("week", format!("choose the first day of the week: {}", error.known))
    })?;
    if let Some(Extension(caller)) = caller {
        let chosen = Appearance { first_day, ..chosen_by(&caller, &viewer) };
        keep(&app, &caller, request, chosen).await?;
    }
    Ok(Hx::default().go_to(&back(&headers)))
}

/// The page that sent the request.
fn back(headers: &HeaderMap) -> String {
    let referer = headers.get(REFERER).and_then(|value| value.to_str().ok());
    referer.and_then(own_path).unwrap_or("/").to_owned()
}
