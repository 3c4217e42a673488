//! Tests of lists of contacts, organizations and records: views, groups, figures, filters, bulk changes, files.

use std::time::Duration;

use crm::model::RowKind;
use crm::rules::{self, Sent};
use serde_json::{Value, json};
use support::hq::{Person, TestHq};
use support::work::{self, made};

use crate::{HERE, id};

/// The names that a list of contacts finds, in order.
async fn names(api: &Person, q: &str) -> Vec<String> {
    let found = api.get(&format!("/api/v1/contacts?sort=name&q={q}")).await;
    assert_eq!(found.status, 200, "{}", found.text);
    let items = found.json()["items"].as_array().expect("items").clone();
    items.iter().map(|one| one["name"].as_str().expect("a name").to_owned()).collect()
}

/// Three contacts with a number, a tag and an organization.
async fn bakers(api: &Person) -> Vec<String> {
    made(api, "fields?of=contacts", json!({ "label": "Bikes", "kind": "number" })).await;
    let mut ids = Vec::new();
    for (name, stage, bikes, owner) in [
        ("Rosa", "lead", json!(2), "me"),
        ("Jana", "qualified", json!("4.5"), "none"),
        ("Piet", "lead", json!(12), "me"),
    ] {
        let body = json!({
            "name": name, "stage": stage, "bikes": bikes, "owner": owner, "organization": "Harbour",
            "tags": if name == "Jana" { "" } else { "north, vip" },
        });
        ids.push(id(&made(api, "contacts", body).await));
    }
    ids
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_of_customers_is_kept_as_a_view_and_an_undo_brings_a_deleted_one_back() {
    let hq = TestHq::start().await;
    let (mira, api) = (hq.owner(), hq.api().await);
    bakers(&api).await;
    let form = [
        ("noun", "contacts"),
        ("name", "Big ones"),
        ("q", "bikes:>3"),
        ("sort", "-bikes"),
        ("group", "stage"),
        ("columns", "bikes,stage"),
        ("foot", "bikes:average,stage:filled"),
        ("shared", "on"),
    ];
    let saved = mira.form(&format!("{HERE}/views"), &form).await;
    assert_eq!(saved.location(), Some("/w/marlow-cargo/contacts?view=big-ones"), "{}", saved.text);
    let page = mira.get(&format!("{HERE}/contacts?view=big-ones")).await;
    assert_eq!(page.texts("tbody .row .title"), ["Piet", "Jana"]);
    assert_eq!(page.texts(".crm-group th > span:not(.dot):not(.count)"), ["Lead", "Qualified"]);
    assert!(page.text_of("tfoot").contains("average 8.25"), "{}", page.text_of("tfoot"));
    assert!(page.text_of("tfoot").contains("filled 2"), "{}", page.text_of("tfoot"));
    assert_eq!(page.texts("thead th a"), ["Name", "Bikes", "Stage"]);
    assert_eq!(page.texts(".filter b"), [">3"]);
    assert!(!page.text.contains("data-dirty"), "nothing is changed");
    let changed = mira.get(&format!("{HERE}/contacts?view=big-ones&sort=name")).await;
    assert!(changed.text.contains("data-dirty"), "a dot marks what is not saved");

    // Others see the shared view, also by the API; it is no view of tasks.
    let all = api.get("/api/v1/views?noun=contacts").await.json();
    assert_eq!(
        (&all["items"][0]["slug"], &all["items"][0]["shared"]),
        (&json!("big-ones"), &json!(true))
    );
    assert_eq!(all["items"][0]["look"]["foot"], "bikes:average,stage:filled");
    assert_eq!(api.get("/api/v1/views").await.json()["items"], json!([]));
    let view = id(&all["items"][0]);
    let verb = |verb: &str| format!("{HERE}/views/{view}/{verb}");
    mira.form(&verb("rename"), &[("name", "Large")]).await;
    let gone = mira.form(&verb("delete"), &[]).await;
    assert_eq!(gone.location(), Some("/w/marlow-cargo/contacts"));
    let history = api.get(&format!("/api/v1/history/views/{view}")).await.json();
    let undo =
        json!({ "change": { "seq": history["items"][0]["seq"], "table": "views", "id": view } });
    assert_eq!(api.post("/api/v1/undo", &undo).await.status, 200);
    let back = mira.get(&format!("{HERE}/contacts?view=big-ones")).await;
    assert!(
        back.texts(".views a").iter().any(|tab| tab.starts_with("Large")),
        "{:?}",
        back.texts(".views a")
    );

    for (look, says) in [
        (json!({ "q": "bikse:>3" }), "did you mean bikes"),
        (json!({ "group": "name" }), "is different in every row"),
        (json!({ "group": "stgae" }), "There's no field"),
        (json!({ "columns": "bikes,colour" }), "There's no field"),
        (json!({ "foot": "stage:sum" }), "Stage isn't a number"),
        (json!({ "layout": "calendar" }), "Choose table (list), board or cards"),
        (json!({ "lanes": "owner" }), "Only task boards"),
    ] {
        let wrong = api
            .post("/api/v1/views", &json!({ "noun": "contacts", "name": "x", "look": look }))
            .await;
        assert_eq!(wrong.status, 422, "{look}: {}", wrong.text);
        assert!(wrong.text.contains(says), "{look}: {}", wrong.text);
    }
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn views_of_a_collection_go_and_come_back_with_it() {
    let hq = TestHq::start().await;
    let (mira, api) = (hq.owner(), hq.api().await);
    let bikes = id(&made(&api, "collections", json!({ "name": "Bikes" })).await);
    let hub = json!({ "label": "Hub", "kind": "select", "choices": [{ "label": "Altona" }, { "label": "Harbour" }] });
    made(&api, &format!("fields?of={bikes}"), hub).await;
    made(&api, &format!("fields?of={bikes}"), json!({ "label": "Kilometres", "kind": "number" }))
        .await;
    for (name, hub, far) in
        [("B1", "Harbour", 100), ("B2", "Altona", 40), ("B3", "Harbour", 20), ("B4", "", 7)]
    {
        let body = json!({ "name": name, "hub": hub, "kilometres": far });
        made(&api, &format!("collections/{bikes}/records"), body).await;
    }
    let at = format!("{HERE}/collections/{bikes}");
    let page = mira.get(&format!("{at}?group=hub&sort=name")).await;
    assert_eq!(
        page.texts(".crm-group th > span:not(.dot):not(.count)"),
        ["Altona", "Harbour", "No hub"]
    );
    assert_eq!(page.texts(".crm-group .count"), ["1", "2", "1"]);
    assert!(
        page.texts(".crm-group td").contains(&"sum 120".to_owned()),
        "{:?}",
        page.texts(".crm-group td")
    );
    let board = mira.get(&format!("{at}?layout=board")).await;
    assert_eq!(board.texts(".board h2"), ["Altona", "Harbour", "No hub"]);
    assert_eq!(board.texts(".wip"), ["1 · 40", "2 · 120", "1 · 7"]);
    // A card that is moved to another column gets its value, or none.
    let four = api.get(&format!("/api/v1/collections/{bikes}/records?q=B4")).await.json();
    let four = id(&four["items"][0]);
    let moved = mira
        .clone()
        .htmx("crm-list")
        .form(&format!("{HERE}/records/{four}/move"), &[("hub", "altona")])
        .await;
    assert_eq!(moved.status, 200, "{}", moved.text);
    assert_eq!(mira.get(&format!("{at}?q=hub:altona")).await.texts("tbody .title").len(), 2);

    let look = json!({ "group": "hub", "layout": "board" });
    let view = json!({ "noun": "Bikes", "name": "By hub", "look": look, "shared": true });
    let view = made(&api, "views", view).await;
    assert_eq!(view["noun"], format!("collections/{bikes}"));
    let shown = mira.get(&format!("{at}?view=by-hub")).await;
    assert_eq!(shown.texts(".board h2"), ["Altona", "Harbour", "No hub"], "all places for cards");

    assert_eq!(api.call("DELETE", &format!("/api/v1/collections/{bikes}")).await.status, 204);
    assert_eq!(api.get(&format!("/api/v1/views/{}", id(&view))).await.status, 404);
    let history = api.get(&format!("/api/v1/history/collections/{bikes}")).await.json();
    let undo = json!({ "entry": history["items"][0]["seq"] });
    let back = api.post("/api/v1/undo", &undo).await;
    assert_eq!(back.status, 200, "{}", back.text);
    let second = api.get(&format!("/api/v1/views/{}", id(&view))).await;
    assert_eq!(second.status, 200, "{}", back.text);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conditions_ask_for_tags_organizations_writers_and_quiet_days() {
    let hq = TestHq::start().await;
    let (mira, api) = (hq.owner(), hq.api().await);
    bakers(&api).await;
    let talk = |who: &str, on: &str, kind: &str| json!({ "contact": who, "kind": kind, "body": "Hello", "occurred_at": on });
    made(&api, "interactions", talk("Rosa", "2020-01-01T12:00:00Z", "call")).await;
    made(&api, "interactions", talk("Jana", "2020-01-01T12:00:00Z", "note")).await;
    assert_eq!(names(&api, "tag:north").await, ["Piet", "Rosa"]);
    assert_eq!(names(&api, "org:Harbour%20-stage:lead").await, ["Jana"]);
    assert_eq!(names(&api, "by:me").await.len(), 3);
    assert_eq!(names(&api, "-by:me").await.len(), 0);
    assert_eq!(names(&api, "quiet:%3E10d").await, ["Rosa"], "a note alone is no touch");
    assert_eq!(names(&api, "quiet:never").await, ["Jana", "Piet"]);
    assert_eq!(names(&api, "owner:none").await, ["Jana"]);
    let wrong = api.get("/api/v1/contacts?q=quiet:long").await;
    assert!(wrong.status == 422 && wrong.text.contains(">10d"), "{}", wrong.text);

    let offers = |q: &str| format!("{HERE}/contacts/complete?q={q}&at={}", q.len());
    let words = async |q: &str| {
        let found = mira.get(&offers(q)).await.json();
        let all = found.as_array().expect("offers").clone();
        all.iter().map(|one| one["q"].as_str().expect("a text").to_owned()).collect::<Vec<_>>()
    };
    assert!(words("bik").await.contains(&"bikes:".to_owned()));
    assert!(words("org:har").await.contains(&"org:Harbour".to_owned()));
    assert!(words("tag:vi").await.contains(&"tag:vip".to_owned()));
    assert!(words("is:arch").await.contains(&"is:archived".to_owned()));
    let page = mira.get(&format!("{HERE}/contacts?q=owner:me+-tag:north+bikse:1")).await;
    assert_eq!(page.texts(".filter > span:first-child"), ["Owner", "Tags", "Bikse"]);
    assert_eq!(page.texts(".filter[data-tone] b"), ["1"]);
    let menu = mira.get(&format!("{HERE}/contacts?menu=1&q=rosa&f.stage=lead&f.owner=")).await;
    assert_eq!(menu.attr("input[name=q]", "value"), "rosa stage:lead");

    hq.advance(Duration::from_secs(20 * 86_400)).await;
    assert_eq!(
        names(&api, "quiet:%3E10d").await,
        ["Rosa"],
        "days since a talk, not since it was made"
    );
    assert_eq!(names(&api, "quiet:never,%3E10d").await, ["Jana", "Piet", "Rosa"]);
    let before = json!({ "last_contact_date": "2020-03-01" });
    assert_eq!(crate::patched(&api, "contacts/Piet", before).await.status, 200);
    assert_eq!(names(&api, "quiet:%3E10d").await, ["Piet", "Rosa"], "a talk before HQ");
    assert_eq!(names(&api, "quiet:never").await, ["Jana"]);
    assert_eq!(names(&api, "quiet:any").await, ["Piet", "Rosa"]);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_board_of_stages_tells_their_shares_takes_new_cards_and_closes_deals() {
    let hq = TestHq::start().await;
    let (mira, api) = (hq.owner(), hq.api().await);
    let ids = bakers(&api).await;
    let at = format!("{HERE}/contacts?layout=board");
    let board = mira.get(&at).await;
    let open = ["Lead", "Qualified", "Proposal", "Negotiation"];
    assert_eq!(board.texts(".board > section h2"), open);
    assert_eq!(board.texts(".crm-closed h2"), ["Won", "Lost"], "fields without cards");
    let closed = board.attrs(".crm-closed [data-drop][data-field=stage]", "data-value");
    assert_eq!(closed, ["won", "lost"]);
    // Bikes: 14 of the leads, 4.5 of the qualified one.
    assert_eq!(board.attrs(".crm-shares rect", "width"), ["756", "244"]);
    assert_eq!(board.attr(".crm-shares", "aria-label"), "Lead: 14, Qualified: 4.50");

    let adds = board.attrs(".board > section header a", "href");
    assert_eq!(adds.len(), open.len(), "{adds:?}");
    assert!(adds[1].ends_with("/contacts/new?stage=qualified"), "{adds:?}");
    let form = mira.get(&adds[1]).await;
    assert_eq!(form.attr("select[name=stage] option[selected]", "value"), "qualified");

    let won = json!({ "stage": "won" });
    let done = api.json("PATCH", &format!("/api/v1/contacts/{}", ids[2]), &won).await;
    assert_eq!(done.status, 200, "{}", done.text);
    let board = mira.get(&at).await;
    assert_eq!(board.texts(".crm-card .title a"), ["Rosa", "Jana"]);
    assert!(board.text_of(".crm-closed").contains("1 · 12"), "{}", board.text_of(".crm-closed"));
    let list = mira.get(&board.attr(".crm-closed h2 a", "href")).await;
    assert_eq!(list.texts("tbody th .title"), ["Piet"], "their list is a press away");
    let alone = mira.get(&format!("{at}&q=stage:won")).await;
    assert_eq!(alone.texts(".crm-card .title a"), ["Piet"], "where nothing is open they are cards");

    let viewer = hq.another("Vera", Some(kernel::Role::Viewer)).await;
    let board = viewer.get(&at).await;
    assert!(board.attrs(".board > section header a", "href").is_empty(), "{}", board.text);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_board_says_how_long_it_takes_to_win() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    let board = async || {
        let page = hq.owner().get(&format!("{HERE}/contacts?layout=board")).await;
        page.text_of(".crm-figures")
    };
    let rosa = made(&api, "contacts", json!({ "name": "Rosa" })).await;
    made(&api, "contacts", json!({ "name": "Jana", "stage": "won" })).await;
    assert!(!board().await.contains("Days to win"), "who began as won says nothing");
    for _ in 0..4 {
        // An owner's session expires after a day without use.
        hq.advance(Duration::from_secs(18 * 3_600)).await;
        board().await;
    }
    let at = format!("/api/v1/contacts/{}", id(&rosa));
    let won = api.json("PATCH", &at, &json!({ "stage": "won" })).await;
    assert_eq!(won.status, 200, "{}", won.text);
    let text = board().await;
    assert!(text.contains("Days to win3"), "{text}");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_are_changed_by_what_a_list_asks_and_taken_out_as_files() {
    let hq = TestHq::start().await;
    let (mira, api) = (hq.owner(), hq.api().await);
    let ids = bakers(&api).await;
    let bulk = format!("{HERE}/contacts/bulk");
    let by_query = [("tasks", ids[1].as_str()), ("q", "stage:lead"), ("owner", "none")];
    let changed = mira.form(&bulk, &by_query).await;
    assert_eq!(changed.location(), Some("/w/marlow-cargo/contacts"), "{}", changed.text);
    assert_eq!(names(&api, "owner:none").await, ["Jana", "Piet", "Rosa"]);
    let chosen = ids.join(",");
    let due = async |day: &str| {
        let form = [("tasks", chosen.as_str()), ("follow_up", day)];
        mira.form(&bulk, &form).await.status
    };
    assert_eq!(due("2030-05-01").await, 303);
    assert_eq!(names(&api, "due:2030-05-01").await.len(), 3);
    assert_eq!(due("2030-06-01").await, 303);
    assert_eq!(names(&api, "due:2030-05-01").await.len(), 0, "the same follow-up is put off");
    assert_eq!(names(&api, "due:2030-06-01").await.len(), 3);
    assert_eq!(due("none").await, 303);
    assert_eq!(names(&api, "due:any").await.len(), 0);
    assert_eq!(
        mira.form(&bulk, &[("tasks", ids[0].as_str())]).await.status,
        409,
        "nothing is to change"
    );

    made(&api, "contacts", json!({ "name": "=2+3", "stage": "won" })).await;
    let file = mira.get(&format!("{HERE}/contacts/export.csv?q=stage:won")).await;
    assert!(file.text.contains("'=2+3"), "{}", file.text);
    let file = mira.get(&format!("{HERE}/contacts/export.json?q=stage:lead&sort=name")).await;
    let all = file.json();
    assert_eq!(
        (&all[0]["name"], &all[1]["name"], &all[2]),
        (&json!("Piet"), &json!("Rosa"), &json!(null))
    );
    assert_eq!(all[0]["bikes"], 12);
    let none = mira.get(&format!("{HERE}/contacts/export.json?q=nobody-is-called-so")).await;
    assert_eq!(none.json(), json!([]));
    // More rows than one piece of the export.
    let (ws, who) = (hq.ws(), work::owner(&hq));
    let made = ws.write(&who, |tx| {
        (0..1_100).try_for_each(|n| {
            let sent = Sent::one("name", format!("Person {n}"));
            rules::create(RowKind::CONTACTS, tx, None, &sent).map(drop)
        })
    });
    made.await.expect("contacts");
    assert_eq!(api.get("/api/v1/contacts?q=person").await.json()["total"], 1_100);
    let file = mira.get(&format!("{HERE}/contacts/export.csv?q=person")).await;
    assert_eq!(file.text.lines().count(), 1_101);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn days_in_fields_are_typed_as_people_write_them_and_kept_as_programs_do() {
    let hq = TestHq::start().await;
    let (owner, api) = (hq.owner(), hq.api().await);
    for (label, kind) in [("Renewal", "date"), ("Call at", "datetime")] {
        made(&api, "fields?of=contacts", json!({ "label": label, "kind": kind })).await;
    }
    let refused = [("name", "Rosa"), ("renewal", "someday")];
    let refused = owner.form(&format!("{HERE}/contacts"), &refused).await;
    assert_eq!(refused.status, 422);
    assert!(refused.text.contains("Renewal: Write the day as"), "{}", refused.text);
    assert_eq!(refused.attr("#f-renewal", "value"), "someday", "what was typed stays");
    let sent = [
        ("name", "Rosa"),
        ("renewal", "24 Dec"),
        ("call_at", "tomorrow 9.30 pm"),
        ("last_contact_date", "24 Dec"),
    ];
    let done = owner.form(&format!("{HERE}/contacts"), &sent).await;
    assert_eq!(done.status, 303, "{}", done.text);
    let at = done.location().expect("its page").to_owned();
    let kept = format!("/api/v1/contacts/{}", at.rsplit('/').next().expect("an id"));
    let kept = api.get(&kept).await.json();
    assert_eq!(kept["renewal"], "2026-12-24");
    assert_eq!(kept["call_at"], "2026-11-21T20:30:00Z", "by the clock in Berlin");
    assert_eq!(kept["last_contact_date"], "2025-12-24", "that day is past");
    let page = owner.get(&at).await;
    assert_eq!(page.attr("#i-renewal", "value"), "24 Dec 2026");
    assert_eq!(page.attr("#i-call_at", "value"), "21 Nov 2026, 21:30");
    let moved = owner.form(&at, &[("was:renewal", "2026-12-24"), ("renewal", "fri")]).await;
    assert_eq!(moved.status, 303, "{}", moved.text);
    assert_eq!(owner.get(&at).await.attr("#i-renewal", "value"), "27 Nov 2026");
    let unclear = owner.form(&at, &[("renewal", "someday")]).await;
    assert_eq!(unclear.status, 422);
    assert!(unclear.text.contains("Renewal: Write the day as"), "{}", unclear.text);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_block_of_cells_is_pasted_as_one_change_and_what_is_refused_is_named() {
    let hq = TestHq::start().await;
    let (mira, api) = (hq.owner(), hq.api().await);
    let mut ids = Vec::new();
    for name in ["Rosa", "Jana", "Piet"] {
        let one = made(&api, "contacts", json!({ "name": name, "phone": "040 1" })).await;
        ids.push(one["id"].as_str().expect("an id").to_owned());
    }
    let phones = async || {
        let all = api.get("/api/v1/contacts?sort=name").await.json();
        let items = all["items"].as_array().expect("items").clone();
        items.iter().map(|one| one["phone"].as_str().unwrap_or("").to_owned()).collect::<Vec<_>>()
    };
    let (at, rows) = (format!("{HERE}/contacts/paste"), ids.join(","));
    let text = "040 11\trosa@example.com\tVIP\r\n040 12\tnobody\t\r\n\tpiet@example.com\t\"VIP, new\"\r\nmore\t\t\r\n";
    let block = [("rows", rows.as_str()), ("fields", "phone,email,tags"), ("text", text)];
    let shown = mira.form(&at, &block).await;
    assert_eq!(shown.status, 200, "{}", shown.text);
    let results = shown.text_of("dialog");
    for says in ["7 cells in 3 rows will change", "1 row", "Jana", "Email", "an email address"] {
        assert!(results.contains(says), "{says}: {results}");
    }
    assert_eq!(phones().await, ["040 1", "040 1", "040 1"], "nothing is done before the yes");

    let sure = [&block[..], &[("sure", "yes")]].concat();
    assert_eq!(mira.form(&at, &sure).await.status, 303);
    assert_eq!(phones().await, ["040 12", "", "040 11"]);
    assert_eq!(names(&api, "tag:new").await, ["Piet"]);
    let entry = hq.ws().store.head().seq;
    let undone = mira.form(&format!("{HERE}/undo/entry/{entry}"), &[]).await;
    assert!(undone.status.is_redirection(), "{}", undone.text);
    assert_eq!(phones().await, ["040 1", "040 1", "040 1"], "one undo takes all of it back");

    let fields = vec!["phone"; 700].join(",");
    let line = vec!["2"; 700].join("\t");
    let large = format!("{line}\n{line}\n{line}");
    let refused = mira.form(&at, &[("rows", &rows), ("fields", &fields), ("text", &large)]).await;
    assert_eq!(refused.status, 422, "{}", refused.text);
    assert!(refused.text.contains("Paste at most 2,000 cells"), "{}", refused.text);

    let cells = json!([["040 21", "rosa@example.com"], ["040 22", "nobody"]]);
    let body = |more: Value| {
        let mut body =
            json!({ "rows": ["Rosa", ids[1]], "fields": ["phone", "email"], "cells": cells });
        body.as_object_mut().expect("an object").extend(more.as_object().expect("one").clone());
        body
    };
    let path = "/api/v1/contacts/cells";
    let refused = api.json("PATCH", path, &body(json!({}))).await;
    assert_eq!(refused.status, 422, "{}", refused.text);
    assert!(refused.text.contains("cells[1][1]") && refused.text.contains("Jana, Email"));
    let dry = api.json("PATCH", path, &body(json!({ "dry_run": true }))).await.json();
    assert_eq!((&dry["cells"], &dry["refused"][0]["row"]), (&json!(3), &json!("Jana")), "{dry}");
    assert_eq!(phones().await, ["040 1", "040 1", "040 1"]);
    let done = api.json("PATCH", path, &body(json!({ "partly": true }))).await;
    assert_eq!(done.status, 200, "{}", done.text);
    assert_eq!(phones().await, ["040 22", "040 1", "040 21"]);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_is_looked_at_as_cards_also_by_groups_and_kept_so() {
    let hq = TestHq::start().await;
    let (mira, api) = (hq.owner(), hq.api().await);
    bakers(&api).await;
    let list = format!("{HERE}/contacts?layout=cards&sort=name&columns=bikes,email");
    let shown = mira.get(&list).await;
    assert_eq!(shown.texts(".crm-cards .title a"), ["Jana", "Piet", "Rosa"]);
    let first = |part: &str| shown.texts(&format!(".crm-cards li:first-child {part}"));
    assert_eq!((first("dt"), first("dd")), (vec!["Bikes".to_owned()], vec!["4.50".to_owned()]));
    assert_eq!(shown.attrs("nav[aria-label=Layout] a", "title"), ["Table", "Board", "Cards"]);
    assert_eq!(shown.attrs(".crm-cards .tick", "type").len(), 3, "several are chosen at once");
    let groups = mira.get(&format!("{list}&group=stage")).await;
    assert_eq!(groups.texts(".crm-heap span[dir]"), ["Lead", "Qualified"]);
    assert_eq!(groups.texts(".crm-cards:nth-of-type(2) .title a"), ["Jana"]);

    let look = json!({ "layout": "cards", "sort": "name" });
    made(&api, "views", json!({ "noun": "contacts", "name": "As cards", "look": look })).await;
    let kept = mira.get(&format!("{HERE}/contacts?view=as-cards")).await;
    assert_eq!(kept.texts(".crm-cards .title a").len(), 3);
    // A collection without a select field has no board.
    let bikes = id(&made(&api, "collections", json!({ "name": "Bikes" })).await);
    made(&api, "collections/Bikes/records", json!({ "name": "31" })).await;
    let records = mira.get(&format!("{HERE}/collections/{bikes}?layout=cards")).await;
    assert_eq!(records.texts(".crm-cards .title a"), ["31"]);
    assert_eq!(records.attrs("nav[aria-label=Layout] a", "title"), ["Table", "Cards"]);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_of_several_rows_offers_its_undo() {
    let hq = TestHq::start().await;
    let (mira, api) = (hq.owner(), hq.api().await);
    let rows = bakers(&api).await.join(",");
    let form = [("tasks", rows.as_str()), ("archived", "yes")];
    let done = hq.owner().htmx("rows").form(&format!("{HERE}/contacts/bulk"), &form).await;
    let text = done.header("hx-trigger").unwrap_or_default();
    assert!(names(&api, "").await.is_empty(), "{text}");
    let undo = text.split('"').find(|word| word.contains("/undo/entry/")).expect("a way back");
    mira.form(undo, &[]).await;
    assert_eq!(names(&api, "").await, ["Jana", "Piet", "Rosa"]);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_come_and_go_between_two_pages_neither_repeat_nor_hide_others() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    made(&api, "fields?of=contacts", json!({ "label": "Bikes", "kind": "number" })).await;
    let mut ids = Vec::new();
    for n in 0..12 {
        // Two rows share each name and each number; some have none.
        let bikes = if n < 8 { json!(n / 2) } else { Value::Null };
        let body = json!({ "name": format!("Person {}", n / 2), "bikes": bikes, "owner": "me" });
        ids.push(id(&made(&api, "contacts", body).await));
    }
    for sort in
        ["", "created", "updated", "-updated", "name", "-name", "bikes", "-bikes", "stage", "owner"]
    {
        let list = async |cursor: &str| {
            let path = format!("/api/v1/contacts?sort={sort}&limit=4&cursor={cursor}");
            let page = api.get(&path).await;
            assert_eq!(page.status, 200, "{sort}: {}", page.text);
            let page = page.json();
            let items = page["items"].as_array().expect("items").iter().map(id).collect::<Vec<_>>();
            (items, page["next"].as_str().unwrap_or_default().to_owned())
        };
        let (first, next) = list("").await;
        // The last row of the page is deleted, and a new one sorts before or after it.
        let gone = first.last().expect("a row");
        let row = api.get(&format!("/api/v1/contacts/{gone}")).await.json();
        assert_eq!(api.call("DELETE", &format!("/api/v1/contacts/{gone}")).await.status, 204);
        let (mut seen, mut next) = (first.clone(), next);
        let early = id(&made(&api, "contacts", json!({ "name": "Aaa", "bikes": -1 })).await);
        while !next.is_empty() {
            let (more, behind) = list(&next).await;
            seen.extend(more);
            next = behind;
        }
        seen.retain(|one| *one != early);
        let mut each = seen.clone();
        each.sort();
        each.dedup();
        assert_eq!(each.len(), seen.len(), "{sort}: a row repeats");
        assert_eq!(each.len(), 12, "{sort}: a row is hidden");
        // Restore the previous state.
        assert_eq!(api.call("DELETE", &format!("/api/v1/contacts/{early}")).await.status, 204);
        let body = json!({ "name": row["name"], "bikes": row["bikes"], "owner": "me" });
        made(&api, "contacts", body).await;
    }
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn words_are_found_without_their_accents_and_with_them() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    for body in [
        json!({ "name": "René Núñez", "organization": "Bäckerei Weiß", "location": "Straße 7" }),
        json!({ "name": "Rene Nunez", "organization": "Backerei Weiss", "location": "Strasse 8" }),
    ] {
        made(&api, "contacts", body).await;
    }
    for q in ["nunez", "NÚÑEZ", "strasse", "straße", "weiss", "location:strasse", "name:rené"] {
        assert_eq!(names(&api, q).await, ["Rene Nunez", "René Núñez"], "{q}");
    }
    assert_eq!(
        names(&api, "org:%22Bäckerei%20Weiß%22").await,
        ["René Núñez"],
        "a name that is written so"
    );
    hq.finish().await;
}
