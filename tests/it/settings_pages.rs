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
    for (query, first) in [("password", "profile"), ("Theme", "profile"), ("smtp", "mail")] {
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
