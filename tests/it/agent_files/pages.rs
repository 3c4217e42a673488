//! File pages: forms without scripts, uploads, actions by role, events for others.

use kernel::Role;
use reqwest::StatusCode;
use serde_json::json;

use super::{API, BYTES, KEY, PAGES, PNG, agent_writes, create, log, made, on_disk, place, put};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_works_with_files_on_pages_without_script() {
    let (hq, _) = made().await;
    let mira = hq.owner();
    let page = mira.get(&format!("{PAGES}/files")).await;
    let acts = page.attrs("#agent-tree .acts a", "href");
    assert_eq!(acts.len(), 2, "{acts:?}");
    assert!(page.texts("#agent-tree h2").contains(&"Included in every prompt".to_owned()));
    assert!(page.texts("#agent-tree a span").contains(&"SOUL.md".to_owned()));
    let shares = page.texts("#agent-tree a small");
    assert!(shares.iter().any(|share| share.ends_with(" %")), "{shares:?}");

    let new = mira.get(&acts[0]).await;
    let action = new.attr("form.sheet", "action");
    let wrong = mira.form(&action, &[("path", "../x.md"), ("text", "hello")]).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(wrong.text_of("form.sheet").contains("it leaves its folder"), "{}", wrong.text);
    assert!(wrong.text_of("form.sheet textarea").contains("hello"), "what was typed stays");
    let done = mira.form(&action, &[("path", "notes/a.md"), ("text", "# One\r\ntwo\r\n")]).await;
    let shown = format!("{PAGES}/files?path=notes/a.md");
    assert_eq!(done.location(), Some(shown.as_str()), "{}", done.text);
    assert_eq!(on_disk(&hq, "notes/a.md"), "# One\ntwo\n");
    let page = mira.get(&shown).await;
    assert!(page.text_of("#agent-file .md").contains("One"), "{}", page.text);

    // The agent changes the same line while Mira is editing.
    let edit = mira.get(&format!("{shown}&act=edit")).await;
    let (to, rev) =
        (edit.attr("form.sheet", "action"), edit.attr("form.sheet [name=rev]", "value"));
    agent_writes(&hq, "notes/a.md", "# One\ntheirs\n");
    let form = [("path", "notes/a.md"), ("rev", &*rev), ("text", "# One\r\nmine\r\n")];
    let clash = mira.form(&to, &form).await;
    assert_eq!(clash.status, StatusCode::CONFLICT, "{}", clash.text);
    assert_eq!(clash.texts(".clash blockquote p"), ["theirs", "mine"]);
    assert_eq!(clash.texts(".clash .acts button"), ["Keep mine", "Take theirs", "Keep both"]);
    let texts = clash.attrs(".clash form [name=text]", "value");
    assert_eq!(texts, ["# One\nmine\n", "# One\ntheirs\n", "# One\nmine\ntheirs\n"]);
    let marked = mira.get(&shown).await;
    assert!(marked.text_of("#agent-file header").contains("changed"), "{}", marked.text);
    let rev = clash.attr(".clash form [name=rev]", "value");
    let form = [("path", "notes/a.md"), ("rev", &*rev), ("text", &*texts[2])];
    assert_eq!(mira.form(&to, &form).await.location(), Some(shown.as_str()));
    assert_eq!(on_disk(&hq, "notes/a.md"), "# One\nmine\ntheirs\n");
    let key = [("path", "notes/a.md"), ("rev", "\"\""), ("text", KEY)];
    let held = mira.form(&to, &key).await;
    assert_eq!(held.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        held.text_of("form.sheet").to_lowercase().contains("line 1: it contains"),
        "{}",
        held.text
    );

    let rename = mira.get(&format!("{shown}&act=rename")).await;
    let form = [("path", "notes/a.md"), ("to", "notes/b.md")];
    let renamed = mira.form(&rename.attr("form.sheet", "action"), &form).await;
    let shown = format!("{PAGES}/files?path=notes/b.md");
    assert_eq!(renamed.location(), Some(shown.as_str()), "{}", renamed.text);
    let page = mira.get(&shown).await;
    let history = page.attrs("#agent-file header a", "href");
    assert!(history.contains(&format!("{PAGES}/history?path=notes/b.md")), "{history:?}");
    let links = page.attrs("#agent-file header a", "href");
    let ask = format!("{shown}&act=remove");
    assert!(links.contains(&ask), "{links:?}");
    let asked = mira.get(&ask).await;
    assert!(asked.text_of(".paper").contains("Delete notes/b.md?"), "{}", asked.text);
    assert!(place(&hq, "notes/b.md").exists(), "asking removes nothing");
    let to = asked.attr("form.sheet", "action");
    let gone = mira.form(&to, &[("path", "notes/b.md")]).await;
    assert_eq!(gone.location(), Some(&*format!("{PAGES}/files?path=notes")));
    assert!(!place(&hq, "notes").exists());
    let region = mira.clone().htmx("agent-file").get(&shown).await;
    assert!(region.text.contains("no longer exists"), "{}", region.text);
    let manifest = mira.get(&format!("{PAGES}/files?path=agent.json")).await;
    assert!(manifest.text.contains("the agent's settings") || manifest.text.contains("settings"));
    assert!(!manifest.text.contains("act=edit") && !manifest.text.contains("act=remove"));
    std::os::unix::fs::symlink("/etc/passwd", place(&hq, "notes.md")).expect("a link");
    let link = mira.get(&format!("{PAGES}/files?path=notes.md")).await;
    assert_eq!(link.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(link.text.contains("It is a link or special file"), "{}", link.text);
    assert!(!link.texts("#agent-tree a").is_empty(), "the rest of the page stands");
    hq.finish().await;
}

fn upload(folder: &str, files: &[(&str, &[u8])]) -> Vec<u8> {
    let head = "--x\r\nContent-Disposition: form-data; name=";
    let mut body = format!("{head}\"folder\"\r\n\r\n{folder}\r\n").into_bytes();
    for (name, content) in files {
        body.extend_from_slice(format!("{head}\"file\"; filename=\"{name}\"\r\n\r\n").as_bytes());
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--x--\r\n");
    body
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_are_sent_and_only_pictures_are_shown_in_place() {
    let (hq, api) = made().await;
    let mira = hq.owner();
    let page = mira.get(&format!("{PAGES}/files?path=&act=send")).await;
    let action = page.attr("form.sheet", "action");
    assert_eq!(page.attr("form.sheet", "enctype"), "multipart/form-data");
    let evil = b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>";
    let form = "multipart/form-data; boundary=x";
    let files: [(&str, &[u8]); 3] = [("C:\\a\\logo.png", PNG), ("x.svg", evil), ("p.html", b"<b>")];
    let sent = mira.bytes("POST", &action, form, upload("pictures", &files)).await;
    assert_eq!(sent.location(), Some(&*format!("{PAGES}/files?path=pictures")), "{}", sent.text);
    assert_eq!(std::fs::read(place(&hq, "pictures/logo.png")).expect("a file"), PNG);
    let (author, subject) = log(&api, "pictures/logo.png").await.remove(0);
    assert_eq!((&*author, &*subject), ("Mira Lindqvist", "files: Add pictures/logo.png manually"));

    let raw = format!("{PAGES}/files/raw?path=pictures/logo.png");
    let page = mira.get(&format!("{PAGES}/files?path=pictures/logo.png")).await;
    assert_eq!(page.attr("#agent-file img", "src"), raw);
    let picture = mira.get(&raw).await;
    assert_eq!(picture.header("content-type"), Some("image/png"));
    assert_eq!(picture.header("x-content-type-options"), Some("nosniff"));
    let kept = mira.get(&format!("{raw}&download=1")).await;
    assert!(kept.header("content-disposition").is_some_and(|how| how.starts_with("attachment")));
    for name in ["x.svg", "p.html"] {
        let page = mira.get(&format!("{PAGES}/files?path=pictures/{name}")).await;
        assert!(page.attrs("#agent-file img", "src").is_empty());
        let drawn = mira.get(&format!("{PAGES}/files/raw?path=pictures/{name}")).await;
        assert_eq!(drawn.header("content-type"), Some(BYTES));
        assert!(drawn.header("content-disposition").is_some_and(|h| h.starts_with("attachment")));
    }

    let twice = mira.bytes("POST", &action, form, upload("pictures", &files[..1])).await;
    assert_eq!(twice.status, StatusCode::CONFLICT);
    assert!(twice.text_of("form.sheet").contains("“logo.png” was not added"), "{}", twice.text);
    let out = mira.bytes("POST", &action, form, upload("../..", &files[..1])).await;
    assert_eq!(out.status, StatusCode::UNPROCESSABLE_ENTITY);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_only_look_changes_nothing_and_is_offered_nothing() {
    let (hq, api) = made().await;
    create(&api, "a.md", "one\n").await;
    let tom = hq.another("Tom", Some(Role::Viewer)).await;
    let page = tom.get(&format!("{PAGES}/files?path=a.md")).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.attrs("#agent-tree .acts a", "href").is_empty());
    for offered in ["act=edit", "act=rename", "act=remove", "act=new"] {
        assert!(!page.text.contains(offered), "{offered}");
    }
    assert!(page.text.contains("download=1"));
    for act in ["edit", "rename", "new", "send"] {
        let form = tom.get(&format!("{PAGES}/files?path=a.md&act={act}")).await;
        assert_eq!(form.status, StatusCode::FORBIDDEN, "{act}");
    }
    let fields = [("path", "a.md"), ("rev", "\"one\\n\""), ("text", "two"), ("to", "b.md")];
    for to in ["files", "files/new", "files/rename", "files/remove", "files/send"] {
        let reply = tom.form(&format!("{PAGES}/{to}"), &fields).await;
        assert_eq!(reply.status, StatusCode::FORBIDDEN, "{to}");
    }
    let reads = hq.token(&["read"]).await;
    assert_eq!(put(&reads, "a.md", "one\n", "two\n").await.status, StatusCode::FORBIDDEN);
    assert_eq!(create(&reads, "b.md", "two\n").await.status, StatusCode::FORBIDDEN);
    assert_eq!(reads.get(&format!("{API}/a.md")).await.status, StatusCode::OK);
    assert_eq!(on_disk(&hq, "a.md"), "one\n");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_open_page_hears_of_a_save_and_the_tree_marks_what_is_not_committed() {
    let (hq, api) = made().await;
    let mira = hq.owner();
    create(&api, "a.md", "one\n").await;
    agent_writes(&hq, "a.md", "two\n");
    agent_writes(&hq, "b.md", "new\n");
    agent_writes(&hq, "scratch/c.md", "apart\n");
    let items = api.get(&format!("{API}?path=scratch")).await.json()["items"].clone();
    let standing = |path: &str| {
        let all = items.as_array().expect("a list");
        all.iter().find(|one| one["path"] == path).expect("it is there")["standing"].clone()
    };
    let all = ["a.md", "b.md", "scratch/c.md", "SOUL.md", "scratch"].map(standing);
    assert_eq!(json!(all), json!(["changed", "new", "apart", "same", null]));
    let page = mira.get(&format!("{PAGES}/files?path=a.md")).await;
    assert_eq!(page.texts("#agent-tree [data-mark]"), ["changed", "new"]);

    let id = api.get("/api/v1/agents/ada").await.json()["id"].clone();
    let heard = page.attr("#agent-file", "hx-trigger");
    let id = id.as_str().expect("an id");
    assert!(heard.contains(&format!("hq:agent_files:{id} from:body")), "{heard}");
    let cursor = page.attr("body", "data-cursor");
    let mut stream = mira.stream(&format!("/w/marlow-cargo/events?after={cursor}")).await;
    put(&api, "a.md", "two\n", "three\n").await;
    let message = stream.next_of("hq").await;
    assert_eq!(message.json(), json!({ "t": [["agent_files", id]] }));
    let region = mira.clone().htmx("agent-tree").get(&format!("{PAGES}/files?path=a.md")).await;
    assert_eq!(region.texts("#agent-tree [data-mark]"), ["new"]);
    let region = mira.clone().htmx("agent-file").get(&format!("{PAGES}/files?path=a.md")).await;
    assert!(region.text.contains("three") && region.text.trim_start().starts_with("<section"));
    hq.finish().await;
}
