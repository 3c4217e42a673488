//! Forms of routines: rejections, and display of saved values.

use reqwest::StatusCode;
use serde_json::{Value, json};

use support::office::Office;

use super::{follow_up, half_hourly, made};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_is_named_and_nothing_that_was_typed_is_lost() {
    let office = Office::open().await;
    office.agent("Ada").await;
    let api = office.hq.api().await;
    let wrong = json!({
        "agent": "ada",
        "name": "Wrong",
        "event": { "when": "task.stats" },
    });
    let refused = api.post("/api/v1/routines", &wrong).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused.text.contains("task.status"), "it names the nearest: {}", refused.text);
    let mut often = half_hourly("Often");
    often["schedule"]["interval_n"] = json!(1);
    let each_minute = made(&api, &often).await;
    assert_eq!(api.get(&each_minute).await.json()["sentence"], "Every minute");
    let asked = "/w/marlow-cargo/routines/preview?when=schedule&cadence_type=every_n_minutes&interval_n=1&agent=ada";
    let told = office.hq.owner().get(asked).await.text;
    assert!(told.contains(". 1,440 times a day; Ada starts at most 30 items per hour"), "{told}");

    let owner = office.hq.owner();
    let form = owner.get("/w/marlow-cargo/routines/new").await;
    let example = form.attrs("#f-interval_n", "placeholder");
    assert!(example.is_empty(), "what is left empty is 15 minutes: {example:?}");
    assert!(form.text.contains("Minutes. Defaults to 15."), "{}", form.text);
    let fields = [
        ("name", "Thank everybody"),
        ("agent", "ada"),
        ("when", "event"),
        ("event", "task.created"),
        ("c1_field", "verdict"),
        ("c1_op", "is"),
        ("c1_value", "approved"),
        ("instruction", "Say thank you to {actor}."),
    ];
    let page = owner.form("/w/marlow-cargo/routines", &fields).await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(page.text.contains("has no field"), "{}", page.text);
    assert!(
        page.text.contains("Thank everybody") && page.text.contains("Say thank you to {actor}.")
    );
    let mended =
        fields.map(|(name, value)| if name == "c1_field" { (name, "") } else { (name, value) });
    let made = owner.form("/w/marlow-cargo/routines", &mended).await;
    assert_eq!(made.status, StatusCode::SEE_OTHER, "{}", made.text);
    let shown = owner.get(made.location().expect("its page")).await;
    assert!(shown.text.contains("When a task is created"), "{}", shown.text);
    let edit = format!("{}/edit", made.location().expect("its page"));
    assert!(owner.get(&edit).await.text.contains("Say thank you to {actor}."));

    // Dates and times in the ways people write them.
    let once = |at: &'static str| {
        let quiet = [("quiet_from", "10 pm"), ("quiet_until", "630"), ("starts_on", "fri")];
        let own = [("name", "Once"), ("agent", "ada"), ("instruction", "Look.")];
        [&own[..], &[("when", "schedule"), ("cadence_type", "once"), ("at", at)], &quiet].concat()
    };
    let refused = owner.form("/w/marlow-cargo/routines", &once("24 Dec")).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "a time is missing");
    assert!(refused.text_of("#f-at-says").contains("Write the day and the time"));
    assert_eq!(refused.attr("#f-at", "value"), "24 Dec", "what was typed stays");
    let made = owner.form("/w/marlow-cargo/routines", &once("24 Dec, 6:15 pm")).await;
    assert_eq!(made.status, StatusCode::SEE_OTHER, "{}", made.text);
    let edit = owner.get(&format!("{}/edit", made.location().expect("its page"))).await;
    assert_eq!(edit.attr("#f-at", "value"), "24 Dec 2026, 18:15");
    assert_eq!(edit.attr("#f-quiet_from", "value"), "22:00");
    assert_eq!(edit.attr("#f-quiet_until", "value"), "06:30");
    assert_eq!(edit.attr("#f-starts_on", "value"), "27 Nov 2026");
    let preview = "/w/marlow-cargo/routines/preview?when=schedule&cadence_type=weekdays";
    assert!(owner.get(preview).await.text.contains("Every weekday at 9:00"));
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_form_makes_a_routine_with_a_template_and_shows_it_again() {
    let office = Office::open().await;
    office.agent("Ada").await;
    let api = office.hq.api().await;
    follow_up(&api).await;
    let template = api.get("/api/v1/task-templates/follow-up").await.json();
    let id = template["id"].as_str().expect("an id").to_owned();
    let owner = office.hq.owner();
    let roles = owner.get(&format!("/w/marlow-cargo/routines/roles?template={id}")).await;
    assert_eq!(roles.attr("input[name=role_name_0]", "value"), "scribe", "{}", roles.text);
    let preview =
        format!("/w/marlow-cargo/routines/preview?when=schedule&action=task&template={id}");
    let preview = owner.get(&preview).await;
    assert!(preview.text.contains("It has 2 subtasks: Ask about {title}"), "{}", preview.text);
    let fields = [
        ("name", "Weekly round"),
        ("agent", "ada"),
        ("when", "schedule"),
        ("cadence_type", "weekly"),
        ("day_1", "on"),
        ("action", "task"),
        ("template", id.as_str()),
        ("role_name_0", "scribe"),
        ("role_0", "ada"),
        ("task_unassigned", "on"),
    ];
    let made = owner.form("/w/marlow-cargo/routines", &fields).await;
    assert_eq!(made.status, StatusCode::SEE_OTHER, "{}", made.text);
    let at = made.location().expect("its page").to_owned();
    let shown = owner.get(&at).await;
    assert!(shown.text.contains("the task “Weekly round” is created, with tasks from a template"));
    let edit = owner.get(&format!("{at}/edit")).await;
    assert_eq!(edit.attr("#f-template option[selected]", "value"), id);
    assert_eq!(edit.attr("#f-role_0 option[selected]", "value"), "ada", "{}", edit.text);
    let ran = owner.form(&format!("{at}/run"), &[]).await;
    assert_eq!(ran.status, StatusCode::SEE_OTHER, "{}", ran.text);
    let note = api.get("/api/v1/tasks/MC-3").await.json();
    assert_eq!((&note["title"], &note["assignee"]["kind"]), (&json!("Note it"), &json!("agent")));
    office.hq.finish().await;
}

