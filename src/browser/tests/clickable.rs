//! Tests of clickable parts without a role.

use super::Host;
use crate::act::Click;
use crate::snapshot::Want;

const PAGE: &str = "<title>Shop</title>
<style>.p { cursor: pointer }</style>
<div id=list><div class=p id=open><span><b>Open</b> the basket</span></div>
<div class=p><div id=inner>Wrapped once</div></div>
<div id=twice><span id=deep>Listens</span></div></div>
<div class=p id=card><p>A red bicycle</p><a href=/more>More</a></div>
<div class=p><button>Real</button></div>
<label class=p><input type=checkbox> Gift</label>
<a href=/x><span class=p>In a link</span></a>
<div class=p style='display: none'>Hidden</div>
<p>Only words</p>
<p id=said>Nothing</p>
<script>
const say = (text) => () => { said.textContent = text };
document.querySelector('#open').addEventListener('click', say('opened'));
inner.addEventListener('click', say('inner'));
twice.addEventListener('click', say('outer'));
deep.addEventListener('click', say('deep'));
card.addEventListener('click', say('card'));
list.addEventListener('click', () => {});
</script>";

#[tokio::test(flavor = "multi_thread")]
async fn what_a_script_or_the_pointer_makes_clickable_has_a_ref() {
    let (_host, page) = Host::showing(PAGE).await;
    let shown = page.snapshot(&Want::default()).await.unwrap().text;
    assert_eq!(
        shown,
        r#"t1 "Shop" http://a.test/
part "Open the basket" [e1] clickable
part "Wrapped once" [e2] clickable
part "Listens" [e3] clickable
part "A red bicycle" [e4] clickable
 link "More" [e5]
button "Real" [e6]
checkbox "Gift" [e7] unchecked
link "In a link" [e8]
"Only words"
"Nothing"
"#
    );
    let some = Want { interactive: true, ..Want::default() };
    let some = page.snapshot(&some).await.unwrap().text;
    assert!(some.contains("part \"Listens\" [e3] clickable") && !some.contains("Only words"));
    for (number, says) in [(1, "opened"), (2, "inner"), (3, "outer"), (4, "card")] {
        page.click(number, Click::default()).await.unwrap();
        let shown = page.snapshot(&Want::default()).await.unwrap().text;
        assert!(shown.contains(&format!("\"{says}\"")), "{number}: {shown}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_clickable_parts_are_told_as_words_beyond_a_number() {
    let (_host, page) = Host::showing(
        "<title>Rows</title><div id=d></div><script>
        d.innerHTML = Array.from({length: 2000}, (_, i) => `<div style='cursor: pointer'>Row ${i}</div>`).join('')
        </script>",
    )
    .await;
    let whole = page.snapshot(&Want::default()).await.unwrap().whole;
    assert_eq!(whole.matches("clickable").count(), 300);
    assert!(whole.contains("Row 1999"));
    let find = Want { find: Some("row 1999".to_owned()), ..Want::default() };
    let found = page.snapshot(&find).await.unwrap().text;
    assert!(
        found.contains("\"Row 1999\" [e"),
        "words have a ref where they are looked for: {found}"
    );
}
