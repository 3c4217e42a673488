//! Tests of acts on parts by their refs.

use std::time::Duration;

use super::{Host, Site};
use crate::BrowserError;
use crate::act::{Click, Shot, Upload, Wait};
use crate::page::Page;
use crate::screencast::Button;
use crate::snapshot::Want;

const SOON: Duration = Duration::from_secs(20);

/// The ref of the first part whose line contains these words.
pub(super) async fn find(page: &Page, words: &str) -> u32 {
    let shown = page.snapshot(&Want::default()).await.unwrap().whole;
    let line = shown.lines().find(|line| line.contains(words));
    let line = line.unwrap_or_else(|| panic!("no {words} in:\n{shown}"));
    let start = line.find(" [e").unwrap_or_else(|| panic!("no ref in {line}")) + 1;
    crate::refs::parse(&line[start..=start + line[start..].find(']').unwrap()]).unwrap()
}

async fn value(page: &Page, script: &str) -> String {
    page.evaluate(script, SOON).await.unwrap()
}

fn why(error: &BrowserError) -> &str {
    match error {
        BrowserError::NotActionable { why, .. } => why,
        other => panic!("{other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_click_is_one_of_a_real_mouse_on_what_is_in_front() {
    let (_host, page) = Host::showing(
        "<title>Clicks</title><style>body{margin:0;height:4000px}#far:hover{color:#010203}</style>
        <div style='height:2500px'></div>
        <button id=far onclick='log(event)'>Far</button>
        <button id=twice ondblclick='log(event)'>Twice</button>
        <button id=menu oncontextmenu='log(event); event.preventDefault()'>Menu</button>
        <button disabled>Off</button> <button style='visibility:hidden'>Unseen</button>
        <div style='position:relative'><button id=under>Under</button>
        <div id=veil style='position:absolute;inset:0;background:#fff8'>Veil</div></div>
        <label>Boxed <input type=checkbox id=box style='position:absolute;opacity:0'></label>
        <div id=host></div>
        <script>
        const seen = []; const log = e => seen.push([e.type, e.isTrusted, e.target.id, e.shiftKey]);
        host.attachShadow({mode:'closed'}).innerHTML = '<button>Shadow</button>';
        host.shadowRoot; host.addEventListener('click', log);
        </script>",
    )
    .await;
    let far = find(&page, "Far").await;
    page.click(far, Click { modifiers: 8, ..Click::default() }).await.unwrap();
    page.click(find(&page, "Twice").await, Click { count: 2, ..Click::default() }).await.unwrap();
    let right = Click { button: Button::Right, ..Click::default() };
    page.click(find(&page, "Menu").await, right).await.unwrap();
    page.click(find(&page, "Shadow").await, Click::default()).await.unwrap();
    assert_eq!(
        value(&page, "seen").await,
        r#"[["click",true,"far",true],["dblclick",true,"twice",false],["contextmenu",true,"menu",false],["click",true,"host",false]]"#
    );
    page.click(find(&page, "Boxed").await, Click::default()).await.unwrap();
    assert_eq!(value(&page, "box.checked").await, "true");
    let off = page.click(find(&page, "Off").await, Click::default()).await.unwrap_err();
    assert_eq!(why(&off), "is disabled");
    let under = find(&page, "Under").await;
    let covered = page.click(under, Click::default()).await.unwrap_err();
    assert_eq!(why(&covered), "is covered by \"div#veil Veil\"; close or move that first");
    value(&page, "setTimeout(() => veil.remove(), 200)").await;
    page.click(under, Click::default()).await.unwrap();
    page.hover(far).await.unwrap();
    assert_eq!(value(&page, "getComputedStyle(far).color").await, "\"rgb(1, 2, 3)\"");
    page.scroll(None, 0.0, -5000.0).await.unwrap();
    page.evaluate("new Promise(r => scrollY === 0 ? r() : addEventListener('scrollend', r))", SOON)
        .await
        .unwrap();
    assert_eq!(value(&page, "scrollY").await, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_ref_is_refused_with_fresh_lines() {
    let (_host, page) = Host::showing("<title>S</title><button id=a>Old</button>").await;
    let old = find(&page, "Old").await;
    value(&page, "a.outerHTML = '<button>New</button>'").await;
    for refused in [page.click(old, Click::default()).await, page.fill(999, "x").await] {
        let Err(BrowserError::Stale { lines, .. }) = refused else { panic!("{refused:?}") };
        assert!(lines.contains("button \"New\" [e2]"), "{lines}");
    }
    let new = find(&page, "New").await;
    page.navigate("http://a.test/other").await.unwrap();
    assert!(matches!(page.click(new, Click::default()).await, Err(BrowserError::Stale { .. })));
    let part = page.part(find(&page, "Old").await).await.unwrap();
    assert_eq!((part.role.as_str(), part.name.as_str()), ("button", "Old"));
    assert_eq!(part.frame_url, "http://a.test/other");
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_take_any_letters() {
    let (_host, page) = Host::showing(
        "<title>Fields</title><form onsubmit='sent = new FormData(this).get(\"name\"); return false'>
        <label>Name <input name=name id=n value=Old oninput='typed = event.inputType'></label>
        <label>Notes <textarea id=t></textarea></label><label>Day <input type=date id=d></label>
        <label>How much <input type=range id=r></label>
        <label>Fixed <input readonly value=x></label><button>Send</button></form>
        <div contenteditable aria-label=Rich role=textbox id=c>Some <b>bold</b></div>
        <label>Size <select id=s onchange='chose = this.value'><option>S<option>M<option value=large>L</select></label>",
    )
    .await;
    let name = find(&page, "\"Name\"").await;
    page.fill(name, "Zoë 北京 🎉").await.unwrap();
    page.type_text(name, "!").await.unwrap();
    assert_eq!(value(&page, "[n.value, typed]").await, r#"["Zoë 北京 🎉!","insertText"]"#);
    page.press("Enter").await.unwrap();
    assert_eq!(value(&page, "sent").await, "\"Zoë 北京 🎉!\"");
    page.fill(name, "").await.unwrap();
    page.fill(name, "").await.unwrap();
    page.fill(find(&page, "Notes").await, "two\nlines").await.unwrap();
    page.fill(find(&page, "Day").await, "2026-12-31").await.unwrap();
    page.fill(find(&page, "How much").await, "70").await.unwrap();
    page.fill(find(&page, "Rich").await, "plain").await.unwrap();
    assert_eq!(
        value(&page, "[n.value, t.value, d.value, r.value, c.innerText.trim()]").await,
        r#"["","two\nlines","2026-12-31","70","plain"]"#
    );
    page.evaluate(
        "for (const type of ['number', 'text']) document.body.append(Object.assign(
            document.createElement('input'), { type, value: '12', maxLength: 3, ariaLabel: 'A ' + type }))",
        SOON,
    )
    .await
    .unwrap();
    for (name, text, says) in [
        ("Day", "tomorrow", "doesn't accept this value"),
        ("A number", "twelve", "doesn't accept this value"),
        ("A text", "four", "accepts at most 3 characters"),
    ] {
        let values = "[...document.querySelectorAll('input')].map(one => one.value)";
        let before = value(&page, values).await;
        let refused = page.fill(find(&page, name).await, text).await.unwrap_err();
        assert!(why(&refused).contains(says), "{refused}");
        assert_eq!(value(&page, values).await, before, "{name} stays as it was");
    }
    let wrong = page.fill(find(&page, "Day").await, "tomorrow").await.unwrap_err();
    assert!(why(&wrong).contains("2026-12-31"));
    let fixed = page.fill(find(&page, "Fixed").await, "y").await.unwrap_err();
    assert_eq!(why(&fixed), "is read-only");

    let size = find(&page, "Size").await;
    page.select(size, &["L".to_owned()]).await.unwrap();
    assert_eq!(value(&page, "[s.value, chose]").await, r#"["large","large"]"#);
    let none = page.select(size, &["XL".to_owned()]).await.unwrap_err();
    assert_eq!(why(&none), r#"has no such option; it has "S" | "M" | "L""#);
    page.press_in(name, "a").await.unwrap();
    page.press("b").await.unwrap();
    page.press("Control+A").await.unwrap();
    page.press("x").await.unwrap();
    assert_eq!(value(&page, "n.value").await, "\"x\"");
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_are_acted_in_wherever_their_process_is() {
    let host = Host::new(Site::new(|host, path| {
        Site::page(&match (host, path) {
            ("a.test", "") => "<title>Outer</title><div style='height:1500px'></div>
                <iframe src=/same style='margin:20px;border:7px solid;padding:5px'></iframe>
                <iframe src=http://b.test/other style='margin:33px'></iframe>"
                .to_owned(),
            (host, _) => format!(
                "<div style='height:400px'></div><button onclick='this.textContent = `Done at {host}`'>
                Press at {host}</button><label>Field at {host} <input></label>"
            ),
        })
    }));
    let page = host.browser.open("http://a.test/").await.unwrap();
    for host in ["a.test", "b.test"] {
        page.click(find(&page, &format!("Press at {host}")).await, Click::default()).await.unwrap();
        let done = page.after().await.unwrap().lines;
        assert!(done.contains(&format!("~ button \"Done at {host}\"")), "{done}");
        let field = find(&page, &format!("Field at {host}")).await;
        page.fill(field, "first").await.unwrap();
        page.type_text(field, " ä").await.unwrap();
        page.press_in(field, "b").await.unwrap();
        let done = page.after().await.unwrap().lines;
        assert!(done.contains(" = \"first äb\""), "{done}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn things_are_dragged_and_files_given() {
    let (_host, page) = Host::showing(
        "<title>Drag</title><div draggable=true tabindex=0 id=thing aria-label=Thing role=button
        ondragstart='event.dataTransfer.setData(\"text/plain\", \"it\")'>Thing</div>
        <div tabindex=0 role=button aria-label=Place style='height:100px;width:200px;background:#ddd'
        ondragover='event.preventDefault()' ondrop='got = event.dataTransfer.getData(\"text/plain\")'></div>
        <input type=range id=slide aria-label=Slide min=0 max=100 value=0>
        <label>Papers <input type=file id=f multiple></label>",
    )
    .await;
    page.drag(find(&page, "Thing").await, find(&page, "Place").await).await.unwrap();
    assert_eq!(value(&page, "got").await, "\"it\"");
    let files = ["a.txt", "../b ö.txt"]
        .map(|name| Upload { name: name.to_owned(), bytes: name.as_bytes().to_vec() });
    let papers = find(&page, "Papers").await;
    page.upload(papers, files.to_vec()).await.unwrap();
    let read = "Promise.all([...f.files].map(async one => [one.name, await one.text()]))";
    assert_eq!(value(&page, read).await, r#"[["a.txt","a.txt"],["b ö.txt","../b ö.txt"]]"#);
    let wrong = page.upload(find(&page, "Place").await, files.to_vec()).await.unwrap_err();
    assert!(why(&wrong).starts_with("doesn't accept files"));
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_are_taken_of_what_is_wanted() {
    let (_host, page) = Host::showing(
        "<style>body{margin:0;height:3000px;background:#080}</style><button>B</button>",
    )
    .await;
    let jpeg = page.screenshot(Shot { max_width: 640, ..Shot::default() }).await.unwrap();
    assert_eq!(jpeg[..3], [0xff, 0xd8, 0xff]);
    let png = Shot { quality: None, ..Shot::default() };
    let size = |bytes: &[u8]| {
        assert_eq!(bytes[1..4], *b"PNG");
        [16, 20].map(|at| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()))
    };
    let [width, height] = size(&page.screenshot(png).await.unwrap());
    assert!(1200 < width && width <= 1280 && height < 900, "{width} {height}");
    let whole = page.screenshot(Shot { whole: true, max_width: 640, ..png }).await.unwrap();
    assert!(size(&whole)[0] <= 640 && 1400 < size(&whole)[1], "{:?}", size(&whole));
    let number = find(&page, "\"B\"").await;
    let around = page.screenshot(Shot { around: Some(number), ..png }).await.unwrap();
    assert!(size(&around)[0] < 200, "{:?}", size(&around));
    let places = page.places(&[number]).await.unwrap();
    assert!(places[0].0 == number && places[0].1[0] < 1.0, "{places:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_ends_when_it_comes_or_with_its_time() {
    let host = Host::new(Site::new(|_host, path| {
        Site::page(match path {
            "" => {
                "<title>W</title><p id=p>Now</p><button onclick='location = \"/next\"'>Go</button>"
            }
            _ => "<title>Next</title><p>Arrived</p>",
        })
    }));
    let page = host.browser.open("http://a.test/").await.unwrap();
    let go = find(&page, "Go").await;
    value(&page, "setTimeout(() => p.textContent = 'Later', 300); 0").await;
    page.wait(&Wait::Text("later".to_owned()), SOON).await.unwrap();
    page.wait(&Wait::Gone("now".to_owned()), SOON).await.unwrap();
    let never = page.wait(&Wait::Text("never".to_owned()), Duration::from_millis(300)).await;
    assert_eq!(never.unwrap_err().to_string(), "the text \"never\" didn't happen within 0.3 s");
    page.click(go, Click::default()).await.unwrap();
    let changes = page.after().await.unwrap();
    assert!(changes.is_another_page, "{changes:?}");
    assert_eq!(changes.url.as_deref(), Some("http://a.test/next"));
    page.wait(&Wait::Url("/next".to_owned()), SOON).await.unwrap();
    page.wait(&Wait::Load, SOON).await.unwrap();
    page.wait(&Wait::Idle, SOON).await.unwrap();
    value(&page, "setTimeout(() => { location = 'http://b.test/' }, 200); 0").await;
    page.wait(&Wait::Text("Go".to_owned()), SOON).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_closes_itself_or_hangs_ends_the_act() {
    let (host, page) = Host::showing(
        "<title>H</title><button onclick='window.open(location); window.close()'>Away</button>
        <button onclick='for(;;);'>Hang</button>",
    )
    .await;
    let hang = find(&page, "Hang").await;
    page.click(hang, Click::default()).await.unwrap();
    assert!(matches!(page.after().await, Err(BrowserError::Hangs { .. })), "it hangs");
    page.close().await.unwrap();
    let page = host.browser.open("http://a.test/").await.unwrap();
    page.evaluate("open('/second')", SOON).await.unwrap();
    let blocked = host.browser.tabs().await.unwrap().len();
    assert_eq!(blocked, 1, "a page opens nothing by itself");
    page.click(find(&page, "Away").await, Click::default()).await.unwrap();
    let opened = |known: &crate::tabs::Known| {
        let tab = known.tabs.iter().find(|tab| tab.opened_by == Some(page.number()))?;
        tab.is_ready.then_some(tab.number)
    };
    let number = page.running.tabs.until(SOON, opened).await.unwrap().expect("a new tab");
    let popup = host.browser.page(number).await.unwrap();
    popup.wait(&Wait::Text("Away".to_owned()), SOON).await.unwrap();
    // A page may close a tab that a page has opened.
    popup.click(find(&popup, "Away").await, Click::default()).await.unwrap();
    let closed = |known: &crate::tabs::Known| known.tab(number).is_none().then_some(());
    page.running.tabs.until(SOON, closed).await.unwrap().expect("the tab is closed");
    let tabs = page.changes().await.unwrap().tabs;
    assert_eq!(tabs.len(), 1, "{tabs:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tab_behind_another_is_acted_in_as_well() {
    let (host, page) = Host::showing(
        "<title>T</title><button onclick='alert(1); this.textContent = `Told`'>Tell</button>
        <a href=/next target=_blank>Next</a><label>Field <input></label>",
    )
    .await;
    let front = host.browser.open("http://b.test/").await.unwrap();
    front.bring_to_front().await.unwrap();
    let tell = find(&page, "Tell").await;
    page.click(tell, Click::default()).await.unwrap();
    let changes = page.after().await.unwrap();
    assert_eq!(changes.dialogs, ["dialog alert \"1\", answered with OK"]);
    assert!(changes.lines.contains("~ button \"Told\""), "{changes:?}");
    page.fill(find(&page, "Field").await, "behind").await.unwrap();
    assert_eq!(value(&page, "document.querySelector('input').value").await, "\"behind\"");
    page.press("Tab").await.unwrap();
    assert!(!page.screenshot(Shot::default()).await.unwrap().is_empty());
    assert!(!front.screenshot(Shot::default()).await.unwrap().is_empty());
    page.click(find(&page, "Next").await, Click::default()).await.unwrap();
    let opened = |known: &crate::tabs::Known| {
        known.tabs.iter().any(|tab| tab.opened_by == Some(page.number())).then_some(())
    };
    page.running.tabs.until(SOON, opened).await.unwrap().expect("a new tab");
    let tabs = page.after().await.unwrap().tabs;
    assert!(tabs.last().unwrap().starts_with("new tab t3 "), "{tabs:?}");
    let mut cast = page.cast(crate::screencast::Look::default()).await.unwrap();
    assert!(tokio::time::timeout(SOON, cast.next()).await.unwrap().is_some());
}
