//! Concurrent edits of a form: the second person sees the other's changes, loses no input, and saves again. Also forms
//! submitted after the session's end.

use kernel::Role;
use reqwest::StatusCode;
use serde_json::json;

use support::hq::{OWNER, Person, Reply, TestHq};
use support::work;

const BASE: &str = "/w/marlow-cargo";

/// A form that two people have open: the page that shows it, and the address that it is sent to.
struct Form<'a> {
    hq: &'a TestHq,
    tom: &'a Person,
    shown: &'a str,
    sent: &'a str,
}

fn with<'a>(rev: &'a str, fields: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut all = vec![("rev", rev)];
    all.extend_from_slice(fields);
    all
}

impl Form<'_> {
    fn rev(&self, page: &Reply) -> String {
        page.attr(&format!("form[action=\"{}\"] input[name=rev]", self.sent), "value")
    }

    /// Tom saves his changes while Mira types; returns the response to her save.
    async fn late(&self, theirs: &[(&str, &str)], mine: &[(&str, &str)], what: &str) -> Reply {
        let mira = self.hq.owner();
        let rev = self.rev(&mira.get(self.shown).await);
        let first = self.tom.form(self.sent, &with(&rev, theirs)).await;
        assert_eq!(first.status, StatusCode::SEE_OTHER, "{}", first.text);
        let late = mira.form(self.sent, &with(&rev, mine)).await;
        assert_eq!(late.status, StatusCode::CONFLICT, "{}", late.text);
        let said = late.text_of(&format!("form[action=\"{}\"] .banner p", self.sent));
        assert!(said.starts_with("Tom changed this while you were typing: "), "{said}");
        assert!(said.contains(what), "{said}");
        let changes = mira.get(&late.attr(".banner p a", "href")).await;
        assert_eq!(changes.status, StatusCode::OK, "{}", changes.text);
        assert!(changes.text.contains("Tom"), "{}", changes.text);
        late
    }

    /// Mira saves again.
    async fn again(&self, late: &Reply, mine: &[(&str, &str)]) {
        let rev = self.rev(late);
        let saved = self.hq.owner().form(self.sent, &with(&rev, mine)).await;
        assert_eq!(saved.status, StatusCode::SEE_OTHER, "{}", saved.text);
    }
}

