//! Every noun of the kit, walked through API, page, tools and command line (see [`support::walk`]).

use support::hq::TestHq;
use support::hq_program;
use support::walk::Walk;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_noun_does_what_its_definition_says() {
    for noun in server::doors::nouns() {
        let hq = TestHq::start().await;
        Walk::all(&hq, noun, Some(&hq_program())).await;
        hq.finish().await;
    }
}
