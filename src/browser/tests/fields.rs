//! Tests of fields for credentials.

use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::{Host, Site};
use crate::fields::{Field, FieldKind};
use crate::page::Page;
use crate::snapshot::Want;

const SOON: Duration = Duration::from_secs(20);

/// Waits until a field of this kind has the focus: the focus moves into a frame of another process independently of the
/// response to the key.
async fn focused_on(page: &Page, kind: FieldKind) -> Field {
    let waits = async {
        loop {
            match page.focused_field().await.unwrap() {
                Some(field) if field.kind == kind => return field,
                _ => sleep(Duration::from_millis(20)).await,
            }
        }
    };
    timeout(SOON, waits).await.expect("the keyboard writes there")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_field_that_is_written_to_is_known_in_any_frame() {
    let host = Host::new(Site::new(|host, path| {
        Site::page(match (host, path) {
            ("a.test", "") => {
                "<title>F</title><input id=name autocomplete=username><input id=other>
                <iframe src=http://b.test/sign-in></iframe>"
            }
            _ => {
                "<input id=word type=password><input autocomplete=one-time-code id=code>
                <script>addEventListener('message', e => document.getElementById(e.data).focus())</script>"
            }
        })
    }));
    let page = host.browser.open("http://a.test/").await.unwrap();
    assert_eq!(page.focused_field().await.unwrap(), None);
    for (script, kind) in [
        ("document.getElementById('name').focus()", FieldKind::Name),
        ("document.getElementById('other').focus()", FieldKind::Other),
    ] {
        page.evaluate(script, SOON).await.unwrap();
        let field = page.focused_field().await.unwrap().unwrap();
        assert_eq!((field.kind, field.frame_url.as_str()), (kind, "http://a.test/"));
    }
    // Enter the frame by the keyboard, as a person does.
    page.press("Tab").await.unwrap();
    let field = focused_on(&page, FieldKind::Password).await;
    assert!(field.is_empty && field.frame_url == "http://b.test/sign-in", "{field:?}");

    page.type_text(field.number, "hunter2 secret").await.unwrap();
    page.hide_value(field.number).unwrap();
    assert!(!page.field(field.number).await.unwrap().unwrap().is_empty);
    let shown = page.snapshot(&Want::default()).await.unwrap().whole;
    assert!(shown.contains(&format!("[e{}] hidden\n", field.number)), "{shown}");
    page.press("Tab").await.unwrap();
    focused_on(&page, FieldKind::Code).await;
    page.navigate("http://a.test/").await.unwrap();
    assert_eq!(page.field(field.number).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hidden_value_is_told_to_nobody_even_if_its_page_shows_it() {
    let (_host, page) =
        Host::showing("<title>P</title><label>Word <input type=password id=w></label>").await;
    page.snapshot(&Want::default()).await.unwrap();
    page.hide_value(1).unwrap();
    page.fill(1, "hunter2").await.unwrap();
    page.evaluate("w.type = 'text'; 0", SOON).await.unwrap();
    let changes = page.after().await.unwrap();
    let whole = page.snapshot(&Want::default()).await.unwrap().whole;
    let part = page.part(1).await.unwrap();
    for shown in [changes.text(), whole, format!("{part:?}")] {
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