async fn both() -> (TestHq, Person) {
    let hq = TestHq::start().await;
    let tom = hq.another("Tom", Some(Role::Admin)).await;
    (hq, tom)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_who_change_a_stream_at_once_lose_nothing() {
    let (hq, tom) = both().await;
    let mira = hq.owner();
    let new = [("name", "Launch"), ("goal", "Sell 200")];
    let made = mira.form(&format!("{BASE}/streams"), &new).await;
    let page = made.location().expect("its page").to_owned();
    let form = Form { hq: &hq, tom: &tom, shown: &page, sent: &page };
    let theirs = [("name", "Landing"), ("goal", "Sell 200")];
    let mine = [("name", "Big launch"), ("goal", "Sell **300**"), ("target_date", "2026-12-24")];
    let late = form.late(&theirs, &mine, "Name (now “Landing”)").await;
    assert_eq!(late.attr("#f-name", "value"), "Big launch");
    assert_eq!(late.text_of("#f-goal"), "Sell **300**");
    assert_eq!(late.attr("#f-target_date", "value"), "24 Dec 2026");
    assert_eq!(mira.get(&page).await.text_of(".record-title"), "Landing", "Tom's words stay");
    // Validation errors are shown with the revision that she has now.
    let odd = [("name", "Big launch"), ("target_date", "soon")];
    let refused = mira.form(&page, &with(&form.rev(&late), &odd)).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(form.rev(&refused), form.rev(&late));
    form.again(&late, &mine).await;
    assert_eq!(mira.get(&page).await.text_of(".record-title"), "Big launch");

    // The record is archived meanwhile: the typed text is still on the page to be copied.
    let rev = form.rev(&mira.get(&page).await);
    tom.form(&format!("{page}/archive"), &[]).await;
    let late = mira.form(&page, &with(&rev, &[("name", "Small launch")])).await;
    assert_eq!(late.status, StatusCode::CONFLICT, "{}", late.text);
    assert_eq!(late.attr("#f-name", "value"), "Small launch");
    let refused = mira.form(&page, &with(&form.rev(&late), &[("name", "Small launch")])).await;
    assert!(refused.text.contains("is archived; restore it first"), "{}", refused.text);
    assert_eq!(refused.attr("#f-name", "value"), "Small launch");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_who_change_a_label_at_once_lose_nothing() {
    let (hq, tom) = both().await;
    let mira = hq.owner();
    let settings = format!("{BASE}/settings/labels");
    mira.form(&settings, &[("name", "bug"), ("colour", "c6")]).await;
    let shown = mira.get(&settings).await.attr("#all-labels a[href*=\"edit=\"]", "href");
    let id = shown.split(['=', '#']).nth(1).expect("an id");
    let sent = format!("{settings}/{id}");
    let form = Form { hq: &hq, tom: &tom, shown: &shown, sent: &sent };
    let mine = [("name", "fault"), ("description", "What broke")];
    let late = form.late(&[("name", "defect")], &mine, "Name (now “defect”)").await;
    assert_eq!(late.attr("#f-name", "value"), "fault");
    assert_eq!(late.attr("#f-description", "value"), "What broke");
    assert_eq!(mira.get(&settings).await.texts("#all-labels .chip"), ["defect"]);
    form.again(&late, &mine).await;
    assert_eq!(mira.get(&settings).await.texts("#all-labels .chip"), ["fault"]);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_who_change_a_template_at_once_lose_nothing() {
    let (hq, tom) = both().await;
    let mira = hq.owner();
    let new = [("name", "Monthly close"), ("title_1", "Collect receipts")];
    let made = mira.form(&format!("{BASE}/settings/task-templates"), &new).await;
    let page = made.location().expect("its page").to_owned();
    let form = Form { hq: &hq, tom: &tom, shown: &page, sent: &page };
    let theirs = [("name", "Weekly close"), ("title_1", "Collect receipts")];
    let mine = [
        ("name", "Monthly close"),
        ("template_description", "On the first"),
        ("title_1", "Collect all receipts"),
        ("title_2", "Write the report"),
        ("after_2", "1"),
    ];
    let late = form.late(&theirs, &mine, "Name (now “Weekly close”)").await;
    assert_eq!(late.attr("#f-name", "value"), "Monthly close");
    assert_eq!(late.text_of("#f-template_description"), "On the first");
    assert_eq!(late.attr("#f-title_1", "value"), "Collect all receipts");
    assert_eq!(late.attr("#f-title_2", "value"), "Write the report");
    assert_eq!(late.attr("#f-after_2", "value"), "1");
    assert_eq!(mira.get(&page).await.attr("#f-name", "value"), "Weekly close");
    form.again(&late, &mine).await;
    assert_eq!(mira.get(&page).await.attr("#f-title_2", "value"), "Write the report");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_who_change_a_series_at_once_lose_nothing() {
    let (hq, tom) = both().await;
    let (mira, api) = (hq.owner(), hq.api().await);
    let new = [("title", "Write the report"), ("cadence_type", "daily")];
    let made = mira.form(&format!("{BASE}/tasks"), &new).await;
    let page = made.location().expect("its page").to_owned();
    let form = Form { hq: &hq, tom: &tom, shown: &page, sent: &page };
    let theirs = [("title", "Write a report"), ("cadence_type", "daily")];
    let mine =
        [("title", "Write it all"), ("description", "In ink."), ("cadence_type", "weekdays")];
    let late = form.late(&theirs, &mine, "Title (now “Write a report”)").await;
    assert_eq!(late.attr("#f-title", "value"), "Write it all");
    assert_eq!(late.text_of("#f-description"), "In ink.");
    assert_eq!(late.attr("#f-cadence_type option[selected]", "value"), "weekdays");
    assert_eq!(mira.get(&page).await.text_of("h1"), "Write a report");
    form.again(&late, &mine).await;
    assert_eq!(mira.get(&page).await.text_of("h1"), "Write it all");

    // A task created in between is no conflicting change.
    let id = page.rsplit('/').next().expect("an id");
    let path = format!("/api/v1/series/{id}");
    let shown = mira.get(&page).await;
    let tag = api.get(&path).await.header("etag").expect("a tag").to_owned();
    let made = mira.form(&format!("{page}/spawn"), &[]).await;
    assert_eq!(made.status, StatusCode::SEE_OTHER, "{}", made.text);
    assert_ne!(api.get(&path).await.header("etag"), Some(tag.as_str()));
    let bound = api.clone().with("if-match", &tag);
    let renamed = bound.json("PATCH", &path, &json!({ "description": "In pencil." })).await;
    assert_eq!(renamed.status, StatusCode::OK, "{}", renamed.text);
    let stale = bound.json("PATCH", &path, &json!({ "description": "In chalk." })).await;
    assert_eq!(stale.status, StatusCode::PRECONDITION_FAILED, "{}", stale.text);
    let late = mira.form(&page, &with(&form.rev(&shown), &mine)).await;
    assert_eq!(late.status, StatusCode::CONFLICT, "a program has changed it: {}", late.text);
    let rev = form.rev(&mira.get(&page).await);
    mira.form(&format!("{page}/spawn"), &[]).await;
    let saved = mira.form(&page, &with(&rev, &mine)).await;
    assert_eq!(saved.status, StatusCode::SEE_OTHER, "{}", saved.text);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_who_change_a_view_at_once_lose_nothing() {
    let (hq, tom) = both().await;
    let mira = hq.owner();
    let new = [("noun", "tasks"), ("name", "Launch"), ("q", "is:open"), ("shared", "on")];
    let made = mira.form(&format!("{BASE}/views"), &new).await;
    let shown = made.location().expect("the list").to_owned();
    let view = async || mira.get("/api/v1/views").await.json()["items"][0].clone();
    let id = view().await["id"].as_str().expect("an id").to_owned();
    let sent = format!("{BASE}/views/{id}/rename");
    let form = Form { hq: &hq, tom: &tom, shown: &shown, sent: &sent };
    let mine = [("name", "Start")];
    let late = form.late(&[("name", "Landing")], &mine, "Name (now “Landing”)").await;
    assert_eq!(late.attr("#f-name", "value"), "Start");
    assert_eq!(view().await["name"], "Landing");
    let empty = mira.form(&sent, &with(&form.rev(&late), &[("name", " ")])).await;
    assert_eq!(empty.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(empty.text_of("#f-name-says"), "Enter a name.");
    form.again(&late, &mine).await;
    assert_eq!(view().await["name"], "Start");

    let (shown, sent) = (format!("{shown}&sort=title"), format!("{BASE}/views/{id}/save"));
    let form = Form { hq: &hq, tom: &tom, shown: &shown, sent: &sent };
    let mine = [("q", "is:open"), ("sort", "title")];
    let late = form.late(&[("q", "is:closed")], &mine, "Look").await;
    assert_eq!(late.attr("input[name=sort]", "value"), "title");
    assert_eq!(view().await["look"]["q"], "is:closed");
    form.again(&late, &mine).await;
    let look = view().await["look"].clone();
    assert_eq!((&look["q"], &look["sort"]), (&json!("is:open"), &json!("title")));
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_who_change_a_routine_at_once_lose_nothing() {
    let (hq, _model) = work::scene().await;
    let tom = hq.another("Tom", Some(Role::Admin)).await;
    let mira = hq.owner();
    let fields = |name: &'static str, instruction: &'static str| {
        [
            ("name", name),
            ("agent", "ada"),
            ("when", "schedule"),
            ("cadence_type", "weekdays"),
            ("instruction", instruction),
        ]
    };
    let new = fields("Daily look", "Look.");
    let made = mira.form(&format!("{BASE}/routines"), &new).await;
    let page = made.location().expect("its page").to_owned();
    let shown = format!("{page}/edit");
    let form = Form { hq: &hq, tom: &tom, shown: &shown, sent: &page };
    let theirs = fields("Morning look", "Look.");
    let mine = fields("Evening look", "Look twice.");
    let late = form.late(&theirs, &mine, "Name (now “Morning look”)").await;
    assert_eq!(late.attr("#f-name", "value"), "Evening look");
    assert_eq!(late.text_of("#f-instruction"), "Look twice.");
    assert_eq!(mira.get(&page).await.text_of("h1"), "Morning look");
    form.again(&late, &mine).await;
    assert_eq!(mira.get(&page).await.text_of("h1"), "Evening look");
    // The form for a copy of a routine has no revision.
    let id = page.rsplit('/').next().expect("an id");
    let copy = mira.get(&format!("{BASE}/routines/new?copy={id}")).await;
    assert_eq!(copy.attrs("input[name=rev]", "value"), Vec::<String>::new());
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_to_sign_in_first_comes_back_to_the_form() {
    let hq = TestHq::start().await;
    let mira = hq.owner();
    let me = mira.get("/api/v1/me").await.json();
    let account = me["account"]["id"].as_str().expect("an id");
    for (page, form, action) in [
        ("tasks/new", "#new-task", "tasks"),
        ("settings/task-templates/new", "main form.form", "settings/task-templates"),
    ] {
        let (page, action) = (format!("{BASE}/{page}"), format!("{BASE}/{action}"));
        let name = mira.get(&page).await.attr(form, "data-keeps");
        assert!(name.starts_with(&format!("{account}:")), "{name}");
        let stranger = hq.nobody().with("referer", &format!("{}{page}", hq.url()));
        let sent = stranger.form(&action, &[("title", "Oil the chains")]).await;
        let login = sent.location().expect("the way to sign in").to_owned();
        let next = login.strip_prefix("/login?next=").expect(&login).replace("%2F", "/");
        assert_eq!(next, page);
        let asked = hq.nobody().get(&login).await;
        let next = asked.attr("input[name=next]", "value");
        let form = [("email", OWNER.1), ("password", OWNER.2), ("next", next.as_str())];
        let back = hq.nobody().form("/login", &form).await;
        assert_eq!(back.location(), Some(page.as_str()), "{}", back.text);
    }
    let elsewhere = hq.nobody().with("referer", "https://evil.example/w/marlow-cargo/tasks/new");
    let sent = elsewhere.form(&format!("{BASE}/tasks"), &[("title", "Oil the chains")]).await;
    assert_eq!(sent.location(), Some("/login"));
    hq.finish().await;
}
