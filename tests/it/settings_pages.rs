//! The settings: menu, search, and forms whose fields are saved at once.

use support::hq::{Reply, TestHq};

const SETTINGS: &str = "/w/marlow-cargo/settings";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_settings_are_listed_in_groups_and_found_by_keyword() {
    let hq = TestHq::start().await;
    let owner = hq.owner();
    let all = owner.get(SETTINGS).await;
    assert_eq!(all.texts(".set-nav h2"), ["You", "Workspace", "Agents", "Data", "System"]);
    let links = all.attrs(".set-nav li a", "href");
    assert_eq!(all.attrs(".set-nav li a > svg", "class").len(), links.len(), "each has an icon");
    for (query, first) in [("password", "profile"), ("Theme", "appearance"), ("smtp", "mail")] {
        let found = owner.get(&format!("{SETTINGS}?q={query}")).await;
        let links = found.attrs(".set-nav li a", "href");
        assert_eq!(links.first(), Some(&format!("{SETTINGS}/{first}")), "{query}");
        assert_eq!(found.attr(".set-nav input", "value"), query);
    }
    let none = owner.get(&format!("{SETTINGS}?q=zeppelin")).await;
    assert!(none.attrs(".set-nav li a", "href").is_empty());
    assert_eq!(none.text_of(".set-nav [role=status]"), "No page matches “zeppelin”");
    // Every page of the menu exists and is marked in it.
    for link in links {
        let page = owner.get(&link).await;
        assert_eq!(page.status, 200, "{link}");
        assert_eq!(page.attrs(".set-nav a[aria-current]", "href"), [&*link]);
    }
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forms_without_a_save_button_say_which_field_is_wrong() {
    let hq = TestHq::start().await;
    let owner = hq.owner();
    for (page, form) in
        [("notifications", "#choices"), ("audit", "#retention"), ("usage", "#workspace-limits")]
    {
        let shown = owner.get(&format!("{SETTINGS}/{page}")).await;
        assert_eq!(shown.attrs(form, "data-saves").len(), 1, "{page}: {}", shown.text);
    }
    let invalid = "form[data-saves] [aria-invalid=true]";
    let limits = [("month", "40"), ("run", "much")];
    let refused = owner.form(&format!("{SETTINGS}/usage"), &limits).await;
    assert_eq!(refused.status, 422, "{}", refused.text);
    assert_eq!(refused.attrs(invalid, "name"), ["run"]);
    let retention = [("days", "0"), ("megabytes", "")];
    let refused = owner.form(&format!("{SETTINGS}/audit/retention"), &retention).await;
    assert_eq!(refused.status, 422, "{}", refused.text);
    assert_eq!(refused.attrs(invalid, "name"), ["days"]);
    let saved = owner.form(&format!("{SETTINGS}/usage"), &[("month", "40"), ("run", "2")]).await;
    assert_eq!(saved.status, 303, "{}", saved.text);
    let page = owner.get(&format!("{SETTINGS}/usage")).await;
    assert_eq!(page.attr("#workspace-limits [name=month]", "value"), "40");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_label_gets_its_colour_from_swatches() {
    let hq = TestHq::start().await;
    let owner = hq.owner();
    let labels = format!("{SETTINGS}/labels");
    let page = owner.get(&labels).await;
    let swatches = page.attrs(".swatches input[type=radio]", "aria-label");
    assert_eq!(swatches.len(), 14, "automatic, twelve colours, custom: {swatches:?}");
    assert_eq!(page.attr(".swatches [checked]", "aria-label"), "Automatic");
    let value = page.attr(".swatches [data-c=green]", "value");
    let made = owner.form(&labels, &[("name", "Moss"), ("colour", &value)]).await;
    assert_eq!(made.status, 303, "{}", made.text);
    let page = owner.get(&labels).await;
    assert_eq!(page.attrs("#all-labels .chip", "data-c"), ["green"]);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stage_gets_its_colour_from_swatches() {
    let hq = TestHq::start().await;
    let owner = hq.owner();
    let fields = format!("{SETTINGS}/fields");
    let page = owner.get(&fields).await;
    assert!(page.attrs(".crm-stages select[name^='colour']", "name").is_empty());
    let swatches = page.attrs(".crm-stages [name='colour.0']", "aria-label");
    assert_eq!(swatches.len(), 12, "{swatches:?}");
    let legends = page.texts(".crm-stages legend");
    assert!(legends.contains(&"Colour of the new stage".to_owned()), "{legends:?}");
    let chosen = page.attrs(".crm-stages .swatches [checked]", "name");
    assert_eq!(chosen.len(), legends.len(), "one in each row: {chosen:?}");
    let green = page.attr(".crm-stages [name='colour.0'][data-c=green]", "value");
    let form = [
        ("of", "contacts"),
        ("key.0", ""),
        ("label.0", "First talk"),
        ("colour.0", &*green),
        ("stands.0", "open"),
        ("chance.0", "20"),
    ];
    let saved = owner.form(&format!("{fields}/stage/stages"), &form).await;
    assert_eq!(saved.status, 303, "{}", saved.text);
    let page = owner.get(&fields).await;
    assert_eq!(page.attr(".crm-stages tbody tr .dot", "data-c"), "green");
    assert_eq!(page.attr(".crm-stages [name='colour.0'][checked]", "aria-label"), "Green");
    hq.finish().await;
}

/// What a form sends as it is drawn.
fn drawn(page: &Reply, form: &str) -> Vec<(String, String)> {
    let pairs = |selector: &str| {
        let selector = format!("{form} {selector}");
        page.attrs(&selector, "name").into_iter().zip(page.attrs(&selector, "value"))
    };
    let mut all: Vec<_> = pairs("input[value]:not([type=checkbox]):not([type=radio])").collect();
    all.extend(pairs("input[type=radio][checked]"));
    let ticks = page.attrs(&format!("{form} input[type=checkbox][checked]"), "name");
    all.extend(ticks.into_iter().map(|name| (name, "on".to_owned())));
    for name in page.attrs(&format!("{form} select"), "name") {
        let chosen = page.attrs(&format!("{form} [name='{name}'] [selected]"), "value");
        all.push((name, chosen.into_iter().next().unwrap_or_default()));
    }
    all
}

fn with(form: &[(String, String)], name: &str, value: &str) -> Vec<(String, String)> {
    let mut form = form.to_vec();
    form.retain(|(field, _)| field != name);
    form.push((name.to_owned(), value.to_owned()));
    form
}

fn value(form: &[(String, String)], name: &str) -> String {
    let found = form.iter().find(|(field, _)| field == name);
    found.map(|(_, value)| value.clone()).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_form_of_an_older_tab_never_undoes_what_another_has_saved() {
    let hq = TestHq::start().await;
    let owner = hq.owner();
    for (page, id, to, theirs, mine) in [
        ("general", "#general", "general", ("run_cap", "7"), ("emoji", "🚢")),
        ("general", "#limits", "limits", ("calls", "50"), ("tool_calls", "60")),
        ("general", "#queue", "queue", ("debounce", "900"), ("cap", "7")),
        (
            "general",
            "#conversations",
            "conversations",
            ("idle_minutes", "30"),
            ("steps_days", "40"),
        ),
        ("general", "#subagents", "subagents", ("fan_out", "7"), ("live", "3")),
        ("usage", "#workspace-limits", "usage", ("month", "41"), ("run", "3")),
        (
            "notifications",
            "#choices",
            "notifications",
            ("comments.push", "on"),
            ("digest_hour", "6"),
        ),
        ("audit", "#retention", "audit/retention", ("megabytes", "700"), ("days", "50")),
        ("tasks", "#rules", "tasks", ("delegation", "open"), ("missed_after_days", "9")),
        ("appearance", "#appearance", "appearance", ("theme", "dark"), ("density", "compact")),
    ] {
        let (page, to) = (format!("{SETTINGS}/{page}"), format!("{SETTINGS}/{to}"));
        let send = async |form: &Vec<(String, String)>, (name, value): (&str, &str)| {
            let form = with(form, name, value);
            let form: Vec<_> = form.iter().map(|(name, value)| (&**name, &**value)).collect();
            owner.form(&to, &form).await
        };
        let old = drawn(&owner.get(&page).await, id);
        assert!(!value(&old, "rev").is_empty(), "{id}: {old:?}");
        let saved = send(&old, theirs).await;
        assert_eq!(saved.status, 303, "{id}: {}", saved.text);
        let refused = send(&old, mine).await;
        assert_eq!(refused.status, 412, "{id}: {}", refused.text);
        assert!(refused.text.contains("Someone else changed this"), "{id}: {}", refused.text);
        let now = drawn(&owner.get(&page).await, id);
        assert_eq!(value(&now, theirs.0), theirs.1, "{id}");
        assert_eq!(value(&now, mine.0), value(&old, mine.0), "{id}");
        let saved = send(&now, mine).await;
        assert_eq!(saved.status, 303, "{id}: {}", saved.text);
        let now = drawn(&owner.get(&page).await, id);
        assert_eq!([value(&now, theirs.0), value(&now, mine.0)], [theirs.1, mine.1], "{id}");
    }
    // Modules are switches of the same settings.
    let modules = format!("{SETTINGS}/modules");
    let rev = owner.get(&modules).await.attr("#modules [name=rev]", "value");
    let all = [("customers", "on"), ("collections", "on"), ("knowledge", "on"), ("rev", &*rev)];
    assert_eq!(owner.form(&modules, &all[1..]).await.status, 303);
    assert_eq!(owner.form(&modules, &all[..2]).await.status, 303, "without a revision");
    assert_eq!(owner.form(&modules, &all).await.status, 412);
    let page = owner.get(&modules).await;
    assert_eq!(page.attrs("#modules [checked]", "name"), ["customers", "collections"]);
    hq.finish().await;
}
