//! Tests of contacts, organizations and collections with people, API and agents.

use axum::http::StatusCode;
use kernel::Outcome;
use serde_json::{Value, json};
use support::hq::{Person, TestHq};
use support::model::Turn;
use support::office::Office;
use support::work::{made, names};

use crate::{HERE, id, patched};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_contact_is_made_changed_archived_and_deleted_and_an_undo_brings_it_back() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    let rosa = made(&api, "contacts", json!({ "name": "Rosa", "email": "Rosa@Example.com" })).await;
    assert_eq!(rosa["stage"], "lead", "the first stage is where a contact begins");
    assert_eq!(rosa["origins"]["email"]["kind"], "person");

    let twice = api
        .post("/api/v1/contacts", &json!({ "name": "Other", "email_2": "rosa@EXAMPLE.com" }))
        .await;
    assert_eq!(twice.status, 422, "{}", twice.text);
    assert!(twice.text.contains("already belongs to Rosa"), "{}", twice.text);
    for (body, says) in [
        (json!({ "name": "X", "email": "nobody" }), "an email address"),
        (json!({ "name": "X", "stge": "lead" }), "Did you mean \\\"stage\\\""),
        (json!({ "name": "X", "stage": "Leed" }), "Did you mean \\\"Lead\\\""),
        (json!({ "email": "a@example.com" }), "Name is missing"),
        (json!({ "name": "X", "website_url": "javascript:alert(1)" }), "a web address"),
        (json!({ "name": { "a": 1 } }), "can't contain an object"),
    ] {
        let refused = api.post("/api/v1/contacts", &body).await;
        assert_eq!(refused.status, 422, "{body}: {}", refused.text);
        assert!(refused.text.contains(says), "{says}: {}", refused.text);
    }

    let at = format!("contacts/{}", id(&rosa));
    let shown = api.get(&format!("/api/v1/{at}")).await;
    let tag = shown.header("etag").expect("a revision").to_owned();
    let done = patched(
        &api,
        &at,
        json!({ "organization": "Pastelaria Rosa", "title": "Owner", "stage": "Qualified" }),
    )
    .await;
    assert_eq!(done.status, 200, "{}", done.text);
    assert_eq!(done.json()["organization"]["name"], "Pastelaria Rosa", "made, as it was not there");
    assert_eq!(done.json()["stage"], "qualified");
    let late = api
        .clone()
        .with("If-Match", &tag)
        .json("PATCH", &format!("/api/v1/{at}"), &json!({ "title": "Boss" }))
        .await;
    assert_eq!(late.status, 412, "{}", late.text);
    assert_eq!(names(&api, "organizations").await, ["Pastelaria Rosa"]);
    let page = hq.owner().get(&format!("{HERE}/{at}")).await;
    assert_eq!(page.texts("#crm-head .meta a"), ["Pastelaria Rosa"], "it leads there");
    let there = page.attr("#crm-head .meta a", "href");
    assert_eq!(hq.owner().get(&there).await.text_of("h1"), "Pastelaria Rosa");

    assert_eq!(patched(&api, &at, json!({ "archived": true })).await.status, 200);
    assert!(names(&api, "contacts").await.is_empty());
    assert_eq!(names(&api, "contacts?archived=true").await, ["Rosa"]);
    assert_eq!(patched(&api, &at, json!({ "phone": "040 555" })).await.status, 409);
    assert_eq!(
        patched(&api, &at, json!({ "archived": false, "phone": "040 555" })).await.status,
        200
    );

    assert_eq!(api.call("DELETE", &format!("/api/v1/{at}")).await.status, 204);
    assert_eq!(api.get(&format!("/api/v1/{at}")).await.status, 404);
    let history = api.get(&format!("/api/v1/history/{at}")).await.json();
    let seq = history["items"][0]["seq"].clone();
    let undo = json!({ "change": { "seq": seq, "table": "contacts", "id": id(&rosa) } });
    let back = api.post("/api/v1/undo", &undo).await;
    assert_eq!(back.status, 200, "{}", back.text);
    assert_eq!(api.get(&format!("/api/v1/{at}")).await.json()["phone"], "040 555");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_filter_sort_and_sum_by_fields_that_people_made() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    let field =
        made(&api, "fields?of=contacts", json!({ "label": "Bikes wanted", "kind": "number" }))
            .await;
    assert_eq!(field["key"], "bikes_wanted");
    let sector = json!({ "label": "Sector", "kind": "select", "choices": [{ "label": "Bakery" }, { "label": "Florist" }] });
    made(&api, "fields?of=contacts", sector).await;
    for (name, bikes, sector, phone) in [
        ("Rosa", json!(2), "Bakery", "+49 40 555 01"),
        ("Jana", json!("4.5"), "Florist", "040/555-02"),
        ("Piet", json!(12), "bakery", ""),
    ] {
        let body = json!({ "name": name, "bikes_wanted": bikes, "sector": sector, "phone": phone, "tags": "VIP, new" });
        made(&api, "contacts", body).await;
    }
    assert_eq!(
        names(&api, "contacts?q=bikes_wanted:%3E2&sort=-bikes_wanted").await,
        ["Piet", "Jana"]
    );
    assert_eq!(names(&api, "contacts?q=sector:Bakery&sort=name").await, ["Piet", "Rosa"]);
    assert_eq!(names(&api, "contacts?q=-sector:Bakery").await, ["Jana"]);
    assert_eq!(names(&api, "contacts?q=4055501").await, ["Rosa"], "a phone is found by its digits");
    let found = api.get("/api/v1/search?q=4055501").await.json();
    assert_eq!(found["items"][0]["title"], "Rosa", "{found}");
    let shown = found["items"][0]["snippet"].as_str().unwrap_or_default();
    assert!(!shown.contains("5501"), "words of the index are not shown: {shown}");
    assert_eq!(names(&api, "contacts?q=tag:vip%20phone:none").await, ["Piet"]);
    let first = api.get("/api/v1/contacts?sort=created&limit=1").await.json();
    let next = first["next"].as_str().expect("a second page");
    assert_eq!(
        names(&api, &format!("contacts?sort=created&limit=1&cursor={next}")).await,
        ["Jana"]
    );
    assert_eq!(api.get("/api/v1/contacts?cursor=1").await.status, 422, "no number of rows");
    let wrong = api.get("/api/v1/contacts?q=sectr:x").await;
    assert_eq!(wrong.status, 422);
    assert!(wrong.text.contains("Did you mean"), "{}", wrong.text);

    let page = hq.owner().get(&format!("{HERE}/contacts?sort=-bikes_wanted")).await;
    assert_eq!(page.texts("tbody th .title"), ["Piet", "Jana", "Rosa"]);
    assert!(page.text_of("tfoot").contains("18.50"), "{}", page.text_of("tfoot"));
    let file =
        hq.owner().get(&format!("{HERE}/contacts/export.csv?q=sector:Bakery&sort=name")).await;
    let lines: Vec<&str> = file.text.lines().collect();
    assert!(lines[0].starts_with("Name,Stage,Owner"), "{}", lines[0]);
    assert!(lines[1].starts_with("Piet,Lead") && lines.len() == 3, "{}", file.text);
    let board = hq.owner().get(&format!("{HERE}/contacts?layout=board")).await;
    assert_eq!(board.texts(".board h2")[0], "Lead");
    assert_eq!(board.texts(".board-cards .title").len(), 3);

    // A choice in use is removed only if its records get another one.
    let left = json!({ "choices": [{ "label": "Florist" }] });
    let refused = patched(&api, "fields/sector?of=contacts", left).await;
    assert_eq!(refused.status, 422, "{}", refused.text);
    assert!(refused.text.contains("2 contacts use"), "{}", refused.text);
    let moved = json!({ "choices": [{ "label": "Florist" }], "replaced": "florist" });
    assert_eq!(patched(&api, "fields/sector?of=contacts", moved).await.status, 200);
    assert_eq!(names(&api, "contacts?q=sector:florist&sort=name").await, ["Jana", "Piet", "Rosa"]);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_fills_cells_with_sources_and_never_takes_a_persons_value_away() {
    let office = Office::open().await;
    office.model.usually(Turn::text("Done."));
    let ada = office.agent("Ada").await;
    let hq = &office.hq;
    let api = hq.api().await;
    let rosa = made(&api, "contacts", json!({ "name": "Rosa", "email": "rosa@example.com" })).await;
    let source = json!([{ "at": "https://rosa.example/imprint", "quote": "Call 040 5550 1824" }]);
    let call = json!({ "items": [{
        "id": "rosa@example.com",
        "values": { "phone": "040 5550 1824", "email": "info@rosa.example" },
        "sources": { "phone": source, "email": source },
    }] });
    let add = json!({ "items": [{ "values": { "name": "Jana", "organization": "Brandt" } }, { "values": { "email": "x" } }] });
    let turn = Turn::call("contact_update", call)
        .and_call("contact_create", add.clone())
        .and_call("contact_list", json!({ "q": "phone:any" }))
        .and_call("schema_get", json!({}))
        .and_call("interaction_log", json!({ "contact": "Rosa", "kind": "call", "body": "She calls back.", "next_action": "Call", "next_on": "2026-12-01" }))
        .and_call("contact_get", json!({ "id": "Rosa" }));
    office.model.push(turn);
    let run = office.say(&ada, "Fill in").await;
    assert_eq!(office.ended(run).await.outcome, Some(Outcome::Done));
    let results = office.results(run);
    assert_eq!(results.len(), 6, "{results:?}");
    let result = &results[0].2;
    assert!(
        result.contains("\"written\":[\"phone\"]") && result.contains("\"suggested\":[\"email\"]"),
        "{result}"
    );
    assert!(
        results[1].2.contains("Jana") && results[1].2.contains("an email address"),
        "{}",
        results[1].2
    );
    assert!(results[2].2.contains("Rosa") && !results[2].2.contains("Jana"), "{}", results[2].2);
    assert!(results[2].2.contains("EXTERNAL_UNTRUSTED_CONTENT"), "{}", results[2].2);
    assert!(
        results[3].2.contains("Qualified") || results[3].2.contains("qualified"),
        "{}",
        results[3].2
    );
    assert!(results[5].2.contains("She calls back."), "{}", results[5].2);

    let shown = api.get(&format!("/api/v1/contacts/{}", id(&rosa))).await.json();
    assert_eq!(shown["email"], "rosa@example.com", "the person's value stays");
    assert_eq!(shown["phone"], "040 5550 1824");
    assert_eq!(shown["origins"]["phone"]["kind"], "agent");
    assert_eq!(shown["origins"]["phone"]["sources"][0]["quote"], "Call 040 5550 1824");
    assert_eq!(names(&api, "contacts?q=is:unchecked").await.len(), 2);
    let page = hq.owner().get(&format!("{HERE}/contacts/{}", id(&rosa))).await;
    assert!(page.text_of("#crm-cells").contains("info@rosa.example"), "{}", page.text);
    assert!(page.text.contains("rosa.example/imprint"), "the source is told");

    let right = api
        .post(&format!("/api/v1/contacts/{}/right", id(&rosa)), &json!({ "field": "phone" }))
        .await;
    assert_eq!(right.status, 200, "{}", right.text);
    let suggestion = shown["suggestions"][0]["id"].as_str().expect("a suggestion");
    let taken = api.post(&format!("/api/v1/suggestions/{suggestion}/take"), &json!({})).await;
    assert_eq!(taken.json()["email"], "info@rosa.example", "{}", taken.text);
    assert_eq!(taken.json()["suggestions"], Value::Null);
    assert_eq!(
        api.post(&format!("/api/v1/suggestions/{suggestion}/take"), &json!({})).await.status,
        409
    );

    // A person vouches for a confirmed value.
    office.model.push(Turn::call(
        "contact_update",
        json!({ "items": [{ "id": "Rosa", "values": { "phone": "1234" } }] }),
    ));
    let run = office.say(&ada, "Again").await;
    office.ended(run).await;
    assert!(
        office.results(run)[0].2.contains("\"suggested\":[\"phone\"]"),
        "{:?}",
        office.results(run)
    );

    decides_on_several(hq, &api).await;

    // The changes of the run are reverted cell by cell; later decisions of the person stay.
    let dry = json!({ "items": [{ "values": { "name": "Nobody" } }], "dry_run": true });
    office.model.push(Turn::call("contact_create", dry));
    let run = office.say(&ada, "Dry").await;
    office.ended(run).await;
    assert!(office.results(run)[0].2.contains("dry_run"), "{:?}", office.results(run));
    assert!(!names(&api, "contacts").await.contains(&"Nobody".to_owned()));
    office.hq.finish().await;
}

