//! Memory of the program on another machine: keys while it needs them, none once it is revoked.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;

use support::program::run_json;

use super::*;

const VALUE: &str = "canary-in-the-memory-9b3e2c";
/// Number of bytes read at once.
const PIECE: usize = 1 << 16;

/// Number of occurrences of each text in a process's writable memory.
fn found(process: u32, texts: [&str; 2]) -> [usize; 2] {
    let overlap = texts.iter().map(|text| text.len()).max().expect("some") - 1;
    let memory = File::open(format!("/proc/{process}/mem")).expect("its memory");
    let maps = fs::read_to_string(format!("/proc/{process}/maps")).expect("what is where");
    let zeros = vec![0; PIECE];
    let mut counts = [0; 2];
    for map in maps.lines() {
        let mut words = map.split_whitespace();
        let (range, rights) = (words.next().expect("a range"), words.next().expect("rights"));
        if !rights.starts_with("rw") {
            continue;
        }
        let (from, to) = range.split_once('-').expect("two ends");
        let end = |text| u64::from_str_radix(text, 16).expect("an address");
        let (mut from, to) = (end(from), end(to));
        let mut kept = Vec::new();
        while from < to {
            let size = PIECE.min(usize::try_from(to - from).expect("it fits"));
            let start = kept.len();
            kept.resize(start + size, 0);
            // Memory that was freed meanwhile cannot be read.
            let Ok(read @ 1..) = memory.read_at(&mut kept[start..], from) else { break };
            from += read as u64;
            kept.truncate(start + read);
            // Most memory of the allocator was never used.
            if kept[start..] == zeros[..read] {
                kept.clear();
                continue;
            }
            for (count, text) in counts.iter_mut().zip(texts) {
                // An occurrence entirely within the overlap was already counted.
                let seen = start.saturating_sub(text.len() - 1);
                *count +=
                    kept[seen..].windows(text.len()).filter(|it| *it == text.as_bytes()).count();
            }
            kept.drain(..kept.len().saturating_sub(overlap));
        }
    }
    counts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_key_is_left_in_the_memory_of_a_machine_that_is_shut_out() {
    let shop = Shop::open().await;
    let office = &shop.office;
    let secret = json!({ "name": "Shop", "key": "SHOP_KEY", "value": VALUE });
    let made = office.hq.api().await.post("/api/v1/secrets", &secret).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let uses = json!({ "command": "echo is $SHOP_KEY" });
    office.model.follow(vec![Turn::call("exec", uses), done()]);
    let task = office.task("Count the bells", &shop.ada).await;
    let run = shop.worked(&task).await;
    was_done(&shop, &run);
    assert!(shop.calls(run.id)[0].2.contains("is [secret:SHOP_KEY]"), "{:?}", shop.calls(run.id));
    let texts = [VALUE, KEY];
    let process = shop.host.as_ref().expect("it runs").id();
    let before = found(process, texts);
    assert!(before.iter().all(|count| 0 < *count), "they were used there: {before:?}");

    let gateway = shop.gateway;
    office.act(move |tx| rules::revoke(tx, gateway)).await;
    shop.is_anew().await;
    assert_eq!(found(process, texts), [0, 0], "before: {before:?}");
    let status = run_json(Path::new(BINARY), shop.machine.path(), &["replica", "status"]);
    assert_eq!(status["code"], "gateway_revoked", "{status}");
    assert_eq!((&status["pid"], &status["linked"]), (&json!(process), &json!(false)), "{status}");
    assert!(status["trouble"].is_null(), "nothing comes anew: {status}");
    // It stays shut out and does not restart in a loop.
    assert_eq!(shop.log().matches("restarting, so that no key").count(), 1, "{}", shop.log());
    shop.close().await;
}
