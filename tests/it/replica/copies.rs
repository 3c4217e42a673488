//! Two machines with copies of one folder.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use support::program::run;

use super::{BINARY, Home, Machine, said, until};

/// Makes it connect at once, repeatedly, until it has this status.
async fn is_told(machine: &Machine, code: &str) -> Value {
    let mut status = Value::Null;
    until("it is told something else", || {
        run(Path::new(BINARY), machine.data(), &["replica", "connect"]);
        status = machine.status();
        status["code"] == code
    })
    .await;
    status
}

async fn is_linked(machine: &Machine) {
    until("it is not let in", || {
        run(Path::new(BINARY), machine.data(), &["replica", "connect"]);
        machine.status()["linked"] == true
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_programs_on_copies_of_one_folder_wait_until_a_person_chooses_one() {
    let mut home = Home::start().await;
    let (first, second) = (Machine::new(), Machine::new());
    let (token, print) = home.invite("GPU");
    let host = super::Program::start_with(&mut first.joins(&home.url, (&token, &print)));
    first.has(|_| true).await;
    assert!(host.stop().success());
    for name in ["replica.key", "replica.toml", "replica.redb"] {
        fs::copy(first.data().join(name), second.data().join(name)).expect("it is copied");
    }
    let host = first.again();
    is_linked(&first).await;
    let copy = second.again();
    is_linked(&second).await;

    let held = is_told(&first, "gateway_held").await;
    let other = is_told(&second, "gateway_held").await;
    let id = held["copy"].as_str().expect("its id").to_owned();
    assert_ne!(held["copy"], other["copy"]);
    let one = home.gateway("gpu");
    assert_eq!((&one["link"], &one["troubles"][0]["kind"]), (&Value::Null, &json!("copied")));
    let copies = one["copies"].as_array().expect("a list");
    let ids: Vec<&Value> = copies.iter().map(|copy| &copy["id"]).collect();
    assert_eq!(ids, [&other["copy"], &held["copy"]], "{one}");

    // Restarts while it is held are not counted as a third copy; the id shown on the primary is used.
    assert!(copy.stop().success());
    let mut copy = second.again();
    for restart in [true, true, false] {
        // Until it has connected, its status is the one from before the restart.
        until("home and the machine name it alike", || {
            run(Path::new(BINARY), second.data(), &["replica", "connect"]);
            let other = second.status();
            let copies = home.gateway("gpu")["copies"].clone();
            let ids = copies.as_array().expect("a list").iter().map(|copy| copy["id"].clone());
            let shown: Vec<Value> = ids.collect();
            other["code"] == "gateway_held" && shown == [other["copy"].clone(), json!(id)]
        })
        .await;
        if restart {
            assert!(copy.stop().success());
            copy = second.again();
        }
    }

    let kept = run(Path::new(BINARY), home.folder.path(), &["gateway", "keep", "gpu", &id]);
    assert!(kept.status.success(), "{}", said(&kept));
    is_linked(&first).await;
    is_told(&second, "gateway_copy").await;

    // Each keeps its role, even after both and the primary are restarted.
    assert!(host.stop().success());
    let host = first.again();
    is_linked(&first).await;
    drop(copy);
    home.kill();
    home.begin();
    let copy = second.again();
    is_told(&second, "gateway_copy").await;
    is_linked(&first).await;
    assert_eq!(home.gateway("gpu")["copies"], json!([]));
    drop(copy);
    let left = run(Path::new(BINARY), second.data(), &["replica", "leave"]);
    assert!(left.status.success(), "{}", said(&left));
    assert!(!second.data().join("replica.key").exists());
    assert_eq!(first.status()["linked"], true, "the other was not ended by that");
    drop(host);
}