/// Fields of a form as a browser submits them.
fn sent(page: &str) -> Vec<(String, String)> {
    use scraper::{Html, Selector};
    let page = Html::parse_document(page);
    let select = |text: &str| Selector::parse(text).expect("a selector");
    let (fields, chosen) = (
        "form.fires input[name], form.fires select[name], form.fires textarea[name]",
        select("option[selected]"),
    );
    let mut sent = Vec::new();
    for field in page.select(&select(fields)) {
        let attr = |name| field.value().attr(name);
        let value = match field.value().name() {
            "select" => {
                let first = field.select(&select("option")).next();
                let option = field.select(&chosen).next().or(first);
                option.and_then(|one| one.value().attr("value")).unwrap_or_default().to_owned()
            }
            "textarea" => field.text().collect::<String>().trim_start_matches('\n').to_owned(),
            _ if attr("type") == Some("checkbox") && attr("checked").is_none() => continue,
            _ => attr("value").unwrap_or("on").to_owned(),
        };
        sent.push((attr("name").expect("a name").to_owned(), value));
    }
    sent
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_routine_that_is_saved_as_it_was_shown_stays_as_it_is() {
    let office = Office::open().await;
    office.agent("Ada").await;
    let (api, owner) = (office.hq.api().await, office.hq.owner());
    let is = |field: &str, value: &str| json!({ "field": field, "op": "is", "value": value });
    let all: Vec<Value> = ["urgent", "high", "medium", "low"]
        .map(|value| json!({ "field": "priority", "op": "is_not", "value": value }))
        .into_iter()
        .chain([
            json!({ "field": "title", "op": "contains", "value": "bike" }),
            json!({ "any": [is("title", "a"), is("title", "b"), is("title", "c"), is("title", "d")] }),
        ])
        .collect();
    let quiet =
        json!({ "days": [6, 7], "from": "20:00", "until": "07:00", "timezone": "Asia/Tokyo" });
    let timed = json!({
        "agent": "ada", "name": "Every other week", "instruction": "Look.", "quiet_hours": quiet,
        "jitter_secs": 90, "session": "main",
        "schedule": {
            "cadence_type": "weekly", "interval_n": 2, "days_of_week": [3], "time_of_day": "09:30",
            "timezone": "Europe/Berlin", "starts_on": "2026-11-04",
        },
    });
    let event = json!({
        "agent": "ada", "name": "On a task", "instruction": "Look.", "quiet_hours": quiet,
        "event": { "when": "task.created", "all": all },
    });
    let once = json!({
        "agent": "ada", "name": "On the day", "instruction": "Look.", "delete_when_done": true,
        "schedule": { "cadence_type": "once", "at": "2026-12-24T18:00:00Z" },
    });
    for body in [timed, event, once] {
        let made = api.post("/api/v1/routines", &body).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
        let id = made.json()["id"].as_str().expect("an id").to_owned();
        let path = format!("/api/v1/routines/{id}");
        let kept = |json: Value| {
            let routine = &json["routine"];
            assert!(routine["name"].is_string(), "{json:#}");
            routine.clone()
        };
        let before = kept(api.get(&path).await.json());
        let page = owner.get(&format!("/w/marlow-cargo/routines/{id}/edit")).await;
        let fields = sent(&page.text);
        let fields: Vec<_> = fields.iter().map(|(name, value)| (&**name, &**value)).collect();
        let saved = owner.form(&format!("/w/marlow-cargo/routines/{id}"), &fields).await;
        assert_eq!(saved.status, StatusCode::SEE_OTHER, "{}", saved.text);
        let after = kept(api.get(&path).await.json());
        assert_eq!(before, after, "{fields:?}");
    }
    office.hq.finish().await;
}