/// All open suggestions are on one page, where several are decided at once.
async fn decides_on_several(hq: &TestHq, api: &Person) {
    let all = api.get("/api/v1/suggestions").await.json();
    let one = &all["items"][0];
    assert_eq!(
        (&one["field"], &one["name"], &one["value"]),
        (&json!("phone"), &json!("Rosa"), &json!("1234"))
    );
    let owner = hq.owner();
    let review = owner.get(&format!("{HERE}/review")).await;
    assert!(review.text_of("#queue").contains("Suggested values 1"), "{}", review.text);
    let page = owner.get(&format!("{HERE}/suggestions")).await;
    let text = page.text_of("#suggested");
    assert!(text.contains("Ada") && text.contains("Phone") && text.contains("1234"), "{text}");
    let ids = json!({ "ids": [one["id"], one["id"]], "take": false });
    assert_eq!(api.post("/api/v1/suggestions", &ids).await.json(), json!({ "decided": 1 }));
    let id_of_one = one["id"].as_str().expect("an id");
    let second = owner.form(&format!("{HERE}/suggestions/all/take"), &[("ids", id_of_one)]).await;
    assert_eq!(second.status, 303, "{}", second.text);
    let page = owner.get(&format!("{HERE}/suggestions")).await;
    assert!(page.text_of("#suggested").contains("No suggested values"), "{}", page.text);
    assert_eq!(names(api, "contacts?q=phone:1234").await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chosen_rows_are_given_to_an_agent_as_one_task_that_links_to_each() {
    let office = Office::open().await;
    office.agent("Ada").await;
    office.model.usually(Turn::text("Fine."));
    let (api, owner) = (office.hq.api().await, office.hq.owner());
    let rosa = made(&api, "contacts", json!({ "name": "Rosa" })).await;
    let rows = [id(&rosa), id(&made(&api, "contacts", json!({ "name": "Kim" })).await)].join(",");
    let give = [("tasks", rows.as_str()), ("title", "Check the addresses"), ("agent", "ada")];
    let given = owner.form(&format!("{HERE}/contacts/give"), &give).await;
    assert_eq!(given.status, 303, "{}", given.text);
    let task = api.get("/api/v1/tasks/MC-1").await.json();
    assert_eq!(
        (&task["title"], &task["assignee"]["name"]),
        (&json!("Check the addresses"), &json!("Ada")),
        "{task}"
    );
    let links = api.get("/api/v1/tasks/MC-1/links").await.text;
    assert!(links.contains("Rosa") && links.contains("Kim"), "{links}");
    let refused = owner
        .form(
            &format!("{HERE}/contacts/give"),
            &[("tasks", rows.as_str()), ("title", "X"), ("agent", "")],
        )
        .await;
    assert!(refused.text.contains("Choose an agent"), "{}", refused.text);
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_the_value_of_a_field_a_row_is_changed_or_made() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    let mut known = 0;
    for (body, count) in [
        (json!({ "name": "Rosa", "email": "rosa@example.com" }), 1),
        (json!({ "name": "Rosa Weiss", "email": "ROSA@example.com", "phone": "040 5550 1824" }), 1),
        (json!({ "name": "Tom", "email": "tom@example.com" }), 2),
        (json!({ "name": "Tom Berg", "email": "tom@example.com" }), 2),
    ] {
        let put = api.post("/api/v1/contacts?by=email", &body).await;
        let made = names(&api, "contacts").await.len() == count && known < count;
        let status = if made { StatusCode::CREATED } else { StatusCode::OK };
        assert_eq!((put.status, &put.json()["name"]), (status, &body["name"]), "{}", put.text);
        known = count;
    }
    for (by, says) in [
        ("stage", "identify contacts"),
        ("emial", "There's no field"),
        ("phone", "Phone is missing"),
    ] {
        let refused = api
            .post(&format!("/api/v1/contacts?by={by}"), &json!({ "name": "X", "stage": "lead" }))
            .await;
        assert!(refused.status == 422 && refused.text.contains(says), "{says}: {}", refused.text);
    }
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn history_tells_a_cell_in_words_and_an_undo_takes_back_that_cell_alone() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    let rosa = made(&api, "contacts", json!({ "name": "Rosa", "phone": "1111" })).await;
    let at = format!("contacts/{}", id(&rosa));
    patched(&api, &at, json!({ "phone": "2222" })).await;
    let history = api.get(&format!("/api/v1/history/{at}")).await.json();
    let seq = history["items"][0]["seq"].clone();
    patched(&api, &at, json!({ "title": "Owner" })).await;

    let page = hq.owner().get(&format!("{HERE}/history/{at}")).await;
    for words in ["Phone", "1111", "2222", "Owner"] {
        assert!(page.text.contains(words), "{words}: {}", page.text);
    }
    assert!(
        !page.text_of("main").contains("origin"),
        "who wrote it stands in the line, not in the value"
    );
    let undo = json!({ "change": { "seq": seq, "table": "contacts", "id": id(&rosa) } });
    let back = api.post("/api/v1/undo", &undo).await;
    assert_eq!(back.status, 200, "{}", back.text);
    let now = api.get(&format!("/api/v1/{at}")).await.json();
    assert_eq!((&now["phone"], &now["title"]), (&json!("1111"), &json!("Owner")));
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_make_change_and_log_and_say_who_was_faster() {
    let hq = TestHq::start().await;
    let (owner, api) = (hq.owner(), hq.api().await);
    let empty = owner.get(&format!("{HERE}/contacts")).await;
    assert!(
        empty.text.contains("No contacts yet") && empty.text.contains("Start with Sales"),
        "{}",
        empty.text
    );
    let started =
        owner.form(&format!("{HERE}/settings/fields/start"), &[("preset", "clients")]).await;
    assert_eq!(started.status, 303, "{}", started.text);

    let refused =
        owner.form(&format!("{HERE}/contacts"), &[("name", ""), ("email", "x@example.com")]).await;
    assert_eq!(refused.status, 422);
    assert!(
        refused.text.contains("Name is missing") && refused.text.contains("x@example.com"),
        "{}",
        refused.text
    );
    let sent = [
        ("name", "Nils <b>Petersen</b>"),
        ("email", "nils@example.com"),
        ("organization", "Nordkorn"),
        ("monthly_value", "954"),
    ];
    let done = owner.form(&format!("{HERE}/contacts"), &sent).await;
    assert_eq!(done.status, 303, "{}", done.text);
    let at = done.location().expect("its page").to_owned();
    let page = owner.get(&at).await;
    assert!(
        page.text.contains("Nils &lt;b&gt;Petersen")
            || page.text.contains("Nils &#60;b&#62;Petersen"),
        "words are no markup"
    );
    assert!(page.text_of("#crm-cells").contains("Prospect"), "{}", page.text_of("#crm-cells"));

    // Two people edit one cell: the second gets an error and nothing is overwritten.
    let first = owner.form(&at, &[("was:title", ""), ("title", "Buyer")]).await;
    assert_eq!(first.status, 303, "{}", first.text);
    let second = owner.form(&at, &[("was:title", ""), ("title", "Boss")]).await;
    assert_eq!(second.status, 422, "{}", second.text);
    assert!(second.text.contains("changed Role to"), "{}", second.text);

    let log = [
        ("kind", "call"),
        ("way", "inbound"),
        ("body", "The hitch **broke**."),
        ("next_action", "Send the new one"),
        ("next_on", "1 Jan 2020"),
    ];
    let logged = owner.form(&format!("{at}/talks"), &log).await;
    assert_eq!(logged.status, 303, "{}", logged.text);
    let page = owner.get(&at).await;
    assert!(
        page.text.contains("<strong>broke</strong>") && page.text.contains("Send the new one"),
        "{}",
        page.text
    );
    assert_eq!(names(&api, "contacts?q=due:overdue").await.len(), 1);
    let done = page.attr("#crm-head form[action$='/done']", "action");
    assert_eq!(owner.form(&done, &[]).await.status, 303);
    assert!(names(&api, "contacts?q=due:any").await.is_empty());

    let organization = api.get("/api/v1/organizations/Nordkorn").await.json();
    let page = owner.get(&format!("{HERE}/organizations/{}", id(&organization))).await;
    assert!(page.text.contains("Nils"), "its people stand there");
    for place in [
        "organizations",
        "collections",
        "settings/fields",
        "contacts/new",
        "contacts?layout=board",
        "contacts?q=nope:1",
    ] {
        assert_eq!(owner.get(&format!("{HERE}/{place}")).await.status, 200, "{place}");
    }
    let viewer = hq.another("Vera", Some(kernel::Role::Viewer)).await;
    assert_eq!(viewer.get(&at).await.status, 200);
    assert_eq!(viewer.form(&at, &[("title", "X")]).await.status, 403);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collection_has_fields_of_its_own_and_comes_back_whole() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    let bikes = made(&api, "collections", json!({ "name": "Bikes", "icon": "🚲" })).await;
    let of = format!("fields?of={}", id(&bikes));
    made(&api, &of, json!({ "label": "Frame", "kind": "select", "choices": [{ "label": "Steel" }, { "label": "Carbon" }] })).await;
    made(&api, &of, json!({ "label": "Rented to", "kind": "relation", "to": "contacts" })).await;
    made(&api, "contacts", json!({ "name": "Rosa" })).await;
    let one = made(
        &api,
        "collections/Bikes/records",
        json!({ "name": "31", "frame": "Steel", "rented_to": "Rosa" }),
    )
    .await;
    made(&api, "collections/Bikes/records", json!({ "name": "32", "frame": "carbon" })).await;
    assert_eq!(names(&api, "collections/bikes/records?q=frame:steel").await, ["31"]);
    assert_eq!(one["rented_to"]["name"], "Rosa");
    let taken = api.post("/api/v1/collections", &json!({ "name": "bikes" })).await;
    assert_eq!(taken.status, 422, "{}", taken.text);

    let page = hq.owner().get(&format!("{HERE}/collections/{}", id(&bikes))).await;
    assert_eq!(page.texts("tbody th .title"), ["32", "31"]);
    assert!(page.text_of(".side").contains("Bikes"), "it stands in the sidebar");
    let page = hq.owner().get(&format!("{HERE}/records/{}", id(&one))).await;
    assert!(page.text_of("#crm-cells").contains("Rosa"));

    assert_eq!(
        api.call("DELETE", &format!("/api/v1/collections/{}", id(&bikes))).await.status,
        204
    );
    assert_eq!(api.get(&format!("/api/v1/records/{}", id(&one))).await.status, 404);
    let seq = api.get(&format!("/api/v1/history/collections/{}", id(&bikes))).await.json()["items"]
        [0]["seq"]
        .clone();
    let back = api.post("/api/v1/undo", &json!({ "entry": seq })).await;
    assert_eq!(back.status, 200, "{}", back.text);
    assert_eq!(names(&api, "collections/bikes/records?sort=name").await, ["31", "32"]);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_timeline_of_a_contact_tells_talks_changes_tasks_work_of_agents_and_comments() {
    let office = Office::open().await;
    office.model.usually(Turn::text("Done."));
    let ada = office.agent("Ada").await;
    let (mira, api) = (office.hq.owner(), office.hq.api().await);
    let rosa = id(&made(&api, "contacts", json!({ "name": "Rosa" })).await);
    let (page, at) = (format!("{HERE}/contacts/{rosa}"), format!("contacts/{rosa}"));
    for values in [
        json!({ "phone": "040 555 01" }),
        json!({ "phone": "040 555 02", "stage": "Qualified" }),
        json!({ "location": "Hamburg" }),
        json!({ "location": null }),
    ] {
        assert_eq!(patched(&api, &at, values).await.status, 200);
    }
    let fill = json!({ "items": [{ "id": "Rosa", "values": { "email": "rosa@example.com" } }] });
    office.model.push(Turn::call("contact_update", fill));
    let run = office.say(&ada, "Find the address").await;
    office.ended(run).await;
    let nothing = mira.form(&format!("{page}/tasks"), &[("task", " ")]).await;
    assert_eq!(nothing.status, 422, "{}", nothing.text);
    assert!(nothing.text.contains("Enter a title."), "{}", nothing.text);
    let form = [("task", "Call her back"), ("details", "About the hitch"), ("assignee", "")];
    assert_eq!(mira.form(&format!("{page}/tasks"), &form).await.status, 303);
    let talked = [("kind", "call"), ("subject", "The hitch"), ("body", "It broke")];
    assert_eq!(mira.form(&format!("{page}/talks"), &talked).await.status, 303);
    let on = format!("{HERE}/on/contact:{rosa}/comment");
    assert_eq!(mira.form(&on, &[("body", "A good customer"), ("key", "1")]).await.status, 303);

    let shown = mira.get(&page).await;
    let text = shown.text_of("#crm-talks");
    for says in [
        "Today",
        "created this contact",
        "set Phone to 040 555 02",
        "moved it from Lead to Qualified",
        "set Email to rosa@example.com in R-1",
        "Show steps",
        "created MC-1 Call her back",
        "It broke",
        "A good customer",
    ] {
        assert!(text.contains(says), "{says}: {text}");
    }
    // Changes of one person on a day are one line, and reverted ones none.
    assert!(!text.contains("040 555 01") && !text.contains("Hamburg"), "{text}");
    assert_eq!(shown.texts("#crm-tasks .title"), ["Call her back"]);
    assert!(shown.text.contains("hq:task_links"), "a new link is told by itself");
    let task = mira.get(&format!("{HERE}/tasks/MC-1")).await;
    assert!(task.text_of("#task-links").contains("Rosa"), "{}", task.text_of("#task-links"));

    assert_eq!(patched(&api, "tasks/MC-1", json!({ "status": "done" })).await.status, 200);
    for (tell, says, hides) in [
        ("talks", "It broke", "created"),
        ("changes", "Qualified", "It broke"),
        ("tasks", "MC-1 Call her back is done", "Qualified"),
        ("comments", "A good customer", "MC-1"),
    ] {
        let text = mira.get(&format!("{page}?tell={tell}")).await.text_of("#crm-talks ol");
        assert!(text.contains(says) && !text.contains(hides), "{tell}: {text}");
    }
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_timeline_goes_back_step_by_step_without_a_gap() {
    let hq = TestHq::start().await;
    let (mira, api) = (hq.owner(), hq.api().await);
    let rosa = id(&made(&api, "contacts", json!({ "name": "Rosa" })).await);
    for n in 0..101 {
        let at = format!("2099-01-01T{:02}:{:02}:00Z", n / 60, n % 60);
        let talk = json!({ "contact": rosa, "subject": format!("Note {n}"), "occurred_at": at });
        made(&api, "interactions", talk).await;
    }
    let page = format!("{HERE}/contacts/{rosa}");
    let first = mira.get(&page).await;
    assert_eq!(first.texts("#crm-talks h3").len(), 100);
    assert!(!first.text_of("#crm-talks").contains("created this contact"), "that is further back");
    let earlier = first.attrs("#crm-talks > .btn", "href");
    assert_eq!(earlier, [format!("{page}?tell=all&back=2#crm-talks")]);
    let all = mira.get(&format!("{page}?tell=all&back=2")).await;
    assert_eq!(all.texts("#crm-talks h3").len(), 101);
    assert!(all.text_of("#crm-talks").contains("created this contact"));
    assert!(all.attrs("#crm-talks > .btn", "href").is_empty());
    hq.finish().await;
}
