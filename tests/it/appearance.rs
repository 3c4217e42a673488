//! Appearance of a person's pages, and the brand colour of a workspace.

use kernel::Role;
use reqwest::StatusCode;
use serde_json::json;

use support::hq::{Reply, TestHq};

const HOME: &str = "/w/marlow-cargo";

fn html(page: &Reply, name: &str) -> Vec<String> {
    page.attrs("html", name)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_persons_appearance_changes_pages_and_typed_dates_and_survives_a_restart() {
    let mut hq = TestHq::start().await;
    let (mira, api) = (hq.owner(), hq.api().await);
    let place = format!("{HOME}/settings/appearance");
    let page = mira.get(&place).await;
    assert_eq!(page.status, StatusCode::OK);
    assert_eq!(html(&page, "data-theme"), ["system"]);
    assert!(html(&page, "data-density").is_empty() && html(&page, "data-date").is_empty());
    let made = json!({ "title": "Far away", "due_at": "2031-03-04T14:30:00Z" });
    let made = api.post("/api/v1/tasks", &made).await;
    let task = made.json()["key"].as_str().expect("a key").to_owned();
    let task_page = format!("{HOME}/tasks/{task}");
    assert!(mira.get(&task_page).await.text.contains("4 Mar 2031"));

    let chosen = [
        ("theme", "dark"),
        ("density", "compact"),
        ("first_day", "saturday"),
        ("date", "month_first"),
        ("time", "12"),
        ("number", "point"),
    ];
    let saved = mira.form(&place, &chosen).await;
    assert_eq!(saved.status, StatusCode::SEE_OTHER, "{}", saved.text);
    for _ in 0..2 {
        let mira = hq.owner();
        let page = mira.get(&place).await;
        for (name, word) in
            [("data-theme", "dark"), ("data-density", "compact"), ("data-date", "month_first")]
        {
            assert_eq!(html(&page, name), [word], "{name}");
        }
        assert_eq!(page.attrs("#f-number [selected]", "value"), ["point"]);
        let shown = mira.get(&task_page).await;
        assert!(shown.text.contains("3/4/2031, "), "{}", shown.text);
        assert_eq!(shown.attr("#due-day", "value"), "3/4/2031");
        assert!(shown.attr("#due-time", "value").ends_with("pm"));
        let month = format!("{HOME}/tasks?layout=calendar&month=2031-03");
        assert_eq!(mira.get(&month).await.texts(".cal th")[0], "Sat");
        hq.restart().await;
    }

    // What is typed is read in the same form; programs get the form that they always get.
    let mira = hq.owner();
    let moved = mira.form(&format!("{task_page}/due"), &[("due", "5/6/2031")]).await;
    assert!(!moved.status.is_client_error(), "{}", moved.text);
    let api = hq.api().await;
    let found = api.get(&format!("/api/v1/tasks/{task}")).await.json();
    assert!(found["due_at"].as_str().expect("a moment").starts_with("2031-05-06"), "{found}");
    let usage = mira.form(&place, &[("number", "comma")]).await;
    assert_eq!(usage.status, StatusCode::SEE_OTHER);
    assert_eq!(html(&mira.get(&place).await, "data-density"), ["compact"], "the rest stays");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_page_sends_is_read_in_the_forms_in_which_it_was_drawn() {
    let hq = TestHq::start().await;
    let (mira, api) = (hq.owner(), hq.api().await);
    let appearance = format!("{HOME}/settings/appearance");
    let choose = async |date: &str, number: &str| {
        let saved = mira.form(&appearance, &[("date", date), ("number", number)]).await;
        assert_eq!(saved.status, StatusCode::SEE_OTHER, "{}", saved.text);
    };
    choose("day_first", "point").await;
    let made = api.post("/api/v1/tasks", &json!({ "title": "Far away" })).await;
    let task = made.json()["key"].as_str().expect("a key").to_owned();
    let task_page = format!("{HOME}/tasks/{task}");
    let usage = format!("{HOME}/settings/usage");
    let forms = mira.get(&task_page).await.attr("#m-due [name=_forms]", "value");
    assert_eq!(forms, "day_first.point");
    assert_eq!(mira.get(&usage).await.attr("#workspace-limits [name=_forms]", "value"), forms);

    // Another tab chooses other forms before these pages are sent.
    choose("month_first", "comma").await;
    let due = [("_forms", &*forms), ("due", "03/04/2031")];
    let moved = mira.form(&format!("{task_page}/due"), &due).await;
    assert!(!moved.status.is_client_error(), "{}", moved.text);
    let found = api.get(&format!("/api/v1/tasks/{task}")).await.json();
    assert!(found["due_at"].as_str().expect("a moment").starts_with("2031-04-03"), "{found}");
    let limits = [("_forms", &*forms), ("month", "1.250,50"), ("run", "12,5")];
    let saved = mira.form(&usage, &limits).await;
    assert_eq!(saved.status, StatusCode::SEE_OTHER, "{}", saved.text);
    let page = mira.get(&usage).await;
    assert_eq!(page.attr("#f-month", "value"), "1250.50");
    assert_eq!(page.attr("#f-run", "value"), "12.50");

    // A comma that could be a decimal separator is no separator of thousands.
    let general = mira.get(&format!("{HOME}/settings/general")).await;
    let value = |field: &str| general.attr(&format!("#general [name={field}]"), "value");
    let zone = general.attr("#f-zone [selected]", "value");
    let (name, emoji, task_key) = (value("name"), value("emoji"), value("task_key"));
    for typed in ["12,50", "1,2345", ",50"] {
        let refused = mira.form(&usage, &[("month", typed), ("run", "")]).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{typed}");
        assert!(refused.text_of("#f-month-says").contains("12.50"), "{typed}");
        let form = [
            ("name", &*name),
            ("emoji", &*emoji),
            ("task_key", &*task_key),
            ("zone", &*zone),
            ("budget", typed),
            ("run_cap", "5"),
        ];
        let refused = mira.form(&format!("{HOME}/settings/general"), &form).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{typed}");
        assert!(refused.text_of("#f-budget-says").contains("2.50"), "{typed}");
    }
    assert_eq!(mira.get(&usage).await.attr("#f-month", "value"), "1250.50");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_word_is_refused_and_nothing_is_saved() {
    let hq = TestHq::start().await;
    let mira = hq.owner();
    let place = format!("{HOME}/settings/appearance");
    let sent = [("date", "martian"), ("density", "compact")];
    let refused = mira.form(&place, &sent).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    let says = refused.text_of("#f-date-says");
    assert!(says.contains("isn’t a choice. Choose one of: words, month_first"), "{says}");
    assert!(html(&mira.get(&place).await, "data-density").is_empty());
    assert_eq!(mira.form("/week", &[("week", "someday")]).await.status.as_u16() / 100, 4);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_theme_button_saves_the_theme_and_a_week_begins_as_in_the_persons_country() {
    let hq = TestHq::start().await;
    let mira = hq.owner();
    let theme = |page: &Reply| html(page, "data-theme");
    let pressed = mira.form("/theme", &[("theme", "dark")]).await;
    assert_eq!(pressed.status, StatusCode::NO_CONTENT);
    let page = mira.get(&format!("{HOME}/settings/appearance")).await;
    assert_eq!(theme(&page), ["dark"]);
    assert_eq!(page.attrs("#f-theme [selected]", "value"), ["dark"]);
    // Without a script, the form toggles the theme and leads back.
    let back = format!("{}{HOME}/activity", hq.url());
    let toggled = mira.clone().with("referer", &back).form("/theme", &[]).await;
    assert_eq!(toggled.location(), Some("/w/marlow-cargo/activity"));
    assert_eq!(theme(&mira.get(&format!("{HOME}/activity")).await), ["light"]);

    let month = format!("{HOME}/tasks?layout=calendar");
    for (language, first) in [("en-US,en;q=0.9", "Sun"), ("de-DE", "Mon"), ("ar-EG", "Sat")] {
        let page = mira.clone().with("accept-language", language).get(&month).await;
        assert_eq!(page.texts(".cal th")[0], first, "{language}");
    }
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_brand_colour_reaches_every_page_of_its_workspace_in_readable_tones() {
    let mut hq = TestHq::start().await;
    let mira = hq.owner();
    let (place, css) = (format!("{HOME}/settings/brand"), format!("{HOME}/brand.css"));
    let general = format!("{HOME}/settings/general");
    let link = |page: &Reply| page.attrs("link[data-brand]", "href");
    let home = format!("{HOME}/");
    assert!(link(&mira.get(&home).await).is_empty() && mira.get(&css).await.text.is_empty());

    let same = ("own", "#5546c8");
    let saved = mira.form(&place, &[("brand", "c4"), same, ("own_was", "#5546c8")]).await;
    assert_eq!(saved.status, StatusCode::SEE_OTHER, "{}", saved.text);
    hq.restart().await;
    let mira = hq.owner();
    let page = mira.get(&general).await;
    assert_eq!(link(&page), [format!("{css}?v=1-eab308")]);
    assert_eq!(page.attrs(".swatches [checked]", "value"), ["c4"]);
    let says = page.text_of("#f-brand-says");
    assert!(says.starts_with("Darkened in the light theme, so that text stays"), "{says}");
    let sheet = mira.get(&format!("{css}?v=1-eab308")).await;
    assert_eq!(sheet.header("content-type"), Some("text/css; charset=utf-8"));
    assert!(sheet.header("cache-control").is_some_and(|kept| kept.ends_with("immutable")));
    assert!(sheet.text.contains("--brand: light-dark(#"), "{}", sheet.text);
    assert!(!sheet.text.contains("--brand: light-dark(#eab308"), "yellow on white can’t be read");

    // A colour field that was changed counts, whichever swatch is chosen.
    let own = [("brand", "c4"), ("own", "#1f7a5c"), ("own_was", "#eab308")];
    mira.form(&place, &own).await;
    assert_eq!(link(&mira.get(&general).await), [format!("{css}?v=1-1f7a5c")]);
    let wrong = mira.form(&place, &[("brand", "own"), ("own", "#zz")]).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(wrong.text_of("#f-brand-says"), "Enter a colour such as #1f7a5c.");

    let bob = hq.another("Bob", Some(Role::Member)).await;
    assert_eq!(link(&bob.get(&home).await).len(), 1, "everyone sees it");
    assert_eq!(bob.form(&place, &[("brand", "")]).await.status, StatusCode::FORBIDDEN);
    mira.form(&place, &[("brand", "")]).await;
    assert!(link(&mira.get(&general).await).is_empty());
    hq.finish().await;
}
