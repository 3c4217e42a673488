//! Page of all budgets: values, errors, and continuing with a small increase.

use axum::http::StatusCode;
use kernel::Role;
use serde_json::json;

use support::hq::TestHq;
use support::work;

const PAGE: &str = "/w/marlow-cargo/settings/usage/budgets";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_budget_is_set_continued_and_taken_away_on_its_page() {
    let hq = TestHq::start().await;
    work::agent(&hq, "Ada").await;
    let owner = hq.owner();
    let rows_now = async || owner.get(PAGE).await.texts("#all-budgets tbody tr");
    // The limit per run is listed from the beginning.
    let before = rows_now().await.len();
    let ada = [("payer", "agent:ada"), ("period", "month"), ("money", "0"), ("warn", "70")];
    assert_eq!(owner.form(PAGE, &ada).await.status, StatusCode::SEE_OTHER);
    let whole =
        [("payer", "workspace"), ("period", "day"), ("tokens", "2 000 000"), ("soft", "on")];
    assert_eq!(owner.form(PAGE, &whole).await.status, StatusCode::SEE_OTHER);
    let rows = rows_now().await;
    assert_eq!(rows.len(), before + 2, "{rows:?}");
    let has = |words: [&str; 2]| rows.iter().any(|row| words.iter().all(|word| row.contains(word)));
    assert!(has(["today", "warns only"]) && has(["Ada", "this month"]), "{rows:?}");

    for whose in ["Ada", "The workspace"] {
        let link = format!("a[aria-label^='Budget history: {whose}']");
        let past = owner.get(&owner.get(PAGE).await.attr(&link, "href")).await;
        assert_eq!(past.status, StatusCode::OK, "{}", past.text);
        assert!(!past.texts(".versions > ol > li").is_empty(), "{whose}: {}", past.text);
    }

    let which = [("payer", "agent:ada"), ("period", "month")];
    let more = owner.form(&format!("{PAGE}/more"), &which).await;
    assert_eq!(more.status, StatusCode::SEE_OTHER, "{}", more.text);
    let api = hq.api().await;
    let one = api.get("/api/v1/budgets/agent:ada/month").await.json();
    assert_eq!((&one["limit_micros"], &one["soft_pct"]), (&2_000_000.into(), &70.into()), "{one}");
    // A budget with room is not raised.
    owner.form(&format!("{PAGE}/more"), &which).await;
    let one = api.get("/api/v1/budgets/agent:ada/month").await.json();
    assert_eq!(one["limit_micros"], 2_000_000);
    owner.form(&format!("{PAGE}/remove"), &which).await;
    assert_eq!(rows_now().await.len(), before + 1);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_stands_beside_its_field_and_the_rest_is_kept() {
    let hq = TestHq::start().await;
    work::agent(&hq, "Ada").await;
    let owner = hq.owner();
    for (fields, says, words) in [
        (
            vec![("payer", "agent:ada"), ("period", "month"), ("money", "x")],
            "#f-money-says",
            "dollars",
        ),
        (vec![("payer", "agent:ada"), ("period", "month")], "#f-money-says", "dollars or tokens"),
        (vec![("payer", "task"), ("period", "total"), ("money", "5")], "#f-task-says", "MC-12"),
        (
            vec![("payer", "task"), ("task", "MC-99"), ("period", "total"), ("money", "5")],
            "#f-task-says",
            "This task doesn't exist",
        ),
        (vec![("payer", "run"), ("period", "total"), ("money", "5")], "#f-task-says", "R-7"),
        (
            vec![("payer", "run"), ("task", "R-9"), ("period", "total"), ("money", "5")],
            "#f-task-says",
            "This run doesn't exist",
        ),
        (
            vec![("payer", "agent:ada"), ("period", "month"), ("money", "5"), ("warn", "0")],
            "#f-warn-says",
            "percent",
        ),
    ] {
        let page = owner.form(PAGE, &fields).await;
        assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY, "{fields:?}");
        let said = page.text_of(says);
        assert!(said.contains(words), "{fields:?}: {said}");
    }
    let other = hq.another("admin", Some(Role::Viewer)).await;
    let page = other.get(PAGE).await;
    assert!(page.attrs("form.form", "action").is_empty(), "who may not set one is not asked to");
    let set = [("payer", "workspace"), ("period", "day"), ("money", "5")];
    assert_eq!(other.form(PAGE, &set).await.status, StatusCode::FORBIDDEN);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_and_a_routine_show_their_budget_and_let_one_set_it() {
    let hq = TestHq::start().await;
    work::agent(&hq, "Ada").await;
    let owner = hq.owner();
    let looker = hq.another("looker", Some(Role::Viewer)).await;
    let stream = owner.post("/api/v1/streams", &json!({ "name": "Launch" })).await;
    let schedule = json!({ "cadence_type": "every_n_minutes", "interval_n": 30 });
    let body =
        json!({ "agent": "ada", "name": "Look", "instruction": "Look.", "schedule": schedule });
    let routine = owner.post("/api/v1/routines", &body).await;
    for (noun, made, region) in
        [("streams", stream, "#stream-budget"), ("routines", routine, "#routine")]
    {
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
        let id = made.json()["id"].as_str().expect("an id").to_owned();
        let page = format!("/w/marlow-cargo/{noun}/{id}");
        let before = owner.get(&page).await;
        assert!(before.text_of(region).contains("No budget"), "{}", before.text);
        let payer = before.attr("input[name='payer']", "value");
        assert!(owner.get(PAGE).await.attrs("#f-payer option", "value").contains(&payer));
        let fields =
            [("payer", payer.as_str()), ("back", "on"), ("period", "month"), ("money", "40")];
        let set = owner.form(PAGE, &fields).await;
        assert_eq!((set.status, set.header("location")), (StatusCode::SEE_OTHER, Some(&*page)));
        let after = looker.get(&page).await;
        let shown = after.text_of(region);
        assert!(shown.contains("of $40") && shown.contains("this month"), "{shown}");
        assert!(after.attrs("input[name='payer']", "value").is_empty(), "who may not is not asked");
        let links = owner.get(PAGE).await.attrs("#all-budgets td a", "href");
        assert!(links.contains(&page), "{links:?}");
        let wrong =
            [("payer", payer.as_str()), ("back", "on"), ("period", "month"), ("money", "x")];
        let again = owner.form(PAGE, &wrong).await;
        assert_eq!(again.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(again.attr("#f-payer option[selected]", "value"), payer, "the choice is kept");
        assert!(again.text_of("#f-money-says").contains("dollars"), "{}", again.text);
    }
    let tight = [("payer", "routine:look"), ("period", "run"), ("money", "5")];
    let wrong = owner.form(PAGE, &tight).await;
    assert!(wrong.text_of("#f-period-says").contains("in the routine itself"), "{}", wrong.text);
    hq.finish().await;
}
