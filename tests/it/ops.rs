//! Every noun of the kit, through API, page, tools and command line (see [`support::walk`]).

use support::hq::TestHq;
use support::hq_program;
use support::walk::Walk;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_operations_of_each_noun_work() {
    for noun in server::doors::nouns() {
        let hq = TestHq::start().await;
        Walk::all(&hq, noun, Some(&hq_program())).await;
        hq.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_sent_bodies_do_not_delay_other_requests() {
    let hq = TestHq::start().await;
    let (api, nobody) = (hq.api().await, hq.nobody());
    // More requests than there are handler threads.
    let stuck: Vec<_> = (0..300)
        .map(|_| {
            let api = api.clone();
            let begin = b"{\"name\":".to_vec();
            tokio::spawn(async move {
                api.stuck("/api/v1/labels", "application/json", begin).await;
            })
        })
        .collect();
    for n in 0..20 {
        let made =
            api.post("/api/v1/labels", &serde_json::json!({ "name": format!("L{n}") })).await;
        assert_eq!(made.status, 201, "{}", made.text);
        assert_eq!(nobody.get("/healthz").await.status, 200);
    }
    stuck.iter().for_each(tokio::task::JoinHandle::abort);
    hq.finish().await;
}
