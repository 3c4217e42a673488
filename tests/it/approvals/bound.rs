//! What an approval is bound to: the call's text, files, tools and secrets at that time.

use features::trust::model::{Approval, What};
use features::trust::queries as trust;
use features::trust::rules::{self, NewPermission};
use kernel::{AccessDecision, ApprovalAnswer, TrustMode};
use reqwest::StatusCode;
use serde_json::json;

use support::model::Turn;
use support::office::Office;

use super::{answer, asked, asking, results, runs};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_script_that_was_swapped_after_the_yes_is_asked_for_anew() {
    let office = Office::open().await;
    let ada = asking(&office).await;
    let folder = office.ws().agent_folder(&ada.slug);
    std::fs::write(folder.join("job.sh"), "echo good > out\n").expect("a script");
    office.model.push(runs("sh job.sh")).push(Turn::text("Done."));
    let run = office.say(&ada, "Run the job").await;
    let first = asked(&office, run).await;
    assert_eq!(first.plan.files[0].path, "job.sh");

    std::fs::write(folder.join("job.sh"), "echo bad > out\n").expect("another script");
    answer(&office, &first, json!({ "answer": "once" })).await;
    let second = office
        .until("another approval", |snap| {
            Ok(trust::waiting_of(snap, run)?.filter(|one| one.id != first.id))
        })
        .await;
    assert!(second.why.contains("job.sh has changed"), "{}", second.why);
    let closed: Approval = office.get(first.id);
    assert_eq!(closed.answer.map(|one| one.answer), Some(ApprovalAnswer::Changed));
    assert_eq!(office.file(&ada, "out"), None);
    let second = asked(&office, run).await;
    answer(&office, &second, json!({ "answer": "once" })).await;
    office.ended(run).await;
    assert_eq!(office.file(&ada, "out").as_deref(), Some("bad\n"));
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_program_loads_beside_the_files_of_its_line_is_bound_too_and_no_yes_to_it_is_kept() {
    let office = Office::open().await;
    let ada = asking(&office).await;
    let folder = office.ws().agent_folder(&ada.slug);
    let write = |path: &str, text: &str| std::fs::write(folder.join(path), text).expect("a file");
    std::fs::create_dir_all(folder.join("lib")).expect("a folder");
    write("job.sh", ". ./lib/say.sh\n");
    write("lib/say.sh", "echo good > out\n");
    write("Makefile", "all:\n\techo good > out\n");
    for (line, changed) in [("sh job.sh", "lib/say.sh"), ("make all", "Makefile")] {
        office.model.push(runs(line)).push(Turn::text("Done."));
        let run = office.say(&ada, "Run the job").await;
        let first = asked(&office, run).await;
        assert!(first.offers.is_empty(), "{line}: {:?}", first.offers);
        let card = office.hq.owner().get(&format!("/api/v1/approvals/{}", first.id)).await.json();
        let files = card["files"].as_array().expect("files");
        assert!(files.contains(&json!("all other files of its folder")), "{card}");
        let text = std::fs::read_to_string(folder.join(changed)).expect("a file");
        write(changed, &text.replace("good", "evil"));
        answer(&office, &first, json!({ "answer": "once" })).await;
        let second = office
            .until("another approval", |snap| {
                Ok(trust::waiting_of(snap, run)?.filter(|one| one.id != first.id))
            })
            .await;
        assert_eq!(second.why, format!("{changed} has changed since the approval"));
        assert_eq!(office.file(&ada, "out"), None);
        for n in 0..5 {
            write(&format!("lib/new{n}.sh"), line);
        }
        assert_eq!(asked(&office, run).await.id, second.id);
        answer(&office, &second, json!({ "answer": "once" })).await;
        let third = office
            .until("a third approval", |snap| {
                Ok(trust::waiting_of(snap, run)?.filter(|one| one.id != second.id))
            })
            .await;
        let told = "lib/new0.sh, lib/new1.sh, lib/new2.sh and 2 more files have changed since the \
             approval";
        assert_eq!(third.why, told);
        assert_eq!(asked(&office, run).await.id, third.id);
        answer(&office, &third, json!({ "answer": "denied" })).await;
        office.ended(run).await;
        assert_eq!(office.file(&ada, "out"), None);
        for n in 0..5 {
            std::fs::remove_file(folder.join(format!("lib/new{n}.sh"))).expect("it");
        }
    }
    // A call that does just what its text says is still stored without bound files, whatever files exist.
    office.model.push(runs("touch made")).push(Turn::text("Done."));
    let run = office.say(&ada, "Touch it").await;
    let plain = asked(&office, run).await;
    assert!(!plain.offers.is_empty() && plain.plan.files.is_empty(), "{plain:?}");
    write("beside", "more");
    answer(&office, &plain, json!({ "answer": "once" })).await;
    office.ended(run).await;
    assert!(office.file(&ada, "made").is_some());
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_of_a_tool_that_an_update_has_changed_is_asked_for_anew() {
    let office = Office::open().await;
    let ada = asking(&office).await;
    office.model.push(runs("touch made")).push(Turn::text("Done."));
    let run = office.say(&ada, "Make it").await;
    let first = asked(&office, run).await;
    assert_ne!(first.definition, [0; 32]);
    let older = Approval { definition: [9; 32], ..first.clone() };
    office.act(move |tx| tx.put(&older)).await;
    answer(&office, &first, json!({ "answer": "once" })).await;
    let second = office
        .until("another approval", |snap| {
            Ok(trust::waiting_of(snap, run)?.filter(|one| one.id != first.id))
        })
        .await;
    assert!(second.why.contains("HQ changed after the approval"), "{}", second.why);
    assert_eq!((second.definition, second.digest), (first.definition, first.digest));
    let closed: Approval = office.get(first.id);
    assert_eq!(closed.answer.map(|one| one.answer), Some(ApprovalAnswer::Changed));
    assert_eq!(office.file(&ada, "made"), None);

    // An approval from before tool definitions were recorded remains valid.
    let unknown = Approval { definition: [0; 32], ..asked(&office, run).await };
    office.act(move |tx| tx.put(&unknown)).await;
    answer(&office, &second, json!({ "answer": "once" })).await;
    office.ended(run).await;
    assert!(office.file(&ada, "made").is_some());
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_yes_is_bound_to_all_that_a_call_says_and_to_each_file_that_it_names() {
    let office = Office::open().await;
    let ada = asking(&office).await;
    let folder = office.ws().agent_folder(&ada.slug);
    std::fs::create_dir(folder.join("sub")).expect("a folder");
    for name in ["sub/deploy.sh", "inner.sh"] {
        std::fs::write(folder.join(name), "true\n").expect("a script");
    }
    let files = |one: &Approval| -> Vec<String> {
        let named = one.plan.files.iter().filter(|file| !file.is_loaded());
        named.map(|file| file.path.clone()).collect()
    };
    let with = json!({ "command": "touch a", "env": { "MODE": "it's" }, "background": true });
    let spaced = json!({ "command": "sh deploy.sh", "workdir": "sub " });
    let model = &office.model;
    model.push(runs("touch a")).push(Turn::call("exec", with)).push(runs("cd sub && sh deploy.sh"));
    model.push(runs("sh -c 'sh inner.sh'")).push(Turn::call("exec", spaced));
    model.push(runs("git status")).push(Turn::text("Done."));
    let run = office.say(&ada, "Go on").await;
    let first = asked(&office, run).await;
    answer(&office, &first, json!({ "answer": "run", "offer": 0 })).await;
    let mut last = first.id;
    let mut seen = Vec::new();
    for _ in 0..5 {
        let next = office
            .until(
                "the next",
                |snap| Ok(trust::waiting_of(snap, run)?.filter(|one| one.id != last)),
            )
            .await;
        last = next.id;
        assert_eq!(asked(&office, run).await.id, last);
        answer(&office, &next, json!({ "answer": "denied" })).await;
        seen.push(next);
    }
    office.ended(run).await;
    let more = &seen[0].plan.shown;
    assert_eq!(more, "MODE='it'\\''s'\ntouch a\n# continues in the background");
    assert!(seen[0].offers.is_empty(), "a permission for the words is none for the rest");
    assert!(files(&seen[1]).contains(&"sub/deploy.sh".to_owned()), "{:?}", seen[1]);
    assert!(files(&seen[2]).contains(&"inner.sh".to_owned()), "{:?}", seen[2]);
    assert!(seen[3].plan.folder.ends_with("/sub"), "the folder in which it runs: {:?}", seen[3]);
    assert_eq!(files(&seen[3]), ["sub/deploy.sh"]);
    assert!(seen[4].offers.is_empty(), "git does what files say that the agent writes");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_host_is_refused_however_it_is_written() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    office.trust(ada.id, TrustMode::Full).await;
    let what = What::Host { method: "POST".to_owned(), host: "denied.example.com".to_owned() };
    let rule = NewPermission {
        agent: Some(ada.id),
        run: None,
        tool: "http_request".to_owned(),
        what,
        leave: AccessDecision::Deny,
        note: "Not there".to_owned(),
        expires_at: None,
    };
    office.act(move |tx| rules::permit(tx, rule)).await;
    for (url, method) in [
        ("https://denied.example.com/", "POST"),
        ("https://DENIED.example.com./", "post"),
        ("http://denied.example.com:8080/", " POST "),
    ] {
        let call = json!({ "url": url, "method": method, "body": "x" });
        office.model.push(Turn::call("http_request", call));
    }
    office.model.push(Turn::text("Done."));
    let run = office.say(&ada, "Post it").await;
    let told = results(&office, run).await;
    assert!(told.iter().all(|(_, ok, text)| !ok && text.contains("Not there")), "{told:?}");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_yes_counts_for_the_value_that_a_secret_had_alone() {
    let office = Office::open().await;
    let ada = asking(&office).await;
    let owner = office.hq.owner();
    let key = json!({ "name": "Mail", "key": "MAIL_KEY", "value": "mail-key-1234", "hosts": ["mail.example"] });
    let made = owner.json("POST", "/api/v1/secrets", &key).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    let request = json!({
        "url": "https://mail.example/send", "method": "POST",
        "headers": { "X-Key": "{{secret:MAIL_KEY}}" },
    });
    office.model.push(Turn::call("http_request", request)).push(Turn::text("I leave it."));
    let run = office.say(&ada, "Send it").await;
    let first = asked(&office, run).await;

    let body = json!({ "value": "mail-key-5678" });
    let path = "/api/v1/secrets/MAIL_KEY/value";
    let replaced = owner.json("PUT", path, &body).await;
    assert_eq!(replaced.status, StatusCode::OK, "{}", replaced.text);
    answer(&office, &first, json!({ "answer": "once" })).await;
    let second = office
        .until("another approval", |snap| {
            Ok(trust::waiting_of(snap, run)?.filter(|one| one.id != first.id))
        })
        .await;
    assert!(second.why.contains("has changed since the approval"), "{}", second.why);
    let second = asked(&office, run).await;
    answer(&office, &second, json!({ "answer": "denied" })).await;
    office.ended(run).await;
    office.hq.finish().await;
}
