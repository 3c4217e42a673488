//! The settings: menu, search, and forms whose fields are saved at once.

use support::hq::TestHq;

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
