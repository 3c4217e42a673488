//! Tests of files from HubSpot and old Google Contacts, proposals for unmatched columns, and several phone numbers in
//! one field.

use kernel::Role;
use serde_json::{Value, json};
use support::hq::{Person, TestHq};
use support::work::made;

use crate::{HERE, id, over, patched};

/// Sends a file; returns the path of its import and the guessed mapping.
async fn sent(api: &Person, (of, name): (&str, &str), text: &str) -> (String, Value) {
    let path = format!("/api/v1/imports?of={of}&name={name}");
    let sent = api.bytes("POST", &path, "application/octet-stream", text.as_bytes().to_vec()).await;
    assert_eq!(sent.status, 201, "{}", sent.text);
    (format!("imports/{}", id(&sent.json())), sent.json())
}

/// Starts an import; returns it when it is done.
async fn done(api: &Person, path: &str) -> Value {
    let begun = api.post(&format!("/api/v1/{path}/begin"), &json!({})).await;
    assert_eq!(begun.status, 200, "{}", begun.text);
    over(api, path).await
}

async fn contact(api: &Person, name: &str) -> Value {
    let shown = api.get(&format!("/api/v1/contacts/{name}")).await;
    assert_eq!(shown.status, 200, "{name}: {}", shown.text);
    shown.json()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exports_of_hubspot_come_in_with_stage_companies_and_owners() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    hq.another("Jana", Some(Role::Member)).await;
    made(&api, "organizations", json!({ "name": "Tide; Sons" })).await;
    let file = "Record ID,First Name,Last Name,Email,Lead Status,Lifecycle Stage,Contact owner,Job Title,\
        Associated Company,Associated Company (Primary)\n\
        1,Rosa,Lin,rosa@example.com,Open,Qualified,Mira Lindqvist,Buyer;Head of Tea,Harbour Tea;Pier 9,Pier 9\n\
        2,Otto,Free,otto@example.com,New,Lead,JANA@marlow.example,Clerk,Harbour Tea;Pier 9,\n\
        3,Ida,Ray,ida@example.com,New,Won,Somebody Else,Clerk,Tide; Sons,\n";
    let (path, import) = sent(&api, ("contacts", "hubspot.csv"), file).await;
    assert_eq!(import["columns"][4]["goes"], "new:text", "beside the stage: {import}");
    let now = done(&api, &path).await;
    let counts = (&now["made"], &now["wrong"], &now["cells"]);
    assert_eq!(counts, (&json!(3), &json!(0), &json!(1)), "{now}");
    let problem = &now["problems"][0];
    assert_eq!(
        (&problem["row"], &problem["column"]),
        (&json!(4), &json!("Contact owner")),
        "{now}"
    );
    let says = "No one here is called \"Somebody Else\"; available: mira, jana";
    assert_eq!(problem["says"], says, "{now}");

    let rosa = contact(&api, "rosa@example.com").await;
    for (key, value) in [("stage", "qualified"), ("lead_status", "Open"), ("title", "Buyer")] {
        assert_eq!(rosa[key], value, "{key}: {rosa}");
    }
    assert_eq!(rosa["organization"]["name"], "Pier 9", "the primary one: {rosa}");
    assert_eq!(rosa["owner"], "mira", "{rosa}");
    let notes = rosa["notes"].as_str().unwrap_or_default();
    assert!(notes.contains("Organization: Harbour Tea"), "{rosa}");
    assert!(notes.contains("Role: Head of Tea") && !notes.contains("Pier 9"), "{rosa}");
    let otto = contact(&api, "otto@example.com").await;
    let named = (&otto["organization"]["name"], &otto["owner"]);
    assert_eq!(named, (&json!("Harbour Tea"), &json!("jana")), "{otto}");
    assert_eq!(otto["notes"], "Organization: Pier 9");
    let ida = contact(&api, "ida@example.com").await;
    let named = (&ida["organization"]["name"], &ida["owner"]);
    assert_eq!(named, (&json!("Tide; Sons"), &Value::Null), "{ida}");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_address_books_of_google_have_places_and_web_addresses() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    let file = "Name,Location,E-mail 1 - Value,Address 1 - Formatted,Organization 1 - Title,Website 1 - Value\n\
        Rosa Lin,,rosa@example.com,\"Quay 1, Leith\",Buyer ::: Head of Tea,http\\://rosa.example/a\n";
    let (path, _) = sent(&api, ("contacts", "google.csv"), file).await;
    let now = done(&api, &path).await;
    assert_eq!((&now["made"], &now["cells"]), (&json!(1), &json!(0)), "{now}");
    let rosa = contact(&api, "rosa@example.com").await;
    assert_eq!(rosa["location"], "Quay 1, Leith");
    assert_eq!(rosa["website_url"], "http://rosa.example/a");
    assert_eq!((&rosa["title"], &rosa["notes"]), (&json!("Buyer"), &json!("Role: Head of Tea")));
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn days_and_choices_of_contacts_are_proposed_and_what_is_left_out_is_told() {
    let hq = TestHq::start().await;
    let (owner, api) = (hq.owner(), hq.api().await);
    let mut file = "Name,Tariff,Contract until,Nickname,Empty\n".to_owned();
    for n in 0..40 {
        let tariff = ["Gold", "Silver", "Basic", "Trial"][n % 4];
        file.push_str(&format!("Guest {n},{tariff},31.12.2026,Nick {n},\n"));
    }
    let (path, import) = sent(&api, ("contacts", "guests.csv"), &file).await;
    let goes: Vec<&Value> =
        import["columns"].as_array().expect("columns").iter().map(|one| &one["goes"]).collect();
    assert_eq!(goes, ["field:name", "new:select", "new:date", "", ""], "{import}");
    let at = format!("{HERE}/{path}");
    let page = owner.get(&at).await;
    assert_eq!(page.attr("[name='goes.1'] option[selected]", "value"), "new:select");
    assert_eq!(page.attr("[name='goes.2'] option[selected]", "value"), "new:date");
    let text = "This column is skipped: Nickname.";
    assert!(page.text.contains(text), "{}", page.text);
    let seen = api.post(&format!("/api/v1/{path}/preview"), &json!({})).await.json();
    assert_eq!(seen["notes"], json!([text]), "{seen}");

    // An invalid target is refused; the columns stay unchanged.
    let form = |to| {
        [
            ("goes.0", "field:name"),
            ("goes.1", to),
            ("header_row", "1"),
            ("was_header_row", "1"),
            ("then", "look"),
        ]
    };
    for wrong in ["field:nix", "new:nix", "nix"] {
        let refused = owner.form(&at, &form(wrong)).await;
        assert_eq!(refused.status, 422, "{wrong}: {}", refused.text);
        assert!(refused.text.contains(wrong), "{wrong}: {}", refused.text);
    }
    assert_eq!(api.get(&format!("/api/v1/{path}")).await.json()["columns"], import["columns"]);
    // The column is unmapped on the page.
    assert_eq!(owner.form(&at, &form("")).await.status, 303);
    let now = done(&api, &path).await;
    assert_eq!(now["made"], 40, "{now}");
    let text = "These columns are skipped: Tariff, Nickname, Empty.";
    assert_eq!(now["notes"], json!([text]), "{now}");
    let fields = api.get("/api/v1/fields?of=contacts").await.text;
    assert!(fields.contains("contract_until") && !fields.contains("tariff"), "{fields}");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_field_that_is_gone_is_told_on_the_page_and_refused() {
    let hq = TestHq::start().await;
    let (owner, api) = (hq.owner(), hq.api().await);
    let field =
        made(&api, "fields?of=contacts", json!({ "label": "Tariff", "kind": "text" })).await;
    let (path, import) = sent(&api, ("contacts", "a.csv"), "Name,Tariff\nRosa,Gold\n").await;
    assert_eq!(import["columns"][1]["goes"], "field:tariff", "{import}");
    let key = field["key"].as_str().expect("a key");
    let gone = api.call("DELETE", &format!("/api/v1/fields/{key}?of=contacts")).await;
    assert!(gone.status.is_success(), "{}", gone.text);
    let page = owner.get(&format!("{HERE}/{path}")).await;
    assert_eq!(page.attr("[name='goes.1'] option[selected]", "value"), "field:tariff");
    let refused = api.post(&format!("/api/v1/{path}/begin"), &json!({})).await;
    assert_eq!(refused.status, 422, "{}", refused.text);
    assert!(refused.text.contains("no longer exists"), "{}", refused.text);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_numbers_in_one_field_go_to_two_wherever_they_are_typed() {
    let hq = TestHq::start().await;
    let (owner, api) = (hq.owner(), hq.api().await);
    let two = json!({ "name": "Rosa", "phone": "0774 000 001 / 0774 000 002" });
    let rosa = made(&api, "contacts", two).await;
    let numbers = |one: &Value| (one["phone"].clone(), one["phone_2"].clone());
    let wanted = (json!("0774 000 001"), json!("0774 000 002"));
    assert_eq!(numbers(&rosa), wanted, "{rosa}");
    let path = format!("contacts/{}", id(&rosa));
    let third = json!({ "phone": "0774 000 001; 0774 000 003" });
    let refused = patched(&api, &path, third).await;
    assert_eq!(refused.status, 422, "{}", refused.text);
    let says = "Phone holds one value, and no other field is free for";
    assert!(refused.text.contains(says), "{}", refused.text);
    assert_eq!(numbers(&contact(&api, &id(&rosa)).await), wanted);
    let both =
        json!({ "phone": "0774 000 004, 0774 000 004", "email": "a@x.example; b@x.example" });
    let changed = patched(&api, &path, both).await.json();
    assert_eq!(changed["phone"], "0774 000 004", "one number twice: {changed}");
    assert_eq!(changed["email_2"], "b@x.example", "{changed}");

    let form = [("name", "Otto"), ("phone", "٠٧٧٤٠٠٠٠٠١ / ٠٧٧٤٠٠٠٠٠٢"), ("phone_2", "")];
    let made_there = owner.form(&format!("{HERE}/contacts"), &form).await;
    assert_eq!(made_there.status, 303, "{}", made_there.text);
    let otto = contact(&api, "Otto").await;
    assert_eq!(numbers(&otto), (json!("0774000001"), json!("0774000002")), "{otto}");
    let odd = api.post("/api/v1/contacts", &json!({ "name": "Eva", "phone": "++1 555" })).await;
    assert_eq!(odd.status, 422, "{}", odd.text);

    let organization = json!({ "name": "Pier 9", "phone": "0774 000 001 / 0774 000 002" });
    let refused = api.post("/api/v1/organizations", &organization).await;
    assert_eq!(refused.status, 422, "{}", refused.text);
    assert!(refused.text.contains(says), "{}", refused.text);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_cell_clears_a_field_where_rows_are_met_by_id_alone() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    let rosa = json!({ "name": "Rosa", "email": "rosa@example.com", "phone": "0774 000 001",
        "organization": "Pier 9", "tags": ["vip"], "stage": "won" });
    let rosa = made(&api, "contacts", rosa).await;
    let come = async |file: &str, clash: &str| {
        let (path, _) = sent(&api, ("contacts", "back.csv"), file).await;
        let changed = patched(&api, &path, json!({ "clash": clash })).await;
        assert_eq!(changed.status, 200, "{}", changed.text);
        (path.clone(), done(&api, &path).await)
    };
    let now = async || contact(&api, &id(&rosa)).await;
    let file = format!(
        "id,Name,Email,Phone,Organization,Tags,Stage\n{},,rosa@example.com,,,,\n",
        id(&rosa)
    );
    for (file, clash) in [
        (file.as_str(), "fill"),
        (file.as_str(), "skip"),
        ("Name,Email,Phone,Organization\nRosa,rosa@example.com,,\n", "overwrite"),
    ] {
        let (_, done) = come(file, clash).await;
        assert_eq!(done["changed"], 0, "{clash}: {done}");
    }
    assert_eq!(now().await["phone"], "0774 000 001");
    let (path, done) = come(&file, "overwrite").await;
    assert_eq!((&done["changed"], &done["problems"]), (&json!(1), &json!([])), "{done}");
    let cleared = now().await;
    for key in ["phone", "organization"] {
        assert_eq!(cleared[key], Value::Null, "{key}: {cleared}");
    }
    assert_eq!((&cleared["name"], &cleared["email"]), (&json!("Rosa"), &json!("rosa@example.com")));
    let undone = api.post(&format!("/api/v1/{path}/undo"), &json!({})).await;
    assert_eq!(undone.status, 200, "{}", undone.text);
    over(&api, &path).await;
    assert_eq!(now().await["phone"], "0774 000 001");
    hq.finish().await;
}
